/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - as whom user code runs, and within which limits */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/sandbox.h"
#include "common/id.h"

#define UNREADABLE 2 /* exit status of the child that looks */

/* --- who -------------------------------------------------------------------------- */

/* "FIRST-LAST"; false if it is no such text. */
static bool
read_range(const char *text, unsigned long *out_first, unsigned long *out_last)
{
    char *end;

    if (*text < '0' || *text > '9') {
        return false;
    }
    *out_first = strtoul(text, &end, 10);
    if (*end != '-' || end[1] < '0' || end[1] > '9') {
        return false;
    }
    *out_last = strtoul(end + 1, &end, 10);
    return *end == '\0';
}

static int use_range(struct sandbox *sandbox,
                     unsigned long first,
                     unsigned long last,
                     struct error *err)
{
    if (first < SANDBOX_LEAST || last < first || last >= UINT32_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--user %lu-%lu: expected user numbers from %u to %u",
                         first,
                         last,
                         SANDBOX_LEAST,
                         UINT32_MAX - 1);
    }
    sandbox->first = (uid_t)first;
    sandbox->last = (uid_t)last;
    sandbox->next = (uid_t)(first + id_random_number() % (last - first + 1));
    return 0;
}

static int use_account(struct sandbox *sandbox, const char *name, struct error *err)
{
    const struct passwd *account = getpwnam(name);

    if (account == NULL) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--user \"%s\": no such account; expected a name, "
                         "FIRST-LAST or none",
                         name);
    }
    if (account->pw_uid == 0) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--user \"%s\": it is root; to run user code as the agent "
                         "itself expected none",
                         name);
    }
    sandbox->named = true;
    sandbox->first = account->pw_uid;
    sandbox->last = account->pw_uid;
    sandbox->next = account->pw_uid;
    sandbox->gid = account->pw_gid;
    return 0;
}

int sandbox_parse(const char *text, struct sandbox *out, struct error *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct sandbox sandbox = {.active = true};
    unsigned long first = SANDBOX_FIRST;
    unsigned long last = SANDBOX_LAST;
    bool range = text == NULL || read_range(text, &first, &last);

    if (text == NULL ? geteuid() != 0 : strcmp(text, "none") == 0) {
        *out = (struct sandbox){0};
        return 0;
    }
    if (range ? use_range(&sandbox, first, last, err) != 0
              : use_account(&sandbox, text, err) != 0) {
        return -1;
    }
    if (geteuid() != 0) {
        return error_set(err,
                         ERROR_FAILED_PRECONDITION,
                         "--user \"%s\": only an agent that is root can give workers "
                         "another user",
                         text);
    }
    sandbox.processes_max =
        SANDBOX_PROCESSES + SANDBOX_CORE_PROCESSES * (unsigned)(cores < 1 ? 1 : cores);
    *out = sandbox;
    return 0;
}

static struct sandbox_user user_of(const struct sandbox *sandbox, uid_t uid)
{
    if (sandbox->named) {
        return (struct sandbox_user){.uid = uid, .gid = sandbox->gid};
    }
    return (struct sandbox_user){
        .uid = uid, .gid = uid, .sole = true, .processes_max = sandbox->processes_max};
}

struct sandbox_user sandbox_next(struct sandbox *sandbox)
{
    uid_t uid = sandbox->next;

    if (!sandbox->active) {
        return (struct sandbox_user){0};
    }
    sandbox->next = uid == sandbox->last ? sandbox->first : uid + 1;
    return user_of(sandbox, uid);
}

bool sandbox_find(const struct sandbox *sandbox, uid_t uid, struct sandbox_user *out)
{
    if (!sandbox->active || sandbox->named || uid < sandbox->first ||
        uid > sandbox->last) {
        return false;
    }
    *out = user_of(sandbox, uid);
    return true;
}

/* --- in a child ------------------------------------------------------------------- */

static void lower_limit(int which, rlim_t max)
{
    struct rlimit limit;

    if (getrlimit(which, &limit) == 0) {
        limit.rlim_max = limit.rlim_max < max ? limit.rlim_max : max;
        limit.rlim_cur =
            limit.rlim_cur < limit.rlim_max ? limit.rlim_cur : limit.rlim_max;
        (void)setrlimit(which, &limit); // lowering is always allowed
    }
}

int sandbox_enter(const struct sandbox_user *user)
{
    lower_limit(RLIMIT_CORE, 0);
    lower_limit(RLIMIT_NOFILE, SANDBOX_FILES_MAX);
    if (user->uid == 0) {
        return 0;
    }
    if (user->sole) {
        lower_limit(RLIMIT_NPROC, user->processes_max);
    }
    if (setgroups(0, NULL) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0) {
        return -1;
    }
    return 0;
}

/* Waits for a helper's end; its exit status, or -1. */
static int wait_for(pid_t pid)
{
    int status = 0;

    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int sandbox_check_readable(const struct sandbox *sandbox,
                           const char *path,
                           struct error *err)
{
    struct sandbox_user user = user_of(sandbox, sandbox->first);
    pid_t pid;

    if (!sandbox->active) {
        return 0;
    }
    pid = fork();
    if (pid == 0) {
        _exit(sandbox_enter(&user) == 0 && access(path, R_OK) == 0 ? 0 : UNREADABLE);
    }
    if (wait_for(pid) != 0) {
        return error_set(err,
                         ERROR_FAILED_PRECONDITION,
                         "user code, which runs as user %u, cannot read %s: let others "
                         "pass the folders above it (chmod o+x), or start the agent "
                         "with --user none",
                         user.uid,
                         path);
    }
    return 0;
}

void sandbox_kill(const struct sandbox_user *user)
{
    pid_t pid;

    if (!user->sole || user->uid < SANDBOX_LEAST) {
        return;
    }
    pid = fork();
    if (pid == 0) {
        // Who has become the user can signal the user's processes only: all of them at
        // once, those included that are about to fork.
        if (setresuid(user->uid, user->uid, user->uid) != 0 || getuid() != user->uid ||
            geteuid() != user->uid) {
            _exit(1);
        }
        (void)kill(-1, SIGKILL);
        _exit(0);
    }
    (void)wait_for(pid);
}
