/* SPDX-License-Identifier: Apache-2.0 */
/* launch.h - how workers get what they need: user, devices, setup, cgroup, process
 *
 * Part of crew.c; single-threaded. */
#ifndef CORTEX_AGENT_LAUNCH_H
#define CORTEX_AGENT_LAUNCH_H

#include "agent/member.h"

/* Begins the setup of a new member. */
int launch_begin(struct crew *crew,
                 struct member *member,
                 const struct agent_desired_worker *desired,
                 struct error *err);

/* Its setup is done: starts its process, or fails it. */
void launch_process(struct crew *crew, struct member *member, int64_t now_ms);

/* It cannot be started. */
void launch_fail(struct crew *crew,
                 struct member *member,
                 const struct error *err,
                 int64_t now_ms);

#endif
