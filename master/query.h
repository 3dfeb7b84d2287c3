/* SPDX-License-Identifier: Apache-2.0 */
/* query.h - what the master tells about apis, jobs and batches
 *
 * Handlers that only read. */
#ifndef CORTEX_MASTER_QUERY_H
#define CORTEX_MASTER_QUERY_H

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"
#include "proto/types.pb-c.h"

int query_info(struct state *state, const struct request *request, struct error *err);
int query_list_apis(struct state *state,
                    const struct request *request,
                    struct error *err);
int query_api(struct state *state, const struct request *request, struct error *err);
int query_endpoint(struct state *state,
                   const struct request *request,
                   struct error *err);
int query_job(struct state *state, const struct request *request, struct error *err);
int query_batches(struct state *state,
                  const struct request *request,
                  struct error *err);
int query_log(struct state *state, const struct request *request, struct error *err);
/* All a worker of a job needs to know (GetSetup). */
int query_setup(struct state *state, const struct request *request, struct error *err);
/* An agent's chunk of log (AppendLog) and its wish for an archive (GetProject): checked
 * here, carried out behind the commit. */
int query_append_log(struct state *state,
                     const struct request *request,
                     struct error *err);
int query_project(struct state *state,
                  const struct request *request,
                  struct error *err);

/* The parts of replies, on the heap. */
Cortex__V1__Api *query_definition(const struct state *state,
                                  const struct api_version *version);
/* A job as it was when it was submitted. */
Cortex__V1__Job *query_submitted(const struct job_record *record);

#endif
