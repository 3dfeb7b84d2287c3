/* SPDX-License-Identifier: Apache-2.0 */
/* work.h - how results come in and batches go out
 *
 * Handles Work, in one round trip. A repeat of the agent's last request is answered
 * with what the first was given. */
#ifndef CORTEX_MASTER_WORK_H
#define CORTEX_MASTER_WORK_H

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"

#define WORK_ASK_MAX         4096        /* batches a worker is given at a time */
#define WORK_REPLY_BYTES_MAX (16u << 20) /* payload in one reply, but for one batch */

int work_handle(struct state *state, const struct request *request, struct error *err);

#endif
