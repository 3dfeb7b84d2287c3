/* SPDX-License-Identifier: Apache-2.0 */
/* placement.h - how the scheduler's plan becomes workers
 *
 * Feeds the pure scheduler with the roster and the live jobs and carries its plan out:
 * new workers where there is room now, drains where a job has more than its share. */
#ifndef CORTEX_MASTER_PLACEMENT_H
#define CORTEX_MASTER_PLACEMENT_H

#include "common/error.h"
#include "master/state.h"

/* Does nothing unless state->schedule_dirty. -1 is the store's failure. */
int placement_update(struct state *state, struct error *err);

#endif
