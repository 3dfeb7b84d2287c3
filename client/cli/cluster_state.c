/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_state.c - what is known of a local cluster: its settings and its daemons */
#include "client/cli/cluster_state.h"

#include <stdlib.h>
#include <string.h>

#include "client/json_writer.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/json.h"

#define FILE_SIZE_MAX (1u << 20)
#define INDENT        4
#define FIXED         2 // master and bridge

struct field {
    const char *key;
    size_t offset; // of its char * in the settings
    const char *fallback;
};

static const struct field fields[] = {
    {"env", offsetof(struct cluster_settings, env), "local"},
    {"bridge_listen",
     offsetof(struct cluster_settings, bridge_listen),
     "127.0.0.1:8888"},
    {"master_listen",
     offsetof(struct cluster_settings, master_listen),
     "tcp://127.0.0.1:8790"},
    {"agent_cpu", offsetof(struct cluster_settings, agent_cpu), ""},
    {"agent_mem", offsetof(struct cluster_settings, agent_mem), ""},
    {"python", offsetof(struct cluster_settings, python), ""},
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static char **setting_of(const struct cluster_settings *settings,
                         const struct field *field)
{
    return (char **)((char *)(uintptr_t)settings + field->offset);
}

const char *cluster_role_name(enum cluster_role role)
{
    static const char *const names[] = {"master", "bridge", "agent"};

    return names[role];
}

void cluster_setting_set(char **setting, const char *value)
{
    char *copy = memory_strdup(value);

    free(*setting);
    *setting = copy;
}

/* --- daemons ---------------------------------------------------------------------- */

static struct cluster_daemon daemon_make(const char *folder, size_t index)
{
    struct cluster_daemon daemon = {.role = index < FIXED ? (enum cluster_role)index
                                                          : CLUSTER_AGENT};
    const char *role = cluster_role_name(daemon.role);

    daemon.name = daemon.role == CLUSTER_AGENT
                      ? memory_format("%s-%zu", role, index - FIXED + 1)
                      : memory_strdup(role);
    daemon.folder = fs_join(folder, daemon.name);
    daemon.log = memory_format("%s.log", daemon.folder);
    return daemon;
}

static void daemon_fini(struct cluster_daemon *daemon)
{
    free(daemon->name);
    free(daemon->folder);
    free(daemon->log);
}

void cluster_state_set_agents(struct cluster_state *state, size_t agents)
{
    size_t count = FIXED + agents;

    while (state->daemon_count > count) {
        daemon_fini(&state->daemons[--state->daemon_count]);
    }
    state->daemons = memory_realloc(state->daemons, count * sizeof(*state->daemons));
    while (state->daemon_count < count) {
        state->daemons[state->daemon_count] =
            daemon_make(state->folder, state->daemon_count);
        state->daemon_count++;
    }
}

void cluster_state_fini(struct cluster_state *state)
{
    while (state->daemon_count > 0) {
        daemon_fini(&state->daemons[--state->daemon_count]);
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        free(*setting_of(&state->settings, &fields[i]));
    }
    free(state->daemons);
    free(state->folder);
    *state = (struct cluster_state){0};
}

/* --- the file --------------------------------------------------------------------- */

static int
read_daemon(const struct cJSON *tree, struct cluster_daemon *daemon, struct error *err)
{
    char *pid_path = memory_format("daemons.%s.pid", daemon->name);
    char *identity_path = memory_format("daemons.%s.identity", daemon->name);
    char *ready_path = memory_format("daemons.%s.ready", daemon->name);
    const char *identity = "";
    int64_t pid = 0;
    int result = -1;

    if (json_get_integer(tree, pid_path, 0, INT32_MAX, &pid, err) == 0 &&
        json_get_text(tree, identity_path, &identity, err) == 0 &&
        json_get_bool(tree, ready_path, &daemon->ready, err) == 0) {
        size_t size = strlen(identity);
        if (size < DETACHED_IDENTITY_SIZE) { // a longer one is nobody's
            memcpy(daemon->process.identity, identity, size + 1);
            daemon->process.pid = (pid_t)pid;
        }
        result = 0;
    }
    free(pid_path);
    free(identity_path);
    free(ready_path);
    return result;
}

static int
read_tree(const struct cJSON *tree, struct cluster_state *state, struct error *err)
{
    int64_t agents = 1;

    for (size_t i = 0; i < FIELD_COUNT; i++) {
        char **setting = setting_of(&state->settings, &fields[i]);
        const char *value = *setting;
        if (json_get_text(tree, fields[i].key, &value, err) != 0) {
            return -1;
        }
        cluster_setting_set(setting, value);
    }
    if (json_get_integer(tree, "agents", 1, CLUSTER_AGENTS_MAX, &agents, err) != 0) {
        return -1;
    }
    cluster_state_set_agents(state, (size_t)agents);
    for (size_t i = 0; i < state->daemon_count; i++) {
        if (read_daemon(tree, &state->daemons[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_file(const char *path, struct cluster_state *state, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct cJSON *tree = NULL;
    int result = fs_read(path, FILE_SIZE_MAX, &text, err);

    if (result == 0) {
        state->known = true;
        result = json_parse(buffer_text(&text), text.size, &tree, err);
        if (result == 0) {
            result = read_tree(tree, state, err);
        }
        if (result != 0) {
            error_wrap(err, "%s", path);
        }
        json_free(tree);
    } else if (err->code == ERROR_NOT_FOUND) {
        error_clear(err);
        result = 0;
    }
    buffer_fini(&text);
    return result;
}

int cluster_state_load(const char *folder, struct cluster_state *out, struct error *err)
{
    struct cluster_state state = {.folder = fs_absolute(folder)};
    char *path = fs_join(state.folder, "cluster.json");
    struct error why = {0};

    for (size_t i = 0; i < FIELD_COUNT; i++) {
        cluster_setting_set(setting_of(&state.settings, &fields[i]),
                            fields[i].fallback);
    }
    cluster_state_set_agents(&state, 1);
    int result = read_file(path, &state, &why);
    free(path);
    if (result == 0) {
        *out = state;
    } else {
        error_copy(err, &why);
        cluster_state_fini(&state);
    }
    return result;
}

static void write_daemon(struct json_writer *writer,
                         const struct cluster_daemon *daemon)
{
    json_writer_open(writer, daemon->name, '{');
    json_writer_number(writer, "pid", (uint64_t)daemon->process.pid);
    json_writer_text(writer, "identity", daemon->process.identity);
    json_writer_bool(writer, "ready", daemon->ready);
    json_writer_close(writer, '}');
}

bool cluster_state_runs(const struct cluster_daemon *daemon)
{
    return daemon->process.pid > 0;
}

int cluster_state_save(const struct cluster_state *state, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct json_writer writer = {.out = &text, .indent = INDENT};
    char *path = fs_join(state->folder, "cluster.json");

    json_writer_open(&writer, NULL, '{');
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        json_writer_text(
            &writer, fields[i].key, *setting_of(&state->settings, &fields[i]));
    }
    json_writer_number(&writer, "agents", state->daemon_count - FIXED);
    json_writer_open(&writer, "daemons", '{');
    for (size_t i = 0; i < state->daemon_count; i++) {
        if (cluster_state_runs(&state->daemons[i])) {
            write_daemon(&writer, &state->daemons[i]);
        }
    }
    json_writer_close(&writer, '}');
    json_writer_close(&writer, '}');
    buffer_add_char(&text, '\n');
    int result = fs_write_durable(path, text.data, text.size, 0600, err);
    buffer_fini(&text);
    free(path);
    return result;
}
