/* SPDX-License-Identifier: Apache-2.0 */
/* test_partition.c - do items become batches of the right size? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "master/partition.h"

#define SLICE(text) ((struct json_slice){(text), sizeof(text) - 1})

static void expect(struct json_slice batch, const char *want)
{
    assert_int_equal(batch.size, strlen(want));
    assert_memory_equal(batch.text, want, batch.size);
}

static void batches_are_full_but_the_last(void **state)
{
    (void)state;
    struct partition partition;
    struct json_slice batch;

    partition_init(&partition, 2, 100, 0);
    assert_int_equal(partition_add(&partition, SLICE("1.0"), &batch, NULL), 0);
    assert_int_equal(partition_add(&partition, SLICE("\"a,b\""), &batch, NULL), 1);
    expect(batch, "[1.0,\"a,b\"]");
    assert_int_equal(partition_add(&partition, SLICE("{ }"), &batch, NULL), 0);
    assert_int_equal(partition_flush(&partition, &batch), 1);
    expect(batch, "[{ }]");
    assert_int_equal(partition_flush(&partition, &batch), 0);
    assert_int_equal(partition_add(&partition, SLICE("2"), &batch, NULL), 0);
    assert_int_equal(partition_flush(&partition, &batch), 1);
    expect(batch, "[2]");
    partition_fini(&partition);
}

static void no_items_make_no_batch(void **state)
{
    (void)state;
    struct partition partition;
    struct json_slice batch;

    partition_init(&partition, 1, 100, 0);
    assert_int_equal(partition_flush(&partition, &batch), 0);
    partition_fini(&partition);
}

static void items_count_gives_the_ceiling_of_batches(void **state)
{
    (void)state;
    for (unsigned items = 0; items < 20; items++) {
        for (unsigned size = 1; size < 8; size++) {
            struct partition partition;
            struct json_slice batch;
            unsigned batches = 0;
            partition_init(&partition, size, 1000, 0);
            for (unsigned i = 0; i < items; i++) {
                batches +=
                    (unsigned)partition_add(&partition, SLICE("7"), &batch, NULL);
            }
            batches += (unsigned)partition_flush(&partition, &batch);
            assert_int_equal(batches, (items + size - 1) / size);
            partition_fini(&partition);
        }
    }
}

static void a_batch_over_the_limit_is_named_with_number_and_limit(void **state)
{
    (void)state;
    struct partition partition;
    struct json_slice batch;
    struct error err = {0};

    partition_init(&partition, 3, 9, 41);
    assert_int_equal(partition_add(&partition, SLICE("123"), &batch, &err), 0);
    assert_int_equal(partition_add(&partition, SLICE("456"), &batch, &err), 0);
    assert_int_equal(partition_add(&partition, SLICE("7"), &batch, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_string_equal(err.message,
                        "batch 41 would have 11 bytes with its 3 items so far, the "
                        "limit is 9 bytes");
    partition_fini(&partition);
    partition_init(&partition, 1, 9, 0);
    assert_int_equal(partition_add(&partition, SLICE("1234567"), &batch, &err), 1);
    assert_int_equal(partition_add(&partition, SLICE("12345678"), &batch, &err), -1);
    partition_fini(&partition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_full_but_the_last),
        cmocka_unit_test(no_items_make_no_batch),
        cmocka_unit_test(items_count_gives_the_ceiling_of_batches),
        cmocka_unit_test(a_batch_over_the_limit_is_named_with_number_and_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
