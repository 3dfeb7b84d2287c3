/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_partition.c - are batches all the items, in order, and within their limits? */
#include "master/partition.h"
#include "tests/fuzz/fuzz.h"

/* Adds the items in a batch's brackets, each followed by ','. */
static void add_batch(struct buffer *out, struct json_slice batch, size_t size_max)
{
    fuzz_check(batch.size <= size_max, "a batch is within its limit");
    fuzz_check(batch.text[0] == '[' && batch.text[batch.size - 1] == ']', "an array");
    buffer_add(out, batch.text + 1, batch.size - 2);
    buffer_add_char(out, ',');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint32_t items_max = fuzz_take_byte(&input) % 8 + 1;
    size_t size_max = fuzz_take_byte(&input) * 4;
    struct partition partition;
    struct buffer given = BUFFER_INIT;
    struct buffer got = BUFFER_INIT;
    struct json_slice batch;
    struct error err = {0};
    int result = 0;

    partition_init(&partition, items_max, size_max, 0);
    while (input.size > 0 && result >= 0) {
        size_t item_size = fuzz_take_byte(&input) % 16 + 1;
        item_size = item_size < input.size ? item_size : input.size;
        struct json_slice item = {fuzz_rest(&input), item_size};
        input.data += item_size;
        input.size -= item_size;
        if (item_size == 0) {
            break;
        }
        result = partition_add(&partition, item, &batch, &err);
        if (result < 0) {
            fuzz_check(err.code == ERROR_OUT_OF_RANGE, "only size can be wrong");
            fuzz_check_error(&err);
            break;
        }
        buffer_add(&given, item.text, item.size);
        buffer_add_char(&given, ',');
        if (result > 0) {
            add_batch(&got, batch, size_max);
        }
    }
    if (result >= 0) {
        if (partition_flush(&partition, &batch) > 0) {
            add_batch(&got, batch, size_max);
        }
        fuzz_check(given.size == got.size &&
                       memcmp(buffer_text(&given), buffer_text(&got), got.size) == 0,
                   "batches are the items");
    }
    partition_fini(&partition);
    buffer_fini(&given);
    buffer_fini(&got);
    return 0;
}
