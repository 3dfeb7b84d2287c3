/* SPDX-License-Identifier: Apache-2.0 */
/* get.h - what `cortex get` asks and how its answer is written
 *
 * For one look and for watching alike. Single-threaded. */
#ifndef CORTEX_CLIENT_CLI_GET_H
#define CORTEX_CLIENT_CLI_GET_H

#include <stdbool.h>
#include <stdint.h>

#include "client/api.h"
#include "client/cli/show.h"
#include "common/buffer.h"
#include "common/error.h"

struct get_question {
    const char *api_name; /* NULL: all APIs */
    bool has_job;
    uint64_t job_id;
    bool json;
    const char *env_name;   /* what --env said, or NULL */
    const char *env_column; /* the environment to show beside each API, or NULL */
    struct show show;       /* its time is set at each rendering */
};

/* Only what was asked for is there; the rest is zero. */
struct get_answer {
    struct client_listing listing;
    struct client_detail detail;
    struct client_job job;
    struct client_definition definition; /* the job's */
};

/* Blocks for the call. Free *out with get_answer_fini. */
int get_ask(struct client_api *api,
            const struct get_question *question,
            struct get_answer *out,
            struct error *err);
void get_answer_fini(struct get_answer *answer);

/* Whether there was a job and none is in progress. */
bool get_is_over(const struct get_question *question, const struct get_answer *answer);

/* Adds the answer as text or JSON. */
void get_render(struct buffer *out,
                const struct get_question *question,
                const struct get_answer *answer);

/* INVALID_ARGUMENT quotes what is no job id. */
int get_read_job_id(const char *text, uint64_t *out, struct error *err);

#endif
