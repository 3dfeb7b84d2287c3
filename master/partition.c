/* SPDX-License-Identifier: Apache-2.0 */
/* partition.c - which items make a batch */
#include "master/partition.h"

#include <inttypes.h>

void partition_init(struct partition *partition,
                    uint32_t items_max,
                    size_t size_max,
                    uint64_t first_index)
{
    *partition = (struct partition){.items_max = items_max,
                                    .size_max = size_max,
                                    .batch = BUFFER_INIT,
                                    .index = first_index};
}

void partition_fini(struct partition *partition)
{
    buffer_fini(&partition->batch);
}

static int complete(struct partition *partition, struct json_slice *out_batch)
{
    buffer_add_char(&partition->batch, ']');
    *out_batch = (struct json_slice){partition->batch.data, partition->batch.size};
    partition->complete = true;
    partition->items = 0;
    partition->index++;
    return 1;
}

int partition_add(struct partition *partition,
                  struct json_slice item,
                  struct json_slice *out_batch,
                  struct error *err)
{
    struct buffer *batch = &partition->batch;

    if (partition->complete) {
        buffer_clear(batch);
        partition->complete = false;
    }
    size_t size = (batch->size ? batch->size : 1) + (partition->items > 0) + item.size;
    if (size + 1 > partition->size_max) {
        return error_set(err,
                         ERROR_OUT_OF_RANGE,
                         "batch %" PRIu64 " would have %zu bytes with its %" PRIu32
                         " items so far, the limit is %zu bytes",
                         partition->index,
                         size + 1,
                         partition->items + 1,
                         partition->size_max);
    }
    buffer_add_char(batch, partition->items ? ',' : '[');
    buffer_add(batch, item.text, item.size);
    partition->items++;
    return partition->items == partition->items_max ? complete(partition, out_batch)
                                                    : 0;
}

int partition_flush(struct partition *partition, struct json_slice *out_batch)
{
    return partition->items ? complete(partition, out_batch) : 0;
}
