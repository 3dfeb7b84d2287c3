/* SPDX-License-Identifier: Apache-2.0 */
/* detached.c - a process that outlives whoever started it, and is known again later */
#include "client/cli/detached.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/fs.h"

#define STAT_SIZE_MAX   4096
#define START_TIME_SKIP 19 // fields of /proc/PID/stat from the state to the start time
#define EXEC_FAILED     127

/* --- who it is -------------------------------------------------------------------- */

static bool read_boot(char out[37])
{
    struct buffer text = BUFFER_INIT;
    bool found = fs_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL) == 0 &&
                 text.size >= 36;

    if (found) {
        memcpy(out, text.data, 36);
        out[36] = '\0';
    }
    buffer_fini(&text);
    return found;
}

// The state and what follows it stand behind the last ")": a name may hold anything.
static const char *find_start_time(const char *stat)
{
    const char *at = strrchr(stat, ')');

    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') {
        return NULL;
    }
    at += 2;
    for (int i = 0; at && i < START_TIME_SKIP; i++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at;
}

static bool read_identity(pid_t pid, char out[DETACHED_IDENTITY_SIZE])
{
    char path[64];
    char boot[37];
    struct buffer stat = BUFFER_INIT;
    const char *start = NULL;

    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (read_boot(boot) && fs_read(path, STAT_SIZE_MAX, &stat, NULL) == 0) {
        start = find_start_time(buffer_text(&stat));
    }
    if (start) {
        (void)snprintf(out,
                       DETACHED_IDENTITY_SIZE,
                       "%s:%.*s",
                       boot,
                       (int)strspn(start, "0123456789"),
                       start);
    }
    buffer_fini(&stat);
    return start != NULL;
}

bool detached_alive(const struct detached *process)
{
    char identity[DETACHED_IDENTITY_SIZE];

    return process->pid > 0 && read_identity(process->pid, identity) &&
           strcmp(identity, process->identity) == 0;
}

// Looks behind opening: whoever has the pid then has had it since before.
int detached_open(const struct detached *process)
{
    int fd = process->pid > 0 ? pidfd_open(process->pid, 0) : -1;

    if (fd >= 0 && !detached_alive(process)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

void detached_signal(int process_fd, int signal_number)
{
    (void)pidfd_send_signal(process_fd, signal_number, NULL, 0); // it may have ended
}

bool detached_wait(int process_fd, int64_t timeout_ms)
{
    struct pollfd wait = {.fd = process_fd, .events = POLLIN};

    return poll(&wait, 1, (int)timeout_ms) > 0;
}

/* --- how it is started ------------------------------------------------------------ */

struct plan {
    char *const *argv;
    const char *folder;
    int log_fd;
    int go[2];
    int ready[2];
};

static void close_one(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL); // refused for a few, which cannot be ignored
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

// In the new process. Nothing of the caller's stays open: whoever reads its output
// would wait for the end forever.
static void become(struct plan *plan)
{
    char go;
    int input = open("/dev/null", O_RDONLY);

    (void)close(plan->go[1]);
    if (input < 0 || setsid() < 0 || dup2(plan->log_fd, STDERR_FILENO) < 0) {
        _exit(EXEC_FAILED);
    }
    if (read(plan->go[0], &go, 1) != 1) {
        _exit(0); // the caller is gone or thought better of it
    }
    reset_signals();
    if (chdir(plan->folder) != 0 || dup2(input, STDIN_FILENO) < 0 ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        dup2(plan->ready[1], DETACHED_READY_FD) < 0 ||
        close_range(DETACHED_READY_FD + 1, ~0U, 0) != 0) {
        perror("error: cannot prepare the process");
        _exit(EXEC_FAILED);
    }
    (void)execvp(plan->argv[0], plan->argv);
    (void)fprintf(stderr, "error: cannot run %s: %s\n", plan->argv[0], strerror(errno));
    _exit(EXEC_FAILED);
}

// A descriptor above all that have a fixed meaning in the new process.
static int above(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, DETACHED_READY_FD + 1);

    (void)close(fd);
    return moved;
}

static int open_plan(struct plan *plan, const char *log_path, struct error *err)
{
    plan->log_fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (plan->log_fd < 0) {
        return error_set_errno(
            err, ERROR_FAILED_PRECONDITION, "cannot open the log %s", log_path);
    }
    plan->log_fd = above(plan->log_fd);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, plan->go) != 0 ||
        pipe2(plan->ready, O_CLOEXEC) != 0) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot make a pipe");
    }
    plan->go[0] = above(plan->go[0]);
    plan->ready[1] = above(plan->ready[1]);
    return 0;
}

int detached_start(char *const *argv,
                   const char *folder,
                   const char *log_path,
                   struct detached *out_process,
                   struct detached_start *out_start,
                   struct error *err)
{
    struct plan plan = {argv, folder, -1, {-1, -1}, {-1, -1}};
    struct detached process = {0};
    int result = open_plan(&plan, log_path, err);

    if (result == 0) {
        process.pid = fork();
        if (process.pid == 0) {
            become(&plan);
        }
        // It waits for us, so it is there to be read.
        if (process.pid < 0 || !read_identity(process.pid, process.identity)) {
            result = error_set_errno(
                err, ERROR_RESOURCE_EXHAUSTED, "cannot start %s", argv[0]);
        }
    }
    close_one(&plan.log_fd);
    close_one(&plan.go[0]);
    close_one(&plan.ready[1]);
    if (result == 0) {
        *out_process = process;
        *out_start = (struct detached_start){plan.go[1], plan.ready[0]};
    } else {
        close_one(&plan.go[1]);
        close_one(&plan.ready[0]);
    }
    return result;
}

void detached_release(struct detached_start *start)
{
    if (start->go_fd >= 0) {
        (void)send(start->go_fd, "g", 1, MSG_NOSIGNAL); // if it died, ready_fd says so
        close_one(&start->go_fd);
    }
}

void detached_start_fini(struct detached_start *start)
{
    close_one(&start->go_fd);
    close_one(&start->ready_fd);
}
