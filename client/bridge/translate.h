/* SPDX-License-Identifier: Apache-2.0 */
/* translate.h - how an HTTP request becomes a call to the master, and its answer a
 * reply
 *
 * One function a route. Each blocks while the master is asked, on a thread of a pool,
 * and returns 0 with the request's reply filled, or -1 with an error that the caller
 * turns into one (reply_fail).
 */
#ifndef CORTEX_CLIENT_BRIDGE_TRANSLATE_H
#define CORTEX_CLIENT_BRIDGE_TRANSLATE_H

#include "client/bridge/base_url.h"
#include "client/bridge/callers.h"
#include "client/bridge/follow.h"
#include "client/bridge/request.h"

#define TRANSLATE_PAGE_MAX 1000 /* jobs or batches in an answer */

/* What all requests share. */
struct bridge {
    struct callers *quick; /* for what only reads the master's tables */
    struct callers *slow;  /* for what may wait for S3: submissions and dry runs */
    struct follow *follow;
    struct base_url *base_url;
    int64_t timeout_ms; /* of a quick call: then the master is said to be away */
};

/* A request of which api and job are known. */
struct call {
    struct bridge *bridge;
    struct client_api *api;
    struct request *request;
    const char *api_name; /* NULL for the routes that belong to none */
    uint64_t job_id;      /* 0 where there is none */
    const char *batch_id; /* NULL where there is none; not checked yet */
};

int translate_submit(const struct call *call, struct error *err);
int translate_get_api(const struct call *call, struct error *err);
int translate_get_job(const struct call *call, struct error *err);
int translate_stop_job(const struct call *call, struct error *err);
int translate_get_log(const struct call *call, struct error *err);
int translate_list_batches(const struct call *call, struct error *err);
int translate_get_payload(const struct call *call, struct error *err);

/* DELETE of an api's path: a job has to be named. */
int translate_no_job(const struct call *call, struct error *err);

/* Whether the master answers. */
int translate_ready(const struct call *call, struct error *err);
/* Whether the bridge does. Asks nobody; call->api may be NULL. */
int translate_healthy(const struct call *call, struct error *err);

#endif
