/* SPDX-License-Identifier: Apache-2.0 */
/* submit.h - how a checked submission becomes a job
 *
 * A thread of the pool has read and checked the body and put it on disk beforehand
 * (prepare.h); here it is decided whether there is a job. */
#ifndef CORTEX_MASTER_SUBMIT_H
#define CORTEX_MASTER_SUBMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/id.h"
#include "master/request.h"
#include "master/state.h"

#define SUBMIT_KEY_SIZE_MAX 255 /* bytes of an idempotency key */

/* What the pool made of a body. */
struct submit_prepared {
    struct error error; /* code OK: it is a good one, the rest holds */
    uint64_t job_id;    /* of the job to be; its folder holds the body */
    uint32_t workers;
    uint64_t timeout_s; /* 0: none */
    uint32_t max_attempts;
    char *dead_letter_arn; /* NULL: none */
    char *config;          /* as it was sent, NULL: none */
    size_t config_size;
    char body_hash[ID_PROJECT_TEXT_SIZE];
};

void submit_prepared_free(struct submit_prepared *prepared); /* NULL is fine */

/* Handles SubmitJob; request->prepared is a struct submit_prepared. */
int submit_handle(struct state *state,
                  const struct request *request,
                  struct error *err);

/* NULL with NOT_FOUND resources.api_not_deployed if there is no such api, or none that
 * the caller may see. Borrowed. */
struct api_version *submit_find_api(const struct state *state,
                                    const struct caller *caller,
                                    const char *name,
                                    struct error *err);

/* The enqueuer has written a segment: its batches exist once this is committed. False
 * in *out_going_on: the job is no longer enqueuing. */
int submit_segment(struct state *state,
                   uint64_t job_id,
                   const struct segment *segment,
                   bool *out_going_on,
                   struct error *err);

/* The enqueuer has come to the input's end, or failed with `failure` (else NULL). */
int submit_enqueued(struct state *state,
                    uint64_t job_id,
                    const struct error *failure,
                    struct error *err);

#endif
