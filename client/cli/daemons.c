/* SPDX-License-Identifier: Apache-2.0 */
/* daemons.c - how the daemons of a local cluster are started and stopped */
#include "client/cli/daemons.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"

#define DAEMONS_MAX   (CLUSTER_AGENTS_MAX + 2)
#define ARGUMENTS_MAX 24
#define QUIET_MS      1000  // how long nothing is said while waiting
#define READY_MS      60000 // a master may have a large state to take up
#define KILLED_MS     5000
#define LOG_SIZE_MAX  (16 << 20) // bytes, above which a new log is begun
#define WORDS_MAX     16384      // bytes at the end of a log, to look for the reason in

/* --- what is run ------------------------------------------------------------------ */

// The program that was built and installed with this one, else the one in PATH.
char *daemons_program(enum cluster_role role)
{
    char path[4096];
    char *name = memory_format("cortex-%s", cluster_role_name(role));
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash = NULL;

    if (size > 0) {
        path[size] = '\0';
        slash = strrchr(path, '/');
    }
    if (!slash) {
        return name;
    }
    *slash = '\0';
    char *beside = fs_join(path, name);
    if (access(beside, X_OK) != 0) {
        free(beside);
        return name;
    }
    free(name);
    return beside;
}

struct arguments {
    char *list[ARGUMENTS_MAX + 1]; // ended by NULL
    size_t count;
};

static void add_argument(struct arguments *arguments, const char *text)
{
    if (arguments->count < ARGUMENTS_MAX) {
        arguments->list[arguments->count++] = memory_strdup(text);
    }
}

// Nothing for an option that has no value.
static void add_option(struct arguments *arguments, const char *name, const char *value)
{
    if (*value) {
        add_argument(arguments, name);
        add_argument(arguments, value);
    }
}

static struct arguments arguments_of(const struct cluster_settings *settings,
                                     const struct cluster_daemon *daemon)
{
    struct arguments arguments = {.list = {daemons_program(daemon->role)}, .count = 1};
    char *fd = memory_format("%d", DETACHED_READY_FD);
    char *bridge_url = memory_format("http://%s", settings->bridge_listen);

    add_option(&arguments, "--state-dir", daemon->folder);
    add_option(&arguments, "--ready-fd", fd);
    switch (daemon->role) {
    case CLUSTER_MASTER:
        add_option(&arguments, "--listen", settings->master_listen);
        add_option(&arguments, "--bridge-url", bridge_url);
        add_argument(&arguments, "--allow-file");
        break;
    case CLUSTER_BRIDGE:
        add_option(&arguments, "--listen", settings->bridge_listen);
        add_option(&arguments, "--master", settings->master_listen);
        break;
    case CLUSTER_AGENT:
        add_option(&arguments, "--master", settings->master_listen);
        add_option(&arguments, "--name", daemon->name);
        add_option(&arguments, "--cpu", settings->agent_cpu);
        add_option(&arguments, "--mem", settings->agent_mem);
        add_option(&arguments, "--python", settings->python);
        // Predictors read and write the caller's files, as the caller would.
        add_option(&arguments, "--user", "none");
        add_argument(&arguments, "--allow-file");
        break;
    }
    free(fd);
    free(bridge_url);
    return arguments;
}

static void arguments_fini(struct arguments *arguments)
{
    while (arguments->count > 0) {
        free(arguments->list[--arguments->count]);
    }
}

/* --- logs ------------------------------------------------------------------------- */

static int64_t size_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

static int rotate_log(const char *path, struct error *err)
{
    if (size_of(path) <= LOG_SIZE_MAX) {
        return 0;
    }
    char *old = memory_format("%s.1", path);
    int result = rename(path, old) == 0
                     ? 0
                     : error_set_errno(err,
                                       ERROR_FAILED_PRECONDITION,
                                       "cannot rename the log %s to %s",
                                       path,
                                       old);
    free(old);
    return result;
}

// What a line of a log says went wrong; NULL if it is not about that.
static const char *error_in(const char *line)
{
    static const char *const marks[] = {" ERROR ", "error: "};

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        const char *found = strstr(line, marks[i]);
        if (found) {
            return found + strlen(marks[i]);
        }
    }
    return NULL;
}

// Why a daemon ended: the last error in what it wrote from there on, else the last
// line.
static char *last_words(const char *path, int64_t from)
{
    char *text = memory_zalloc(WORDS_MAX + 1);
    FILE *file = fopen(path, "re");
    const char *last = "it said nothing";
    const char *error = NULL;
    char *rest = text;

    if (file) {
        int64_t end = size_of(path);
        (void)fseeko(file, end - from > WORDS_MAX ? end - WORDS_MAX : from, SEEK_SET);
        text[fread(text, 1, WORDS_MAX, file)] = '\0';
        (void)fclose(file);
    }
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        const char *found = error_in(line);
        error = found ? found : error;
        last = *line ? line : last;
    }
    char *words = memory_strdup(error ? error : last);
    free(text);
    return words;
}

/* --- starting --------------------------------------------------------------------- */

// Daemons on their way up together.
struct starting {
    struct cluster_daemon *daemons[DAEMONS_MAX];
    struct detached_start starts[DAEMONS_MAX];
    int64_t log_sizes[DAEMONS_MAX]; // before they wrote
    size_t count;
};

static int start_one(const struct cluster_state *state,
                     struct cluster_daemon *daemon,
                     struct starting *starting,
                     struct error *err)
{
    struct arguments arguments = arguments_of(&state->settings, daemon);
    size_t i = starting->count;
    int result = -1;

    if (fs_make_folder(daemon->folder, 0700, err) == 0 &&
        rotate_log(daemon->log, err) == 0) {
        starting->log_sizes[i] = size_of(daemon->log);
        result = detached_start(arguments.list,
                                daemon->folder,
                                daemon->log,
                                &daemon->process,
                                &starting->starts[i],
                                err);
    }
    if (result == 0) {
        daemon->ready = false;
        starting->daemons[i] = daemon;
        starting->count++;
    }
    arguments_fini(&arguments);
    return result;
}

// True once there is something to read: a line, or the end.
static bool readable(int fd, int64_t timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    return poll(&wait, 1, timeout_ms > 0 ? (int)timeout_ms : 0) > 0;
}

static int
wait_ready(struct starting *starting, size_t i, int64_t since_ms, struct error *err)
{
    struct cluster_daemon *daemon = starting->daemons[i];
    int fd = starting->starts[i].ready_fd;
    char byte;

    if (!readable(fd, since_ms + QUIET_MS - clock_monotonic_ms())) {
        (void)fprintf(
            stderr, "waiting until %s is ready (log: %s)\n", daemon->name, daemon->log);
        if (!readable(fd, since_ms + READY_MS - clock_monotonic_ms())) {
            return error_set(err,
                             ERROR_UNAVAILABLE,
                             "%s was not ready after %d s; its log is %s",
                             daemon->name,
                             READY_MS / 1000,
                             daemon->log);
        }
    }
    if (read(fd, &byte, 1) == 1) {
        daemon->ready = true;
        return 0;
    }
    char *words = last_words(daemon->log, starting->log_sizes[i]);
    error_set(err,
              ERROR_UNAVAILABLE,
              "%s did not start: %s (log: %s)",
              daemon->name,
              words,
              daemon->log);
    free(words);
    return -1;
}

static int wait_all_ready(struct starting *starting, struct error *err)
{
    int64_t since_ms = clock_monotonic_ms();

    for (size_t i = 0; i < starting->count; i++) {
        if (wait_ready(starting, i, since_ms, err) != 0) {
            return -1;
        }
    }
    return 0;
}

// The marked daemons from one role to another: none runs before all are on record.
static int start_roles(struct cluster_state *state,
                       enum cluster_role first,
                       enum cluster_role last,
                       struct error *err)
{
    struct starting starting = {.count = 0};
    int result = 0;

    for (size_t i = 0; result == 0 && i < state->daemon_count; i++) {
        struct cluster_daemon *daemon = &state->daemons[i];
        if (daemon->marked && daemon->role >= first && daemon->role <= last) {
            result = start_one(state, daemon, &starting, err);
        }
    }
    if (result == 0) {
        result = cluster_state_save(state, err);
    }
    for (size_t i = 0; result == 0 && i < starting.count; i++) {
        detached_release(&starting.starts[i]);
    }
    if (result == 0) {
        result = wait_all_ready(&starting, err);
    }
    for (size_t i = 0; i < starting.count; i++) {
        detached_start_fini(&starting.starts[i]);
    }
    return result;
}

int daemons_start(struct cluster_state *state, struct error *err)
{
    return start_roles(state, CLUSTER_MASTER, CLUSTER_MASTER, err) == 0 &&
                   start_roles(state, CLUSTER_BRIDGE, CLUSTER_AGENT, err) == 0
               ? cluster_state_save(state, err)
               : -1;
}

/* --- stopping --------------------------------------------------------------------- */

// Longer than the daemon takes when all goes well: an agent lets batches end and brings
// in their results, the bridge ends requests, the master ends calls and its database.
static const int64_t patience_ms[] = {
    [CLUSTER_MASTER] = 30000, [CLUSTER_BRIDGE] = 15000, [CLUSTER_AGENT] = 20000};

static bool ended(int process_fd, int64_t until_ms)
{
    int64_t left_ms = until_ms - clock_monotonic_ms();

    return detached_wait(process_fd, left_ms > 0 ? left_ms : 0);
}

static int wait_end(const struct cluster_daemon *daemon,
                    int process_fd,
                    int64_t since_ms,
                    struct error *err)
{
    int64_t patience = patience_ms[daemon->role];
    long pid = daemon->process.pid;

    if (ended(process_fd, since_ms + QUIET_MS)) {
        return 0;
    }
    (void)fprintf(stderr,
                  "waiting until %s has ended (pid %ld, at most %d s)\n",
                  daemon->name,
                  pid,
                  (int)(patience / 1000));
    if (ended(process_fd, since_ms + patience)) {
        return 0;
    }
    (void)fprintf(stderr,
                  "warning: %s (pid %ld) did not end within %d s and is killed; its "
                  "log is %s\n",
                  daemon->name,
                  pid,
                  (int)(patience / 1000),
                  daemon->log);
    detached_signal(process_fd, SIGKILL);
    return detached_wait(process_fd, KILLED_MS)
               ? 0
               : error_set(err,
                           ERROR_INTERNAL,
                           "%s (pid %ld) does not end even when killed",
                           daemon->name,
                           pid);
}

static int
stop_role(struct cluster_state *state, enum cluster_role role, struct error *err)
{
    int fds[DAEMONS_MAX];
    int64_t since_ms = clock_monotonic_ms();
    int result = 0;

    for (size_t i = 0; i < state->daemon_count; i++) {
        struct cluster_daemon *daemon = &state->daemons[i];
        bool wanted = daemon->marked && daemon->role == role;
        fds[i] = wanted ? detached_open(&daemon->process) : -1;
        if (fds[i] >= 0) {
            detached_signal(fds[i], SIGTERM);
        }
    }
    for (size_t i = 0; i < state->daemon_count; i++) {
        struct cluster_daemon *daemon = &state->daemons[i];
        if (!daemon->marked || daemon->role != role) {
            continue;
        }
        if (fds[i] >= 0 && wait_end(daemon, fds[i], since_ms, err) != 0) {
            result = -1;
        } else {
            daemon->process = (struct detached){0};
            daemon->ready = false;
        }
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return result;
}

int daemons_stop(struct cluster_state *state, struct error *err)
{
    int result = 0;

    for (int role = CLUSTER_AGENT; result == 0 && role >= CLUSTER_MASTER; role--) {
        result = stop_role(state, (enum cluster_role)role, err);
    }
    return cluster_state_save(state, result == 0 ? err : NULL) == 0 ? result : -1;
}
