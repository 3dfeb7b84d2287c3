/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - how a child process is started, watched and killed */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/process.h"
#include "common/buffer.h"

#define PAGE_SIZE      4096
#define CHANNEL_BUFFER (4 << 20) /* asked for; the kernel gives what it allows */
#define SCORE          "500" /* oom_score_adj of children: they go before the agent */

/* What the child needs between fork and exec, where only calls that are safe after
 * fork in a process with threads may be made. */
struct child {
    const struct process_options *options;
    const char *path;
    pid_t parent;
    int null_fd;
    int channel_fd;
    int page_fd;
    int report_fd;
    int cgroup_fd; /* written "0" to join; -1: none */
};

/* Moves fd out of the way of the numbers 0 to 5; in the child. */
static int move_up(int fd)
{
    return fd < 0 ? fd : fcntl(fd, F_DUPFD, 16);
}

static int child_descriptors(const struct child *child)
{
    int null_fd = move_up(child->null_fd);
    int output_fd = move_up(child->options->output_fd);
    int channel_fd = move_up(child->channel_fd);
    int page_fd = move_up(child->page_fd);
    int report_fd = fcntl(child->report_fd, F_DUPFD_CLOEXEC, 16);

    if (dup2(null_fd, 0) < 0 || dup2(output_fd, 1) < 0 || dup2(output_fd, 2) < 0 ||
        (channel_fd >= 0 && dup2(channel_fd, 3) < 0) ||
        (page_fd >= 0 && dup2(page_fd, 4) < 0) || dup2(report_fd, 5) < 0 ||
        fcntl(5, F_SETFD, FD_CLOEXEC) < 0) {
        return -1;
    }
    return (int)syscall(SYS_close_range, 6U, ~0U, 0U);
}

static void child_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, SCORE, strlen(SCORE)); // a help, not a must
        (void)close(fd);
    }
}

/* The order matters: a change of user clears the signal. */
static int become_user(const struct child *child)
{
    const struct sandbox_user *user = &child->options->user;

    if (sandbox_enter(user) != 0) {
        return -1;
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != child->parent) {
        _exit(127);
    }
    if (child->options->with_channel || user->uid != 0) {
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); // other installers may sudo
    }
    return 0;
}

static void child_run(const struct child *child)
{
    sigset_t none;
    int saved;

    if (child->cgroup_fd >= 0) {
        (void)!write(child->cgroup_fd, "0", 1); // without it there are other bounds
    }
    (void)setsid(); // no terminal of the agent's, either
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    child_oom_score();
    if (child_descriptors(child) == 0 && become_user(child) == 0 &&
        chdir(child->options->folder) == 0) {
        (void)execve(child->path,
                     (char *const *)(uintptr_t)child->options->argv,
                     child->options->envp);
    }
    saved = errno;
    (void)!write(5, &saved, sizeof(saved));
    _exit(127);
}

char *process_find(const char *name, char *const *envp)
{
    const char *path = "/usr/local/bin:/usr/bin:/bin";

    if (strchr(name, '/') != NULL) {
        return memory_strdup(name);
    }
    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, "PATH=", 5) == 0) {
            path = *envp + 5;
        }
    }
    while (*path != '\0') {
        size_t size = strcspn(path, ":");
        char *full = memory_format("%.*s/%s", (int)size, path, name);

        if (access(full, X_OK) == 0) {
            return full;
        }
        free(full);
        path += size + (path[size] == ':');
    }
    return NULL;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* The two ends of the runner's socket and its page. */
static int open_channel(struct process *process, struct child *child, struct error *err)
{
    int size = CHANNEL_BUFFER;
    int pair[2];
    void *page;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot make a socket");
    }
    process->channel_fd = pair[0];
    child->channel_fd = pair[1];
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    child->page_fd = memfd_create("cortex", MFD_CLOEXEC);
    if (child->page_fd < 0 || ftruncate(child->page_fd, PAGE_SIZE) != 0) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot make a page");
    }
    page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, child->page_fd, 0);
    if (page == MAP_FAILED) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot map a page");
    }
    process->page = page;
    return 0;
}

/* Forks; waits until the child's exec has closed the report, or told why not. */
static int fork_child(struct process *process, struct child *child, struct error *err)
{
    int report[2];
    int failed = 0;
    ssize_t got;

    if (pipe2(report, O_CLOEXEC) != 0) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot make a pipe");
    }
    child->report_fd = report[1];
    child->parent = getpid();
    process->pid = fork();
    if (process->pid == 0) {
        child_run(child);
    }
    (void)close(report[1]);
    if (process->pid < 0) {
        process->pid = 0;
        (void)close(report[0]);
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot fork");
    }
    do {
        got = read(report[0], &failed, sizeof(failed));
    } while (got < 0 && errno == EINTR);
    (void)close(report[0]);
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0U);
    if (got > 0 || process->pidfd < 0) {
        errno = got > 0 ? failed : errno;
        (void)error_set_errno(err,
                              ERROR_FAILED_PRECONDITION,
                              "cannot run %s in %s",
                              child->path,
                              child->options->folder);
        (void)kill(process->pid, SIGKILL);
        (void)waitpid(process->pid, NULL, 0);
        process->pid = 0;
        return -1;
    }
    return 0;
}

int process_start(const struct process_options *options,
                  struct process *out,
                  struct error *err)
{
    struct process process = {.pidfd = -1,
                              .channel_fd = -1,
                              .user = options->user,
                              .cgroup = memory_strdup(options->cgroup)};
    struct child child = {
        .cgroup_fd = options->cgroup == NULL ? -1 : cgroup_open_procs(options->cgroup),
        .options = options,
        .null_fd = -1,
        .channel_fd = -1,
        .page_fd = -1};
    char *path = process_find(options->argv[0], options->envp);
    int result = -1;

    if (path == NULL) {
        (void)error_set(err,
                        ERROR_FAILED_PRECONDITION,
                        "%s: no such program in PATH",
                        options->argv[0]);
        goto out;
    }
    child.path = path;
    child.null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (child.null_fd < 0) {
        (void)error_set_errno(err, ERROR_INTERNAL, "cannot open /dev/null");
        goto out;
    }
    if (options->with_channel && open_channel(&process, &child, err) != 0) {
        goto out;
    }
    result = fork_child(&process, &child, err);
out:
    close_fd(&child.null_fd);
    close_fd(&child.channel_fd);
    close_fd(&child.page_fd);
    close_fd(&child.cgroup_fd);
    free(path);
    if (result != 0) {
        process_fini(&process);
    } else {
        *out = process;
    }
    return result;
}

void process_kill(const struct process *process)
{
    if (process->pid > 0 && process->pidfd >= 0) {
        (void)kill(-process->pid, SIGKILL);
        if (process->cgroup != NULL) {
            cgroup_kill(process->cgroup);
        }
        sandbox_kill(&process->user);
    }
}

bool process_reap(struct process *process, int *out_status)
{
    siginfo_t info = {0};
    int status = 0;

    // Look first, so that the group's number is still taken when it is killed.
    if (process->pidfd < 0 ||
        waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0) {
        return false;
    }
    process_kill(process);
    if (waitpid(process->pid, &status, 0) != process->pid) {
        status = 0;
    }
    close_fd(&process->pidfd);
    *out_status = status;
    return true;
}

void process_fini(struct process *process)
{
    close_fd(&process->pidfd);
    close_fd(&process->channel_fd);
    if (process->page != NULL) {
        (void)munmap((void *)process->page, PAGE_SIZE);
        process->page = NULL;
    }
    free(process->cgroup);
    process->cgroup = NULL;
    process->pid = 0;
}

char *process_describe(int status)
{
    if (WIFSIGNALED(status)) {
        return memory_format("was killed by signal %d (%s)",
                             WTERMSIG(status),
                             sigdescr_np(WTERMSIG(status)));
    }
    return memory_format("exited with status %d", WEXITSTATUS(status));
}
