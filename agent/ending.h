/* SPDX-License-Identifier: Apache-2.0 */
/* ending.h - how workers end, and what is said of it
 *
 * Part of crew.c; single-threaded. */
#ifndef CORTEX_AGENT_ENDING_H
#define CORTEX_AGENT_ENDING_H

#include "agent/member.h"

/* No process of it is left: its last lines are shipped from now on. */
void ending_begin(struct crew *crew, struct member *member, int64_t now_ms);

/* Its process may have ended: then why, and ending_begin. */
void ending_reap(struct crew *crew, struct member *member, int64_t now_ms);

/* All of it is shipped: tells the agent, and has removed what is left. */
void ending_report(struct crew *crew, struct member *member, int64_t now_ms);

/* Of one that was told to leave: gives back what it has not begun, which need not wait
 * for the end of what it has. */
void ending_return_unbegun(struct crew *crew,
                           struct member *member,
                           int64_t now_ms,
                           int64_t *out_wake_ms);

/* Kills who should have ended by now. Patience begins when nothing of the job's is left
 * to do. */
void ending_hurry(struct member *member, int64_t now_ms, int64_t *out_wake_ms);

#endif
