/* SPDX-License-Identifier: Apache-2.0 */
/* recover.h - how a master that starts takes its state up again */
#ifndef CORTEX_MASTER_RECOVER_H
#define CORTEX_MASTER_RECOVER_H

#include "common/error.h"
#include "master/state.h"

/* Loads apis, live jobs with their segments and batches, and workers; enqueuing goes on
 * where it was. Agents that had workers are expected for as long as it takes to give
 * them up as lost. Call once, after state_init. */
int recover_state(struct state *state, struct error *err);

#endif
