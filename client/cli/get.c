/* SPDX-License-Identifier: Apache-2.0 */
/* get.c - `cortex get`: what is deployed, what became of its jobs */
#include <stdlib.h>

#include "client/cli/command.h"
#include "client/cli/connection.h"
#include "client/cli/get.h"
#include "client/cli/output.h"
#include "client/cli/show.h"
#include "client/cli/watch.h"
#include "client/document.h"
#include "common/clock.h"

static const char *env_name;
static const char *format;
static bool watch;
static bool verbose;

static const struct option_row rows[] = {
    CONNECTION_OPTION(&env_name),
    OUTPUT_OPTION(&format),
    {
        .name = "watch",
        .letter = 'w',
        .type = OPTION_FLAG,
        .target = &watch,
        .help = "draw it again every second until no job is in progress",
    },
    {
        .name = "verbose",
        .letter = 'v',
        .type = OPTION_FLAG,
        .target = &verbose,
        .help = "add configurations and past versions",
    },
    {0},
};

/* What was asked for, as the master last told it. */

void get_answer_fini(struct get_answer *answer)
{
    client_listing_fini(&answer->listing);
    client_detail_fini(&answer->detail);
    client_job_fini(&answer->job);
    client_definition_fini(&answer->definition);
}

int get_ask(struct client_api *api,
            const struct get_question *question,
            struct get_answer *out,
            struct error *err)
{
    struct get_answer answer = {0};
    int result;

    if (question->has_job) {
        result = client_api_get_job(api,
                                    question->api_name,
                                    question->job_id,
                                    &answer.job,
                                    &answer.definition,
                                    err);
    } else if (question->api_name) {
        result = client_api_get(api, question->api_name, NULL, &answer.detail, err);
    } else {
        result = client_api_list(api, &answer.listing, err);
    }
    if (result == 0) {
        *out = answer;
    }
    return result;
}

static bool any_job_listed(const struct client_listing *listing, bool in_progress)
{
    for (size_t i = 0; i < listing->count; i++) {
        if (in_progress ? listing->apis[i].definition.jobs_in_progress > 0
                        : listing->apis[i].has_latest_job) {
            return true;
        }
    }
    return false;
}

bool get_is_over(const struct get_question *question, const struct get_answer *answer)
{
    if (question->has_job) {
        return client_job_state_terminal(answer->job.state);
    }
    if (question->api_name) {
        return answer->detail.job_count > 0 &&
               answer->detail.definition.jobs_in_progress == 0;
    }
    return any_job_listed(&answer->listing, false) &&
           !any_job_listed(&answer->listing, true);
}

/* Writing it. */

static void add_document(struct buffer *out,
                         const struct get_question *question,
                         const struct get_answer *answer)
{
    const char *url = question->show.bridge_url;

    if (question->has_job) {
        document_job(out, &answer->job, &answer->definition, url);
    } else if (question->api_name) {
        document_api(out, &answer->detail, url);
    } else {
        document_apis(out, &answer->listing, url);
    }
}

void get_render(struct buffer *out,
                const struct get_question *question,
                const struct get_answer *answer)
{
    struct show show = question->show;

    show.now_ns = clock_wall_ns();
    if (question->json) {
        add_document(out, question, answer);
    } else if (question->has_job) {
        show_job(out, &show, &answer->job, &answer->definition);
    } else if (question->api_name) {
        show_api(out, &show, &answer->detail);
    } else {
        show_apis(out, &show, question->env_column, &answer->listing);
    }
}

static int
get_once(struct client_api *api, const struct get_question *question, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct get_answer answer;

    if (get_ask(api, question, &answer, err) != 0) {
        return -1;
    }
    get_render(&text, question, &answer);
    if (answer.detail.more && !question->json) {
        output_hint("older jobs are not shown");
    }
    get_answer_fini(&answer);
    return output_take(&text, err);
}

static int
read_question(char **positional, int count, struct get_question *out, struct error *err)
{
    *out = (struct get_question){
        .api_name = count > 0 ? positional[0] : NULL,
        .env_name = env_name,
        .show = {.bold = output_is_terminal(), .verbose = verbose},
    };
    if (output_is_json(format, &out->json, err) != 0) {
        return -1;
    }
    out->has_job = count > 1;
    return out->has_job ? get_read_job_id(positional[1], &out->job_id, err) : 0;
}

int get_read_job_id(const char *text, uint64_t *out, struct error *err)
{
    if (id_job_parse(text, out)) {
        return 0;
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "got \"%s\", expected a job id: 16 digits of 0-9 and a-f",
                     text);
}

static int get_run(char **positional, int count, struct error *err)
{
    struct connection connection;
    struct get_question question;

    if (read_question(positional, count, &question, err) != 0 ||
        connection_open(env_name, &connection, err) != 0) {
        return -1;
    }
    question.show.bridge_url = connection.bridge_url;
    question.env_column = env_name ? NULL : connection.environment.name;
    int result = watch ? watch_run(connection.api, &question, err)
                       : get_once(connection.api, &question, err);
    connection_fini(&connection);
    return result;
}

const struct command command_get = {
    .name = "get",
    .usage = "[OPTION]... [API [JOB_ID]]",
    .brief = "show APIs, the jobs of one, or one job",
    .summary = "Shows all APIs; or the jobs and the endpoint of one API, newest first;"
               " or one job\nwith its batches and workers.\n\n"
               "With --watch it ends by itself when no job of what it shows is in "
               "progress any more\n(it waits for the first one if there never was "
               "any), and leaves the last state behind.\nWithout a terminal it prints "
               "that state only.",
    .examples = "cortex get\n"
                "cortex get image-classifier\n"
                "cortex get image-classifier 69d6faf82e4660d3 --watch\n"
                "cortex get image-classifier 69d6faf82e4660d3 --output json",
    .rows = rows,
    .positional_min = 0,
    .positional_max = 2,
    .run = get_run,
};
