/* SPDX-License-Identifier: Apache-2.0 */
/* partition.h - which items make a batch
 *
 * Items go in, in order; a batch comes out when it has `items_max` of them: the text of
 * a JSON array, the items as they stand joined by ','. Memory is bounded by one batch.
 * Pure; one thread at a time. Embedded in its owner.
 */
#ifndef CORTEX_MASTER_PARTITION_H
#define CORTEX_MASTER_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/json_text.h"

struct partition {
    uint32_t items_max;
    size_t size_max;
    uint32_t items; /* in `batch` */
    bool complete;  /* `batch` was handed out */
    struct buffer batch;
    uint64_t index; /* of the batch under way */
};

/* size_max: bytes of a batch, brackets and commas included. first_index: the first
 * batch's, for errors. */
void partition_init(struct partition *partition,
                    uint32_t items_max,
                    size_t size_max,
                    uint64_t first_index);
void partition_fini(struct partition *partition);

/* Adds an item. 1: *out_batch is a full batch, borrowed until the next call; 0: not
 * yet; -1: OUT_OF_RANGE, the batch would be larger than size_max, with number and
 * limit. */
int partition_add(struct partition *partition,
                  struct json_slice item,
                  struct json_slice *out_batch,
                  struct error *err);

/* The items that are left: 1 and the last batch, or 0 if there are none. */
int partition_flush(struct partition *partition, struct json_slice *out_batch);

#endif
