/* SPDX-License-Identifier: Apache-2.0 */
/* query.h - what the master tells about apis, jobs and batches
 *
 * Handlers that only read, and the parts of replies that others share. */
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
int query_log(struct state *state, const struct request *request, struct error *err);
/* The parts of replies, on the heap. */
Cortex__V1__Api *query_definition(const struct state *state,
                                  const struct api_version *version);
/* A job as it was when it was submitted. version, which it is pinned to, may be NULL.
 */
Cortex__V1__Job *query_submitted(const struct job_record *record,
                                 const struct api_version *version);

/* What handlers that read share. */

/* Puts the message, which is taken, into the outbox as the answer. */
void query_reply(struct state *state, void *call, ProtobufCMessage *message);

/* The record of any job of the api ("" : of whatever api) that who asks may see, live
 * or over. The caller finis it. NOT_FOUND resources.api_not_deployed or
 * batchapi.job_not_found. */
int query_find_job(const struct state *state,
                   const struct caller *caller,
                   const char *api_name,
                   uint64_t job_id,
                   struct job_record *out_record,
                   struct error *err);
int query_unknown_job(const char *api_name, uint64_t job_id, struct error *err);

#endif
