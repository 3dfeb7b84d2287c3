/* SPDX-License-Identifier: Apache-2.0 */
/* nth.c - makes the n-th write to a file, or the n-th allocation, of a program go wrong
 *
 * To be preloaded (LD_PRELOAD). CORTEX_NTH names a file with a struct nth, which a test
 * has mapped too: it sets and reads it while the program runs. Counted as writes are
 * all calls that change a file or folder, but for those of the state database, whose
 * faults have a test of their own, and for standard error. The chosen one fails with
 * the error that is set; or the program is gone, a write half done, and with a power
 * cut so is what it had not synced (unsynced.h). The chosen allocation returns NULL. A
 * program that dies of a signal leaves its number. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/support/unsynced.h"

/* Each a number of eight bytes. */
struct nth {
    _Atomic uint64_t strike_at; /* 0: not at all */
    _Atomic uint64_t writes;    /* so far */
    _Atomic uint64_t fail_at;
    _Atomic uint64_t allocations;
    _Atomic uint64_t signal;
    _Atomic uint64_t struck;
    _Atomic uint64_t error;     /* errno of the chosen write; 0: the program ends */
    _Atomic uint64_t power_cut; /* not 0: with all that is not synced */
};

static struct nth *nth;
static pid_t program; /* not its children on their way to another program */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static void note_signal(int number)
{
    nth->signal = (uint64_t)number;
    (void)raise(number); // the handler was for one time
}

__attribute__((constructor)) static void begin(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    struct sigaction once = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
    const char *path = getenv("CORTEX_NTH");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *memory =
        fd < 0 ? MAP_FAILED
               : mmap(NULL, sizeof(*nth), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0) {
        (void)close(fd);
    }
    (void)unsetenv("LD_PRELOAD"); // the program's children are left alone
    if (memory == MAP_FAILED) {
        (void)fprintf(stderr, "nth: CORTEX_NTH names no file that can be mapped\n");
        _exit(1);
    }
    nth = memory;
    program = getpid();
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        (void)sigaction(fatal[i], &once, NULL);
    }
}

/* --- allocations ------------------------------------------------------------------ */

static bool fails(void)
{
    if (!nth || ++nth->allocations != nth->fail_at) {
        return false;
    }
    nth->struck++;
    errno = ENOMEM;
    return true;
}

/* What common/program/no_memory.c stands on. */
typedef void *(*calloc_fn)(size_t count, size_t size);
typedef void *(*realloc_fn)(void *old, size_t size);

// The C library's own.
static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

void *__libc_calloc(size_t count, size_t size)
{
    static union {
        void *found;
        calloc_fn call;
    } real;

    real.found = real.found ? real.found : next("__libc_calloc");
    return fails() ? NULL : real.call(count, size);
}

void *__libc_realloc(void *old, size_t size)
{
    static union {
        void *found;
        realloc_fn call;
    } real;

    real.found = real.found ? real.found : next("__libc_realloc");
    return fails() ? NULL : real.call(old, size);
}

void *__libc_malloc(size_t size)
{
    return __libc_realloc(NULL, size);
}

/* --- writes ----------------------------------------------------------------------- */

static bool is_counted(const char *path)
{
    return getpid() == program && path && !strstr(path, "/state.db");
}

// A file on a disk, other than standard output and error.
static bool is_file(int fd)
{
    char link[32];
    char path[512];
    struct stat status;

    if (!nth || fd <= STDERR_FILENO || fstat(fd, &status) != 0 ||
        !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) {
        return false;
    }
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    if (size < 0) {
        return false;
    }
    path[size] = '\0';
    return is_counted(path);
}

// The same, of a file that is about to be written to.
static bool is_written(int fd)
{
    bool counted = is_file(fd);

    if (counted && nth->power_cut) {
        unsynced_write(fd);
    }
    return counted;
}

static bool is_chosen(bool counted)
{
    if (!counted || ++nth->writes != nth->strike_at) {
        return false;
    }
    nth->struck++;
    return true;
}

static void end(void)
{
    if (nth->power_cut) {
        unsynced_lose();
    }
    _exit(1);
}

/* Of the chosen call: it fails, or the program ends once half of it is done. */
#define STRIKE(counted, half)                                                          \
    do {                                                                               \
        if (is_chosen(counted)) {                                                      \
            if (nth->error) {                                                          \
                errno = (int)nth->error;                                               \
                return -1;                                                             \
            }                                                                          \
            (void)!(half);                                                             \
            end();                                                                     \
        }                                                                              \
    } while (0)

ssize_t write(int fd, const void *data, size_t size)
{
    STRIKE(is_written(fd), syscall(SYS_write, fd, data, size / 2));
    return syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    STRIKE(is_written(fd), syscall(SYS_pwrite64, fd, data, size / 2, at));
    return syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    STRIKE(is_written(fd), syscall(SYS_writev, fd, parts, count / 2));
    return syscall(SYS_writev, fd, parts, count);
}

static int note_synced(int fd, int result)
{
    if (nth && nth->power_cut && result == 0) {
        unsynced_sync(fd);
    }
    return result;
}

int fsync(int fd)
{
    STRIKE(is_file(fd), 0);
    return note_synced(fd, (int)syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    STRIKE(is_file(fd), 0);
    return note_synced(fd, (int)syscall(SYS_fdatasync, fd));
}

int ftruncate(int fd, off_t size)
{
    STRIKE(is_file(fd), 0);
    return (int)syscall(SYS_ftruncate, fd, size);
}

int rename(const char *from, const char *to)
{
    STRIKE(is_counted(to), 0);
    if (is_counted(to) && nth->power_cut) {
        unsynced_rename(to);
    }
    return (int)syscall(SYS_rename, from, to);
}

int renameat2(
    int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    STRIKE(is_counted(to), 0);
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int unlink(const char *path)
{
    STRIKE(is_counted(path), 0);
    return (int)syscall(SYS_unlink, path);
}

int unlinkat(int folder, const char *path, int flags)
{
    STRIKE(is_counted(path), 0);
    return (int)syscall(SYS_unlinkat, folder, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    STRIKE(is_counted(path), 0);
    return (int)syscall(SYS_mkdir, path, mode);
}
