/* SPDX-License-Identifier: Apache-2.0 */
/* callers.h - who makes the calls to the master
 *
 * A client_api has one call in flight, so these are some threads with one each. Clients
 * take turns: who has much to be done waits behind its own, and nobody else does (fair
 * queueing; Nagle, RFC 970, 1985). Of one client, work is done in the order it came.
 * Threads, and with them connections, are made as they are needed, up to threads_max.
 * All functions are thread-safe.
 */
#ifndef CORTEX_CLIENT_BRIDGE_CALLERS_H
#define CORTEX_CLIENT_BRIDGE_CALLERS_H

#include "client/api.h"

struct callers;

/* Embedded in what is to be done. `run` is called once a submission, on one of the
 * threads; it may block, free its owner or submit the work again. */
struct callers_work {
    void (*run)(struct callers_work *work, struct client_api *api);
    uint64_t client; /* whose it is: any number; the same one, the same client */
    uint64_t turn;   /* theirs */
    struct callers_work *next; /* theirs */
};

/* seal is borrowed for as long as the process lives; NULL: frames are clear. */
int callers_create(const char *master_url,
                   const struct session_client_options *seal,
                   unsigned threads_max,
                   struct callers **out_callers,
                   struct error *err);

void callers_submit(struct callers *callers, struct callers_work *work);

/* Ends the calls in flight with CANCELLED, lets what is queued fail the same way, and
 * returns when the threads have ended. Nothing may be submitted afterwards. The
 * connections stay open until the process ends (common/rpc_client.h says why). */
void callers_stop(struct callers *callers);

#endif
