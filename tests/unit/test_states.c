/* SPDX-License-Identifier: Apache-2.0 */
/* test_states.c - do all say the same words for the same state? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/states.h"
#include "master/batch.h"
#include "master/job.h"
#include "proto/types.pb-c.h"

static void master_and_clients_have_the_same_words_for_a_job(void **state)
{
    (void)state;
    for (int i = JOB_ENQUEUING; i <= JOB_UNEXPECTED_ERROR; i++) {
        assert_string_equal(client_job_state_words((enum client_job_state)i),
                            job_state_name((enum job_state)i));
        assert_int_equal(client_job_state_terminal((enum client_job_state)i),
                         job_state_terminal((enum job_state)i));
    }
}

static void the_codes_are_those_of_the_wire(void **state)
{
    (void)state;
    for (int i = JOB_ENQUEUING; i <= JOB_UNEXPECTED_ERROR; i++) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(&cortex__v1__job_state__descriptor, i);
        const char *code = client_job_state_code((enum client_job_state)i);
        assert_non_null(value);
        assert_memory_equal(code, "status_", 7);
        assert_int_equal(strcasecmp(value->name + strlen("JOB_STATE_"), code + 7), 0);
    }
}

static void a_state_may_be_typed_as_code_short_code_or_words(void **state)
{
    static const char *const typed[] = {
        "status_completed_with_failures",
        "completed_with_failures",
        "completed with failures",
    };
    enum client_job_state found = CLIENT_JOB_UNKNOWN;

    (void)state;
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        found = CLIENT_JOB_UNKNOWN;
        assert_true(client_job_state_parse(typed[i], &found));
        assert_int_equal(found, CLIENT_JOB_COMPLETED_WITH_FAILURES);
    }
    assert_true(client_job_state_parse("out of memory", &found));
    assert_int_equal(found, CLIENT_JOB_WORKER_OOM);
}

static void anything_else_is_no_state(void **state)
{
    enum client_job_state job = CLIENT_JOB_STOPPED;
    enum client_batch_state batch = CLIENT_BATCH_FAILED;

    (void)state;
    assert_false(client_job_state_parse("", &job));
    assert_false(client_job_state_parse("status_", &job));
    assert_false(client_job_state_parse("Running", &job));
    assert_false(client_job_state_parse("running ", &job));
    assert_int_equal(job, CLIENT_JOB_STOPPED);
    assert_false(client_batch_state_parse("any", &batch));
    assert_false(client_batch_state_parse("in hand", &batch));
    assert_int_equal(batch, CLIENT_BATCH_FAILED);
}

static void batches_have_the_same_words_everywhere(void **state)
{
    enum client_batch_state found;

    (void)state;
    for (int i = BATCH_QUEUED; i <= BATCH_FAILED; i++) {
        const char *name = batch_state_name((enum batch_state)i);
        assert_string_equal(client_batch_state_name((enum client_batch_state)i), name);
        assert_true(client_batch_state_parse(name, &found));
        assert_int_equal(found, i);
    }
}

static void a_state_of_a_later_master_is_unknown_and_not_terminal(void **state)
{
    (void)state;
    assert_string_equal(client_job_state_words((enum client_job_state)99), "unknown");
    assert_string_equal(client_job_state_code((enum client_job_state)99),
                        "status_unknown");
    assert_false(client_job_state_terminal((enum client_job_state)99));
    assert_string_equal(client_batch_state_name((enum client_batch_state)99), "any");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(master_and_clients_have_the_same_words_for_a_job),
        cmocka_unit_test(the_codes_are_those_of_the_wire),
        cmocka_unit_test(a_state_may_be_typed_as_code_short_code_or_words),
        cmocka_unit_test(anything_else_is_no_state),
        cmocka_unit_test(batches_have_the_same_words_everywhere),
        cmocka_unit_test(a_state_of_a_later_master_is_unknown_and_not_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
