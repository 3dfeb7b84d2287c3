/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.c - `cortex cluster`: a master, a bridge and agents on this machine */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/cluster_keys.h"
#include "client/cli/cluster_state.h"
#include "client/cli/cluster_text.h"
#include "client/cli/command.h"
#include "client/cli/daemons.h"
#include "client/cli/environment.h"
#include "client/cli/home.h"
#include "client/cli/output.h"
#include "client/cli/port.h"
#include "client/document.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"

#define LOCK_QUIET_MS 1000
#define LOCK_MS       120000 // the other command may be waiting for batches to end
#define LOCK_PAUSE_NS 10000000
#define TCP           "tcp://"
#define IPC           "ipc:///"

static struct {
    const char *env;
    const char *state_dir;
    const char *bridge_listen;
    const char *master_listen;
    int64_t agents; // 0: not given, as below
    const char *agent_cpu;
    int64_t agent_mem;
    const char *python;
    const char *output;
} given;

/* --- the state folder ------------------------------------------------------------- */

static char *state_folder(struct error *err)
{
    return given.state_dir ? fs_absolute(given.state_dir) : home_cluster_folder(err);
}

static int wait_lock(int fd, const char *folder, struct error *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
    int64_t since_ms = clock_monotonic_ms();
    bool said = false;

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int64_t waited_ms = clock_monotonic_ms() - since_ms;
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return error_set_errno(err, ERROR_INTERNAL, "cannot lock %s", folder);
        }
        if (waited_ms > LOCK_MS) {
            return error_set(err,
                             ERROR_UNAVAILABLE,
                             "another `cortex cluster` has been at work in %s for %d s",
                             folder,
                             LOCK_MS / 1000);
        }
        if (waited_ms > LOCK_QUIET_MS && !said) {
            said = true;
            (void)fprintf(
                stderr, "waiting for another `cortex cluster` in %s\n", folder);
        }
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

// One command at a time changes a cluster; the lock ends with the process.
static int take_lock(const char *folder, int *out_fd, struct error *err)
{
    char *path = fs_join(folder, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int result =
        fd < 0 ? error_set_errno(err, ERROR_FAILED_PRECONDITION, "cannot open %s", path)
               : wait_lock(fd, folder, err);

    free(path);
    if (result == 0) {
        *out_fd = fd;
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return result;
}

static void forget_dead(struct cluster_state *state)
{
    for (size_t i = 0; i < state->daemon_count; i++) {
        struct cluster_daemon *daemon = &state->daemons[i];
        if (!detached_alive(&daemon->process)) {
            daemon->process = (struct detached){0};
            daemon->ready = false;
        }
    }
}

/* --- up --------------------------------------------------------------------------- */

#define BIT(role) (1u << (role))

// Takes over what was given, unless a daemon of these roles (bits) runs with another.
static int choose(struct cluster_state *state,
                  const char *option,
                  const char *value,
                  char **setting,
                  unsigned roles,
                  struct error *err)
{
    if (!value || strcmp(value, *setting) == 0) {
        return 0;
    }
    for (size_t i = 0; i < state->daemon_count; i++) {
        const struct cluster_daemon *daemon = &state->daemons[i];
        if (cluster_state_runs(daemon) && (BIT(daemon->role) & roles)) {
            return error_set(err,
                             ERROR_FAILED_PRECONDITION,
                             "%s \"%s\": %s (pid %ld) runs with %s%s%s; to change it, "
                             "`cortex cluster down` first",
                             option,
                             value,
                             daemon->name,
                             (long)daemon->process.pid,
                             **setting ? "\"" : "",
                             **setting ? *setting : "the default",
                             **setting ? "\"" : "");
        }
    }
    cluster_setting_set(setting, value);
    return 0;
}

// Seen from the folder of an agent, a relative path would be another file. *out_path
// is NULL if none was given; the caller frees.
static int python_path(char **out_path, struct error *err)
{
    if (!given.python || !strchr(given.python, '/')) {
        *out_path = memory_strdup(given.python);
        return 0;
    }
    if (access(given.python, X_OK) != 0) {
        return error_set_errno(
            err, ERROR_INVALID_ARGUMENT, "--python \"%s\"", given.python);
    }
    *out_path = fs_absolute(given.python);
    return 0;
}

static int choose_all(struct cluster_state *state, struct error *err)
{
    struct cluster_settings *settings = &state->settings;
    unsigned agent = BIT(CLUSTER_AGENT);
    unsigned bridge = BIT(CLUSTER_BRIDGE) | BIT(CLUSTER_MASTER); // which tells its URL
    unsigned all = bridge | agent;
    char *python = NULL;

    if (python_path(&python, err) != 0) {
        return -1;
    }
    char *mem =
        given.agent_mem > 0 ? memory_format("%lld", (long long)given.agent_mem) : NULL;
    const struct {
        const char *option;
        const char *value;
        char **setting;
        unsigned roles;
    } rows[] = {
        {"--env", given.env, &settings->env, 0},
        {"--bridge-listen", given.bridge_listen, &settings->bridge_listen, bridge},
        {"--master-listen", given.master_listen, &settings->master_listen, all},
        {"--agent-cpu", given.agent_cpu, &settings->agent_cpu, agent},
        {"--agent-mem", mem, &settings->agent_mem, agent},
        {"--python", python, &settings->python, agent},
    };
    int result = 0;

    for (size_t i = 0; result == 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        result = choose(
            state, rows[i].option, rows[i].value, rows[i].setting, rows[i].roles, err);
    }
    free(python);
    free(mem);
    return result;
}

static int check_master(const char *address, struct error *err)
{
    if (strncmp(address, TCP, strlen(TCP)) == 0) {
        return port_check_free(address + strlen(TCP), "--master-listen", err);
    }
    if (strncmp(address, IPC, strlen(IPC)) == 0) {
        return 0; // whether the file can be made is for the master to find out
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "--master-listen: got \"%s\", expected tcp://HOST:PORT or "
                     "ipc:///PATH",
                     address);
}

static int check_addresses(const struct cluster_state *state, struct error *err)
{
    const struct cluster_settings *settings = &state->settings;

    if (!cluster_state_runs(&state->daemons[CLUSTER_MASTER]) &&
        check_master(settings->master_listen, err) != 0) {
        return -1;
    }
    return cluster_state_runs(&state->daemons[CLUSTER_BRIDGE])
               ? 0
               : port_check_free(settings->bridge_listen, "--bridge-listen", err);
}

// Agents that are too many, what an `up` that was killed left on its way up, and all
// of a cluster from before there were keys.
static int stop_unfit(struct cluster_state *state, struct error *err)
{
    size_t agents =
        given.agents > 0 ? (size_t)given.agents : state->daemon_count - CLUSTER_AGENT;
    bool keyless = !cluster_keys_exist(state);
    bool any = false;

    for (size_t i = 0; i < state->daemon_count; i++) {
        struct cluster_daemon *daemon = &state->daemons[i];
        daemon->marked = cluster_state_runs(daemon) &&
                         (!daemon->ready || keyless || i >= CLUSTER_AGENT + agents);
        any = any || daemon->marked;
    }
    if (any && daemons_stop(state, err) != 0) {
        return -1;
    }
    cluster_state_set_agents(state, agents);
    return 0;
}

// What did not start must not be what the next `up` takes up.
static void restore_settings(struct cluster_state *state, struct cluster_state *before)
{
    struct cluster_settings settings = state->settings;

    state->settings = before->settings;
    before->settings = settings; // to be freed with it
    cluster_state_set_agents(state, before->daemon_count - CLUSTER_AGENT);
    (void)cluster_state_save(state, NULL); // the first error is the one to tell
}

// Leaves marked what it started.
static int start_missing(struct cluster_state *state,
                         struct cluster_state *before,
                         size_t *out_started,
                         struct error *err)
{
    size_t missing = 0;

    for (size_t i = 0; i < state->daemon_count; i++) {
        state->daemons[i].marked = !cluster_state_runs(&state->daemons[i]);
        missing += state->daemons[i].marked;
    }
    if (missing > 0 && daemons_start(state, err) != 0) {
        if (daemons_stop(state, NULL) == 0) {
            restore_settings(state, before);
        }
        return -1;
    }
    *out_started = missing;
    return 0;
}

static int put_environment(const struct cluster_state *state,
                           struct environments *environments,
                           char *join,
                           char *key_file,
                           struct error *err)
{
    char *url = cluster_text_url(state);
    const struct environment environment = {.name = state->settings.env,
                                            .master = state->settings.master_listen,
                                            .join = join,
                                            .key_file = key_file,
                                            .bridge = url};
    int result = environments_put(environments, &environment, err);

    free(url);
    return result;
}

static int make_keys(struct cluster_state *state,
                     struct environments *environments,
                     struct error *err)
{
    char *join;
    char *key_file;

    if (cluster_keys_make(state, &join, &key_file, err) != 0) {
        return -1;
    }
    int result = put_environment(state, environments, join, key_file, err);
    free(join);
    free(key_file);
    return result;
}

// All that can be refused is refused before anything is started or stopped.
static int bring_up(struct cluster_state *state,
                    struct cluster_state *before,
                    struct environments *environments,
                    size_t *out_started,
                    struct error *err)
{
    forget_dead(state);
    if (choose_all(state, err) != 0 || check_addresses(state, err) != 0 ||
        put_environment(state, environments, NULL, NULL, err) != 0 ||
        stop_unfit(state, err) != 0 || make_keys(state, environments, err) != 0 ||
        start_missing(state, before, out_started, err) != 0) {
        return -1;
    }
    state->known = true;
    return cluster_state_save(state, err) == 0 ? environments_save(environments, err)
                                               : -1;
}

static int run_up(char **positional, int count, struct error *err)
{
    struct cluster_state before = {0};
    struct cluster_state state = {0};
    struct environments environments = {0};
    struct buffer text = BUFFER_INIT;
    size_t started = 0;
    bool json = false;
    int lock_fd = -1;
    int result = -1;

    (void)positional;
    (void)count;
    char *folder = state_folder(err);
    if (folder && output_is_json(given.output, &json, err) == 0 &&
        environments_load(&environments, err) == 0 &&
        fs_make_folder(folder, 0700, err) == 0 &&
        take_lock(folder, &lock_fd, err) == 0 &&
        cluster_state_load(folder, &before, err) == 0 &&
        cluster_state_load(folder, &state, err) == 0 &&
        bring_up(&state, &before, &environments, &started, err) == 0) {
        if (json) {
            cluster_text_json(&text, &state);
        } else {
            cluster_text_up(
                &text, &state, &environments, given.state_dir != NULL, started);
        }
        result = output_take(&text, err);
    }
    environments_fini(&environments);
    cluster_state_fini(&before);
    cluster_state_fini(&state);
    free(folder);
    if (lock_fd >= 0) {
        (void)close(lock_fd);
    }
    return result;
}

/* --- info ------------------------------------------------------------------------- */

static int run_info(char **positional, int count, struct error *err)
{
    struct cluster_state state = {0};
    struct buffer text = BUFFER_INIT;
    bool json = false;
    int result = -1;

    (void)positional;
    (void)count;
    char *folder = state_folder(err);
    if (folder && output_is_json(given.output, &json, err) == 0 &&
        cluster_state_load(folder, &state, err) == 0) {
        forget_dead(&state);
        if (json) {
            cluster_text_json(&text, &state);
        } else if (state.known) {
            cluster_text_table(&text, &state);
        } else {
            buffer_add_format(&text, "there is no cluster in %s\n", folder);
        }
        result = output_take(&text, err);
    }
    cluster_state_fini(&state);
    free(folder);
    return result;
}

/* --- down ------------------------------------------------------------------------- */

static int
bring_down(struct cluster_state *state, struct buffer *message, struct error *err)
{
    size_t running = 0;

    forget_dead(state);
    for (size_t i = 0; i < state->daemon_count; i++) {
        state->daemons[i].marked = cluster_state_runs(&state->daemons[i]);
        running += state->daemons[i].marked;
    }
    if (running == 0) {
        buffer_add_text(message, "no cluster is running");
        return 0;
    }
    buffer_add_text(message, "stopped ");
    cluster_text_marked(message, state);
    return daemons_stop(state, err);
}

static int take_down(const char *folder, struct buffer *message, struct error *err)
{
    struct cluster_state state = {0};
    int lock_fd = -1;
    int result = -1;

    if (take_lock(folder, &lock_fd, err) == 0 &&
        cluster_state_load(folder, &state, err) == 0) {
        result = bring_down(&state, message, err);
    }
    cluster_state_fini(&state);
    if (lock_fd >= 0) {
        (void)close(lock_fd);
    }
    return result;
}

static int run_down(char **positional, int count, struct error *err)
{
    struct buffer message = BUFFER_INIT;
    struct buffer text = BUFFER_INIT;
    bool json = false;
    int result = -1;

    (void)positional;
    (void)count;
    char *folder = state_folder(err);
    if (folder && output_is_json(given.output, &json, err) == 0) {
        if (fs_exists(folder)) {
            result = take_down(folder, &message, err);
        } else {
            buffer_add_text(&message, "no cluster is running");
            result = 0;
        }
    }
    if (result == 0) {
        if (json) {
            document_message(&text, buffer_text(&message));
        } else {
            buffer_add_format(&text, "%s\n", buffer_text(&message));
        }
        result = output_take(&text, err);
    }
    buffer_fini(&message);
    free(folder);
    return result;
}

/* --- the commands ----------------------------------------------------------------- */

#define TEXT_OPTION(name_, target_, value_, help_)                                     \
    {                                                                                  \
        .name = (name_), .type = OPTION_TEXT, .target = (target_), .value = (value_),  \
        .help = (help_)                                                                \
    }
#define STATE_DIR_OPTION                                                               \
    TEXT_OPTION("state-dir",                                                           \
                &given.state_dir,                                                      \
                "DIR",                                                                 \
                "where the cluster is kept (default ~/.cortex/cluster)")

static const struct option_row up_rows[] = {
    {.name = "env",
     .letter = 'e',
     .type = OPTION_TEXT,
     .target = &given.env,
     .value = "NAME",
     .help = "environment to add or update (default local)"},
    STATE_DIR_OPTION,
    TEXT_OPTION("bridge-listen",
                &given.bridge_listen,
                "HOST:PORT",
                "where to serve HTTP (default 127.0.0.1:8888)"),
    TEXT_OPTION("master-listen",
                &given.master_listen,
                "ADDRESS",
                "where the master takes calls (default tcp://127.0.0.1:8790)"),
    {.name = "agents",
     .type = OPTION_NUMBER,
     .target = &given.agents,
     .value = "N",
     .help = "how many agents (default 1)",
     .min = 1,
     .max = CLUSTER_AGENTS_MAX},
    TEXT_OPTION("agent-cpu",
                &given.agent_cpu,
                "CORES",
                "cores each agent offers, such as 2 or 500m (default all)"),
    {.name = "agent-mem",
     .type = OPTION_SIZE,
     .target = &given.agent_mem,
     .value = "SIZE",
     .help = "memory each agent offers, such as 8G (default all)",
     .min = 1,
     .max = INT64_MAX},
    TEXT_OPTION("python",
                &given.python,
                "PATH",
                "interpreter of the workers (default python3)"),
    OUTPUT_OPTION(&given.output),
    {0},
};

static const struct option_row rows[] = {
    STATE_DIR_OPTION,
    OUTPUT_OPTION(&given.output),
    {0},
};

const struct command command_cluster_up = {
    .name = "cluster up",
    .usage = "[OPTION]...",
    .brief = "start a cluster on this machine",
    .summary =
        "Starts a master, a bridge and agents on this machine, as daemons, and adds "
        "an\n"
        "environment for them; returns when all are ready. What runs already is left\n"
        "alone, and after `cluster down` or a crash the state is taken up again: then\n"
        "the options are those of the last time unless they are given. The daemons\n"
        "have this command's environment variables, AWS settings included.",
    .examples = "cortex cluster up --env local\n"
                "cortex cluster up --agents 2 --agent-cpu 4 --agent-mem 8G",
    .rows = up_rows,
    .run = run_up,
};

const struct command command_cluster_info = {
    .name = "cluster info",
    .usage = "[OPTION]...",
    .brief = "show the daemons of the cluster on this machine",
    .summary = "Shows each daemon's process, address, log and state folder.",
    .examples = "cortex cluster info --output json",
    .rows = rows,
    .run = run_info,
};

const struct command command_cluster_down = {
    .name = "cluster down",
    .usage = "[OPTION]...",
    .brief = "stop the cluster on this machine",
    .summary = "Stops the daemons; batches in hand may end first. Nothing is lost: "
               "`cluster up`\ntakes all jobs up again.",
    .examples = "cortex cluster down",
    .rows = rows,
    .run = run_down,
};
