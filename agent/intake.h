/* SPDX-License-Identifier: Apache-2.0 */
/* intake.h - what runners say, and how much of it the agent takes in at a time
 *
 * Large results are received one after another within CREW_LARGE_MAX, those on their
 * way to the store included, while their workers wait. Part of crew.c; single-threaded.
 */
#ifndef CORTEX_AGENT_INTAKE_H
#define CORTEX_AGENT_INTAKE_H

#include "agent/member.h"

/* Whether more may be received from it: a large frame waits until there is room. */
bool intake_admits(struct crew *crew, struct member *member);

/* The large frame is whole, or will never be. */
void intake_end_admission(struct crew *crew, struct member *member);

/* Reads frames and handles those that are whole; false if there was nothing to read. */
bool intake_take(struct crew *crew, struct member *member, int64_t now_ms);

/* An event of its socket. */
void intake_read(struct crew *crew, struct member *member, int64_t now_ms);

#endif
