/* SPDX-License-Identifier: Apache-2.0 */
/* skewed_clock.c - another wall clock for a program, set from outside while it runs
 *
 * To be loaded before a program's own libraries (LD_PRELOAD). CORTEX_CLOCK names a file
 * of 8 bytes, an int64_t of the machine: nanoseconds that the wall clock is ahead. It
 * is mapped, so that writing to it makes the clock jump. Monotonic clocks are let be.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

static const volatile int64_t *ahead_ns;

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("CORTEX_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0) {
        return;
    }
    void *page = mmap(NULL, sizeof(*ahead_ns), PROT_READ, MAP_SHARED, fd, 0);
    ahead_ns = page == MAP_FAILED ? NULL : page;
    (void)close(fd);
}

static int64_t wall_ns(void)
{
    struct timespec now = {0};

    (void)syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec + (ahead_ns ? *ahead_ns : 0);
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
