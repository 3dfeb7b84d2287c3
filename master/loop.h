/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - decide, persist, act
 *
 * The one thread that decides. It takes what is in the inbox, up to LOOP_BATCH_MAX at a
 * time, runs each message against the state, commits once for all of them, and only
 * then hands the outbox's actions to `act`. So nobody is told what is not on disk, and
 * load makes commits larger, not slower (group commit: Gray & Reuter, Transaction
 * Processing, 9.4). If the commit fails, the actions are dropped and the loop ends:
 * clients retry with the same ids. */
#ifndef CORTEX_MASTER_LOOP_H
#define CORTEX_MASTER_LOOP_H

#include "common/error.h"
#include "master/state.h"

#define LOOP_BATCH_MAX 512 /* messages decided upon under one commit */

struct loop;

/* Runs on the loop's thread. -1 only if the store failed: the loop ends then. */
typedef int (*loop_message_fn)(struct state *state, void *arg, struct error *err);

/* Carries out an action, and owns it. On the loop's thread, after the commit: it must
 * not block for long. */
typedef void (*loop_act_fn)(void *arg, struct action *action);

struct loop *loop_create(struct state *state, loop_act_fn act, void *act_arg);
void loop_destroy(struct loop *loop);

/* Any thread; never blocks. */
void loop_post(struct loop *loop, loop_message_fn message, void *arg);

/* Runs until loop_stop (0) or until the store fails (-1). */
int loop_run(struct loop *loop, struct error *err);

/* Any thread, and a signal's handler may not: ends loop_run after the step under way.
 */
void loop_stop(struct loop *loop);

#endif
