/* SPDX-License-Identifier: Apache-2.0 */
/* sync.h - how an agent's statement is taken in, and when it is answered
 *
 * Handles Sync: desired state against actual. A repeat does no harm. */
#ifndef CORTEX_MASTER_SYNC_H
#define CORTEX_MASTER_SYNC_H

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"

/* Takes the statement in and parks the call; sync_answer replies. */
int sync_handle(struct state *state, const struct request *request, struct error *err);

/* Answers every parked call whose agent has news or whose time is up. Call at the end
 * of each step. */
void sync_answer(struct state *state);

/* Answers all of them, for leaving: agents call again when the master is back. */
void sync_answer_all(struct state *state);

/* The agent has not been heard of for too long: its workers are gone. It is freed. */
int sync_lose_agent(struct state *state, struct roster_agent *agent, struct error *err);

/* Gives back what agents had whose keys are refused now, as if they were lost. Their
 * sessions end by themselves. */
int sync_lose_refused(struct state *state, struct keys *keys, struct error *err);

#endif
