/* SPDX-License-Identifier: Apache-2.0 */
/* test_map.c - is what was put in found again, and nothing else? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/map.h"

static int values[4096];

static void an_empty_map_holds_nothing(void **state)
{
    struct map map = {0};
    size_t cursor = 0;
    uint64_t key;
    void *value;

    (void)state;
    assert_null(map_get(&map, 0));
    assert_null(map_remove(&map, 0));
    assert_false(map_next(&map, &cursor, &key, &value));
    map_fini(&map);
}

static void a_second_value_takes_the_place_of_the_first(void **state)
{
    struct map map = {0};

    (void)state;
    map_put(&map, 0, &values[0]);
    map_put(&map, UINT64_MAX, &values[1]);
    map_put(&map, 0, &values[2]);
    assert_int_equal(map.count, 2);
    assert_ptr_equal(map_get(&map, 0), &values[2]);
    assert_ptr_equal(map_get(&map, UINT64_MAX), &values[1]);
    assert_ptr_equal(map_remove(&map, 0), &values[2]);
    assert_null(map_remove(&map, 0));
    assert_int_equal(map.count, 1);
    map_fini(&map);
    assert_int_equal(map.count, 0);
}

static void removing_some_loses_none_of_the_others(void **state)
{
    struct map map = {0};

    (void)state;
    for (uint64_t i = 0; i < 4096; i++) {
        map_put(&map, i * 3, &values[i]);
    }
    for (uint64_t i = 0; i < 4096; i += 2) {
        assert_ptr_equal(map_remove(&map, i * 3), &values[i]);
        assert_null(map_get(&map, i * 3));
        assert_ptr_equal(map_get(&map, (i + 1) * 3), &values[i + 1]);
    }
    assert_int_equal(map.count, 2048);
    for (uint64_t i = 0; i < 4096; i++) {
        assert_ptr_equal(map_get(&map, i * 3), i % 2 ? &values[i] : NULL);
    }
    map_fini(&map);
}

static void a_walk_meets_each_entry_once(void **state)
{
    struct map map = {0};
    int seen[1000] = {0};
    size_t cursor = 0;
    uint64_t key;
    void *value;

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        map_put(&map, i, &values[i]);
    }
    while (map_next(&map, &cursor, &key, &value)) {
        assert_ptr_equal(value, &values[key]);
        seen[key]++;
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(seen[i], 1);
    }
    map_fini(&map);
}

static void coming_and_going_does_not_make_it_grow(void **state)
{
    struct map map = {0};

    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        map_put(&map, i, &values[i % 4096]);
        if (i >= 8) {
            assert_non_null(map_remove(&map, i - 8));
        }
    }
    assert_int_equal(map.count, 8);
    assert_true(map.capacity <= 16);
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_holds_nothing),
        cmocka_unit_test(a_second_value_takes_the_place_of_the_first),
        cmocka_unit_test(removing_some_loses_none_of_the_others),
        cmocka_unit_test(a_walk_meets_each_entry_once),
        cmocka_unit_test(coming_and_going_does_not_make_it_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
