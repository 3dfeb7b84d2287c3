/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.h - how a request comes to be decided
 *
 * A call comes in on one of nng's threads. It is refused if its role may not make it or
 * if it is too large; what is heavy or waits is done for it on a thread of the pool
 * (prepare.h); then it goes to the loop, which decides and answers. What is carried out
 * outside of the loop, such as a piece of a project or a changed key, is put on record
 * there before it is answered.
 *
 * Embedded in its owner.
 */
#ifndef CORTEX_MASTER_DISPATCH_H
#define CORTEX_MASTER_DISPATCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/pool.h"
#include "common/rpc_server.h"
#include "master/admission.h"
#include "master/loop.h"
#include "master/prepare.h"
#include "master/routes.h"

struct dispatch {
    struct loop *loop; /* set by the owner before the first request */
    struct pool *pool;
    const struct prepare *prepare;
    struct admission *admission; /* NULL: there are no keys */
    struct keys *keys;           /* its own */
    _Atomic int64_t refused_ms;  /* when a line last told of a refused command */
};

/* All are borrowed; admission may be NULL. */
void dispatch_init(struct dispatch *dispatch,
                   struct pool *pool,
                   const struct prepare *prepare,
                   struct admission *admission);

/* A call that came in; owns it. Any thread, never blocks. */
void dispatch_request(struct dispatch *dispatch,
                      const struct route *route,
                      struct rpc_call *call);

#endif
