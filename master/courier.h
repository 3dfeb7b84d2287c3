/* SPDX-License-Identifier: Apache-2.0 */
/* courier.h - how a dead letter is carried to its queue
 *
 * Reads the batch's payload on a thread of the pool, hands it to SQS, and tells the
 * loop how it ended (deadletter_done). The message is the batch, its JSON array byte
 * for byte, with the string attributes api_name and job_id; a FIFO queue's group and
 * deduplication id are the batch's id. */
#ifndef CORTEX_MASTER_COURIER_H
#define CORTEX_MASTER_COURIER_H

#include "common/error.h"
#include "common/pool.h"
#include "master/loop.h"
#include "master/outbox.h"
#include "master/payload.h"
#include "master/prepare.h"

struct courier;

/* All are borrowed. */
int courier_create(struct pool *pool,
                   struct payload_cache *payloads,
                   const struct prepare *prepare,
                   struct courier **out_courier,
                   struct error *err);

/* After the pool has ended: breaks off what is under way, of which the loop hears
 * nothing. NULL is fine. */
void courier_destroy(struct courier *courier);

/* Carries out an ACTION_DEAD_LETTER, which it owns. Never blocks. */
void courier_send(struct courier *courier, struct loop *loop, struct action *action);

#endif
