/* SPDX-License-Identifier: Apache-2.0 */
/* act.h - how decisions are carried out
 *
 * Owns everything that waits: the pool's threads, the enqueuings, the job logs, the
 * object stores. The loop's actions come here after the commit. */
#ifndef CORTEX_MASTER_ACT_H
#define CORTEX_MASTER_ACT_H

#include "common/error.h"
#include "common/rpc_server.h"
#include "master/admission.h"
#include "master/loop.h"
#include "master/routes.h"

#define ACT_POOL_THREADS       4           /* requests and payloads */
#define ACT_PAYLOAD_CACHE_SIZE (64u << 20) /* bytes of segments in memory */

struct act;

struct act_options {
    const char *state_folder; /* absolute */
    bool allow_file;          /* users' file:// URLs are taken */
    /* Whose keys say what callers may see; NULL: there are none. */
    struct admission *admission;
};

int act_create(const struct act_options *options,
               struct act **out_act,
               struct error *err);

/* Where requests go on to; before the first of them. */
void act_set_loop(struct act *act, struct loop *loop);

/* For leaving: ends enqueuing where it is, and answers those who wait for a log, or
 * will. Any thread. */
void act_leave(struct act *act);

/* Stops enqueuing, finishes what the pool has, writes the logs. */
void act_destroy(struct act *act);

/* dispatch_request with what is owned here. */
void act_request(struct act *act, const struct route *route, struct rpc_call *call);

/* loop_act_fn; arg is the struct act. */
void act_carry_out(void *arg, struct action *action);

#endif
