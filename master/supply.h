/* SPDX-License-Identifier: Apache-2.0 */
/* supply.h - what agents get for their workers, and where they leave their logs
 *
 * Handlers that change no row: what they ask for is carried out behind the commit. */
#ifndef CORTEX_MASTER_SUPPLY_H
#define CORTEX_MASTER_SUPPLY_H

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"

/* All a worker of a job needs to know (GetSetup). */
int supply_setup(struct state *state, const struct request *request, struct error *err);

/* A piece of the job's archive (GetProject). */
int supply_project(struct state *state,
                   const struct request *request,
                   struct error *err);

/* A chunk of a worker's log (AppendLog). */
int supply_log(struct state *state, const struct request *request, struct error *err);

#endif
