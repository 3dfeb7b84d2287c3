/* SPDX-License-Identifier: Apache-2.0 */
/* control.h - how a user stops a job, and what time itself brings about
 *
 * Handles StopJob, and everything that happens because a moment has come: timeouts,
 * leases that run out, agents that are not heard of. */
#ifndef CORTEX_MASTER_CONTROL_H
#define CORTEX_MASTER_CONTROL_H

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"

/* Ends the job at once, and is answered when every agent that has workers of it
 * follows: then none begins a batch of it any more. An agent that cannot be reached is
 * waited for until it is lost. A repeat is answered as the first, for an hour.
 * FAILED_PRECONDITION batchapi.job_is_not_in_progress for a job that is terminal. */
int control_stop(struct state *state, const struct request *request, struct error *err);

/* Keeps the request id of a call that was carried out and cannot be a second time. */
int control_remember(struct state *state,
                     const struct request *request,
                     struct error *err);

/* Answers the stops that have come into force; with `all` the others too, by
 * UNAVAILABLE: the master leaves, and a repeat finds the next one. */
void control_answer_stops(struct state *state, bool all);

/* Looks at all that has a deadline and sets state->wake_ms anew. Call when wake_ms has
 * come; more often does no harm. */
int control_tick(struct state *state, struct error *err);

/* The master itself was away for late_ms (stopped, or waiting for its disk): those who
 * could not reach it meanwhile have that much more time. */
void control_forgive(struct state *state, int64_t late_ms);

#endif
