/* SPDX-License-Identifier: Apache-2.0 */
/* version.c - `cortex version`: which release this is, and which the cluster runs */
#include "common/version.h"

#include <string.h>

#include "client/cli/command.h"
#include "client/cli/connection.h"
#include "client/cli/output.h"
#include "client/json_writer.h"

static const char *env_name;
static const char *format;

static const struct option_row rows[] = {
    CONNECTION_OPTION(&env_name),
    OUTPUT_OPTION(&format),
    {0},
};

// cluster_release NULL: there is none to ask, or it does not answer.
static int write_versions(const char *cluster_release, bool json, struct error *err)
{
    struct buffer out = BUFFER_INIT;
    struct json_writer writer = {.out = &out};

    if (json) {
        json_writer_open(&writer, NULL, '{');
        json_writer_text(&writer, "cli_version", version_text());
        json_writer_text_or_null(
            &writer, "cluster_version", cluster_release ? cluster_release : "");
        json_writer_close(&writer, '}');
        buffer_add_char(&out, '\n');
    } else {
        buffer_add_format(&out, "cli version: %s\n", version_text());
        if (cluster_release) {
            buffer_add_format(&out, "cluster version: %s\n", cluster_release);
        }
    }
    return output_take(&out, err);
}

static int count_environments(size_t *out, struct error *err)
{
    struct environments all = {0};

    if (environments_load(&all, err) != 0) {
        return -1;
    }
    *out = all.count;
    environments_fini(&all);
    return 0;
}

static int version_run(char **positional, int count, struct error *err)
{
    struct connection connection;
    size_t environments;
    bool json;

    (void)positional;
    (void)count;
    if (output_is_json(format, &json, err) != 0 ||
        count_environments(&environments, err) != 0) {
        return -1;
    }
    if (!env_name && environments == 0) {
        return write_versions(NULL, json, err);
    }
    if (connection_open(env_name, &connection, err) != 0) {
        struct error ignored;
        (void)write_versions(NULL, json, &ignored); // what is known is told anyway
        return -1;
    }
    int result = write_versions(connection.release, json, err);
    connection_fini(&connection);
    return result;
}

const struct command command_version = {
    .name = "version",
    .usage = "[OPTION]...",
    .brief = "show the releases of this program and of the cluster",
    .summary = "Shows the release of this program and that of the cluster; only the "
               "former while no\nenvironment is configured.",
    .examples = "cortex version --env aws",
    .rows = rows,
    .positional_min = 0,
    .positional_max = 0,
    .run = version_run,
};
