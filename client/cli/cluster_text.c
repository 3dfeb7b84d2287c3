/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_text.c - how a cluster of this machine is shown */
#include "client/cli/cluster_text.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/output.h"
#include "client/cli/render.h"
#include "client/json_writer.h"

#define JSON_INDENT 4

char *cluster_text_url(const struct cluster_state *state)
{
    return memory_format("http://%s", state->settings.bridge_listen);
}

// The caller frees; NULL for an agent, which is not called by anyone.
static char *address_of(const struct cluster_state *state,
                        const struct cluster_daemon *daemon)
{
    switch (daemon->role) {
    case CLUSTER_MASTER:
        return memory_strdup(state->settings.master_listen);
    case CLUSTER_BRIDGE:
        return cluster_text_url(state);
    case CLUSTER_AGENT:
        break;
    }
    return NULL;
}

static void add_daemon(struct json_writer *writer,
                       const struct cluster_state *state,
                       const struct cluster_daemon *daemon)
{
    char *address = address_of(state, daemon);

    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "role", cluster_role_name(daemon->role));
    json_writer_text(writer, "name", daemon->name);
    json_writer_text(writer, "status", cluster_state_runs(daemon) ? "running" : "down");
    if (cluster_state_runs(daemon)) {
        json_writer_number(writer, "pid", (uint64_t)daemon->process.pid);
    } else {
        json_writer_null(writer, "pid");
    }
    json_writer_text_or_null(writer, "address", address ? address : "");
    json_writer_text(writer, "log", daemon->log);
    json_writer_text(writer, "state_dir", daemon->folder);
    json_writer_close(writer, '}');
    free(address);
}

void cluster_text_json(struct buffer *out, const struct cluster_state *state)
{
    struct json_writer writer = {.out = out, .indent = JSON_INDENT};
    char *url = cluster_text_url(state);

    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "env", state->settings.env);
    json_writer_text(&writer, "endpoint", url);
    json_writer_text(&writer, "state_dir", state->folder);
    json_writer_open(&writer, "daemons", '[');
    for (size_t i = 0; state->known && i < state->daemon_count; i++) {
        add_daemon(&writer, state, &state->daemons[i]);
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    buffer_add_char(out, '\n');
    free(url);
}

#define COLUMNS 5

void cluster_text_table(struct buffer *out, const struct cluster_state *state)
{
    static const struct render_column columns[COLUMNS] = {
        {"daemon"}, {"pid"}, {"address"}, {"log"}, {"state folder"}};
    char **cells = memory_zalloc(state->daemon_count * COLUMNS * sizeof(*cells));

    for (size_t i = 0; i < state->daemon_count; i++) {
        const struct cluster_daemon *daemon = &state->daemons[i];
        char **row = cells + i * COLUMNS;
        char *address = address_of(state, daemon);
        row[0] = memory_strdup(daemon->name);
        row[1] = cluster_state_runs(daemon)
                     ? memory_format("%ld", (long)daemon->process.pid)
                     : memory_strdup("down");
        row[2] = address ? address : memory_strdup("-");
        row[3] = memory_strdup(daemon->log);
        row[4] = memory_strdup(daemon->folder);
    }
    render_table(
        out, columns, COLUMNS, cells, state->daemon_count, output_is_terminal());
    for (size_t i = 0; i < state->daemon_count * COLUMNS; i++) {
        free(cells[i]);
    }
    free(cells);
}

// "master, bridge, agent-1": those that are marked.
void cluster_text_marked(struct buffer *out, const struct cluster_state *state)
{
    const char *comma = "";

    for (size_t i = 0; i < state->daemon_count; i++) {
        if (state->daemons[i].marked) {
            buffer_add_format(out, "%s%s", comma, state->daemons[i].name);
            comma = ", ";
        }
    }
}

void cluster_text_up(struct buffer *out,
                     const struct cluster_state *state,
                     const struct environments *environments,
                     bool own_folder,
                     size_t started)
{
    const char *env = state->settings.env;
    bool is_default = strcmp(environments->default_name, env) == 0;
    char *url = memory_format("http://%s/<api>", state->settings.bridge_listen);
    char *name = memory_format("%s%s", env, is_default ? " (default)" : "");
    char *stop = memory_format("cortex cluster down%s%s",
                               own_folder ? " --state-dir " : "",
                               own_folder ? state->folder : "");
    const struct render_pair pairs[] = {
        {"endpoint", url}, {"environment", name}, {"to stop it", stop}};

    if (started > 0) {
        buffer_add_text(out, "started ");
        cluster_text_marked(out, state);
        buffer_add_text(out, "\n\n");
    } else {
        buffer_add_text(out, "the cluster is up already\n\n");
    }
    render_pairs(out, pairs, sizeof(pairs) / sizeof(pairs[0]), output_is_terminal());
    free(url);
    free(name);
    free(stop);
}
