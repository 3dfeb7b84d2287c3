/* SPDX-License-Identifier: Apache-2.0 */
/* test_id.c - are names unique where they must be, and the same where they must be? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/id.h"

static void a_newer_job_sorts_first(void **state)
{
    char older[ID_JOB_TEXT_SIZE];
    char newer[ID_JOB_TEXT_SIZE];

    (void)state;
    id_job_format(id_job_at(INT64_C(1596811437000000000)), older);
    id_job_format(id_job_at(INT64_C(1596811437000000001)), newer);
    assert_true(strcmp(newer, older) < 0);
    assert_int_equal(strlen(newer), 16);
}

static void a_job_id_tells_when_the_job_was_submitted(void **state)
{
    uint64_t job_id;

    (void)state;
    assert_true(id_job_parse("69d6faf82e4660d3", &job_id));
    // 2020-08-07 15:11:14 UTC
    assert_int_equal(id_job_time_ns(job_id) / 1000000000, INT64_C(1596813074));
    assert_int_equal(id_job_at(id_job_time_ns(job_id)), job_id);
}

static void only_sixteen_lower_case_hex_digits_are_a_job_id(void **state)
{
    static const char *const wrong[] = {"",
                                        "69d6faf82e4660d",
                                        "69d6faf82e4660d33",
                                        "69D6FAF82E4660D3",
                                        "0x69d6faf82e4660",
                                        " 9d6faf82e4660d3",
                                        "69d6faf82e4660d3 ",
                                        "69d6faf82e4660dg",
                                        "-9d6faf82e4660d3"};
    uint64_t job_id = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(id_job_parse(wrong[i], &job_id));
    }
    assert_int_equal(job_id, 7);
    assert_true(id_job_parse("ffffffffffffffff", &job_id));
    assert_int_equal(job_id, UINT64_MAX);
}

static void a_batch_id_is_a_uuid_that_never_changes(void **state)
{
    char first[ID_UUID_TEXT_SIZE];
    char again[ID_UUID_TEXT_SIZE];

    (void)state;
    id_batch_format(UINT64_C(0x69d6faf82e4660d3), 5, first);
    id_batch_format(UINT64_C(0x69d6faf82e4660d3), 5, again);
    assert_string_equal(first, again);
    assert_int_equal(strlen(first), 36);
    assert_int_equal(strspn(first, "0123456789abcdef-"), 36);
    assert_true(first[8] == '-' && first[13] == '-' && first[18] == '-' &&
                first[23] == '-');
    assert_int_equal(first[14], '8');           // version
    assert_non_null(strchr("89ab", first[19])); // variant
}

static void batches_of_all_jobs_have_ids_of_their_own(void **state)
{
    char ids[64][ID_UUID_TEXT_SIZE];

    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        id_batch_format(1 + i / 8, i % 8, ids[i]);
        for (uint64_t k = 0; k < i; k++) {
            assert_string_not_equal(ids[i], ids[k]);
        }
    }
}

static void a_batch_id_tells_its_index_to_its_own_job_only(void **state)
{
    (void)state;
    char text[ID_UUID_TEXT_SIZE];
    static const uint64_t indexes[] = {0, 1, 255, 1000000, UINT64_MAX};

    for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
        uint64_t index = 42;
        id_batch_format(7, indexes[i], text);
        assert_true(id_batch_parse(7, text, &index));
        assert_int_equal(index, indexes[i]);
        assert_false(id_batch_parse(8, text, &index));
        for (size_t at = 0; at < strlen(text); at++) {
            text[at] ^= 1; // another digit, or no digit at all
            assert_false(id_batch_parse(7, text, &index));
            text[at] ^= 1;
        }
        text[ID_UUID_TEXT_SIZE - 2] = '\0';
        assert_false(id_batch_parse(7, text, &index));
    }
}

static void a_hash_of_pieces_is_the_hash_of_the_whole(void **state)
{
    char whole[ID_PROJECT_TEXT_SIZE];
    char pieces[ID_PROJECT_TEXT_SIZE];
    struct id_hash *hash = id_hash_create();

    (void)state;
    id_hash_of("abc", 3, whole); // FIPS 180-4's example
    assert_string_equal(
        whole, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    id_hash_add(hash, "a", 1);
    id_hash_add(hash, "", 0);
    id_hash_add(hash, "bc", 2);
    id_hash_finish(hash, pieces);
    assert_string_equal(pieces, whole);
}

static void random_numbers_differ(void **state)
{
    (void)state;
    assert_int_equal(id_init(), 0);
    assert_int_equal(id_init(), 0); // a second time does no harm
    assert_true(id_random_number() != id_random_number());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_job_sorts_first),
        cmocka_unit_test(a_job_id_tells_when_the_job_was_submitted),
        cmocka_unit_test(only_sixteen_lower_case_hex_digits_are_a_job_id),
        cmocka_unit_test(a_batch_id_is_a_uuid_that_never_changes),
        cmocka_unit_test(batches_of_all_jobs_have_ids_of_their_own),
        cmocka_unit_test(a_batch_id_tells_its_index_to_its_own_job_only),
        cmocka_unit_test(a_hash_of_pieces_is_the_hash_of_the_whole),
        cmocka_unit_test(random_numbers_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
