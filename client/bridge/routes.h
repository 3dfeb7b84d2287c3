/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h - which requests there are, and who answers each
 *
 * One table (in routes.c): method, shape of the path, function. The master
 * knows which api a path belongs to; what follows the endpoint, or the query, names the
 * job.
 */
#ifndef CORTEX_CLIENT_BRIDGE_ROUTES_H
#define CORTEX_CLIENT_BRIDGE_ROUTES_H

#include "client/bridge/translate.h"

/* Said of a token, whatever it lacks. */
#define ROUTES_FORBIDDEN "the token does not allow this"

/* Whether anybody may ask for it, without a token. */
bool routes_open(const struct request *request);

/* Answers what needs no master: true if the reply is filled. Never blocks. */
bool routes_answer_now(struct request *request);

/* The pool whose thread is to call routes_answer. */
struct callers *routes_pool(const struct bridge *bridge, const struct request *request);

/* The request's token says for which apis it is.
 * Fills the request's reply, whatever happens. Blocks while the master is asked, at
 * most until deadline_ms (monotonic) for what only reads. */
void routes_answer(struct bridge *bridge,
                   struct client_api *api,
                   struct request *request,
                   int64_t deadline_ms);

#endif
