/* SPDX-License-Identifier: Apache-2.0 */
/* skewed_clock.c - another wall clock for a program, set from outside while it runs
 *
 * To be loaded before a program's own libraries (LD_PRELOAD). CORTEX_CLOCK names a file
 * of 8 bytes, an int64_t of the machine: nanoseconds that the wall clock is ahead. It
 * is mapped, so that writing to it makes the clock jump. Monotonic clocks are let be.
 *
 * A wait for a condition until a time of the wall clock ends when that clock gets
 * there, as the kernel's would: nng of Debian 12 waits so. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS  INT64_C(1000000000)
#define SLICE_NS   INT64_C(5000000) /* between looks at a clock that may have jumped */
#define WALL_MIN_S 500000000 /* later: of the wall clock; no machine is up as long */

typedef int (*wait_fn)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

static const volatile int64_t *ahead_ns;
static wait_fn real_wait;

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("CORTEX_CLOCK");
    *(void **)&real_wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0) {
        return;
    }
    void *page = mmap(NULL, sizeof(*ahead_ns), PROT_READ, MAP_SHARED, fd, 0);
    ahead_ns = page == MAP_FAILED ? NULL : page;
    (void)close(fd);
}

static int64_t true_ns(void)
{
    struct timespec now = {0};

    (void)syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int64_t wall_ns(void)
{
    return true_ns() + (ahead_ns ? *ahead_ns : 0);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
}

int clock_gettime(clockid_t which, struct timespec *out)
{
    if (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE) {
        return (int)syscall(SYS_clock_gettime, which, out);
    }
    int64_t now_ns = wall_ns();
    *out =
        (struct timespec){.tv_sec = now_ns / SECOND_NS, .tv_nsec = now_ns % SECOND_NS};
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    int64_t now_ns = wall_ns();

    (void)zone; // obsolete
    *out = (struct timeval){.tv_sec = now_ns / SECOND_NS,
                            .tv_usec = now_ns % SECOND_NS / 1000};
    return 0;
}

time_t time(time_t *out)
{
    time_t now_s = wall_ns() / SECOND_NS;

    if (out) {
        *out = now_s;
    }
    return now_s;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    if (until->tv_sec < WALL_MIN_S) {
        return real_wait(condition, mutex, until);
    }
    for (;;) {
        int64_t left_ns =
            (int64_t)until->tv_sec * SECOND_NS + until->tv_nsec - wall_ns();
        if (left_ns <= 0) {
            return ETIMEDOUT;
        }
        struct timespec slice =
            timespec_of(true_ns() + (left_ns < SLICE_NS ? left_ns : SLICE_NS));
        int result = real_wait(condition, mutex, &slice);
        if (result != ETIMEDOUT) {
            return result;
        }
    }
}
