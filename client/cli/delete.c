/* SPDX-License-Identifier: Apache-2.0 */
/* delete.c - `cortex delete`: forgets an API, or stops a job */
#include <stdlib.h>

#include "client/cli/command.h"
#include "client/cli/connection.h"
#include "client/cli/get.h"
#include "client/cli/output.h"
#include "client/document.h"

static const char *env_name;
static const char *format;
static bool force;
static bool keep_cache;

static const struct option_row rows[] = {
    CONNECTION_OPTION(&env_name),
    OUTPUT_OPTION(&format),
    {
        .name = "force",
        .letter = 'f',
        .type = OPTION_FLAG,
        .target = &force,
        .help = "changes nothing: deleting never asks",
    },
    {
        .name = "keep-cache",
        .letter = 'c',
        .type = OPTION_FLAG,
        .target = &keep_cache,
        .help = "keep the API's data in the cluster's state folder",
    },
    {0},
};

static int write_message(const char *message, bool json, struct error *err)
{
    struct buffer out = BUFFER_INIT;

    if (json) {
        document_message(&out, message);
    } else {
        buffer_add_format(&out, "%s\n", message);
    }
    return output_take(&out, err);
}

static int delete_run(char **positional, int count, struct error *err)
{
    struct connection connection;
    char *message = NULL;
    uint64_t job_id = 0;
    bool json;

    if (output_is_json(format, &json, err) != 0 ||
        (count > 1 && get_read_job_id(positional[1], &job_id, err) != 0) ||
        connection_open(env_name, &connection, err) != 0) {
        return -1;
    }
    struct client_api *api = connection.api;
    int result = count > 1
                     ? client_api_stop_job(api, positional[0], job_id, &message, err)
                     : client_api_delete(api, positional[0], keep_cache, &message, err);
    if (result == 0) {
        result = write_message(message, json, err);
    }
    free(message);
    connection_fini(&connection);
    return result;
}

const struct command command_delete = {
    .name = "delete",
    .usage = "[OPTION]... API [JOB_ID]",
    .brief = "delete an API, or stop one of its jobs",
    .summary =
        "With a job id, stops that job; it stays listed, and what it has written "
        "stays.\n\nWithout, stops all jobs of the API that are in progress and "
        "forgets the API and the\nhistory of its jobs. Results in S3 and in "
        "files are never deleted.",
    .examples = "cortex delete image-classifier 69d6faf82e4660d3\n"
                "cortex delete image-classifier",
    .rows = rows,
    .positional_min = 1,
    .positional_max = 2,
    .run = delete_run,
};
