/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - who makes the calls to the master
 *
 * A client_api has one call in flight, so a pool is some threads with one each. Work
 * is done in the order it came. Threads, and with them connections, are made as they
 * are needed, up to threads_max. All functions are thread-safe.
 */
#ifndef CORTEX_CLIENT_BRIDGE_POOL_H
#define CORTEX_CLIENT_BRIDGE_POOL_H

#include "client/api.h"

struct pool;

/* Embedded in what is to be done. `run` is called once a submission, on a thread of the
 * pool; it may block, free its owner or submit the work again. */
struct pool_work {
    void (*run)(struct pool_work *work, struct client_api *api);
    struct pool_work *next; /* the pool's */
};

int pool_create(const char *master_url,
                unsigned threads_max,
                struct pool **out_pool,
                struct error *err);

void pool_submit(struct pool *pool, struct pool_work *work);

/* Ends the calls in flight with CANCELLED, lets what is queued fail the same way, and
 * returns when the threads have ended. Nothing may be submitted afterwards. The
 * connections stay open until the process ends (common/rpc_client.h says why). */
void pool_stop(struct pool *pool);

#endif
