/* SPDX-License-Identifier: Apache-2.0 */
/* deploy.h - how definitions come to be current, and cease to be
 *
 * Handles Deploy and DeleteApi. A thread of the pool has parsed the file and looked
 * into the project beforehand. */
#ifndef CORTEX_MASTER_DEPLOY_H
#define CORTEX_MASTER_DEPLOY_H

#include "common/error.h"
#include "master/api_spec.h"
#include "master/request.h"
#include "master/state.h"

/* What the pool made of a cortex.yaml. */
struct deploy_prepared {
    struct error error; /* code OK: the rest holds */
    struct api_specs specs;
};

void deploy_prepared_free(struct deploy_prepared *prepared); /* NULL is fine */

/* request->prepared is a struct deploy_prepared. All apis of the file or none. */
int deploy_handle(struct state *state,
                  const struct request *request,
                  struct error *err);

/* Stops the api's jobs and forgets it with all its history. */
int deploy_delete(struct state *state,
                  const struct request *request,
                  struct error *err);

#endif
