/* SPDX-License-Identifier: Apache-2.0 */
/* test_outbox.c - does what was decided come out in order, once? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "master/message.h"
#include "master/outbox.h"
#include "proto/client.pb-c.h"

static void actions_come_out_in_the_order_they_went_in(void **state)
{
    struct outbox outbox = {0};

    (void)state;
    assert_null(outbox_take(&outbox));
    for (int round = 0; round < 2; round++) { // emptied, it is as good as new
        for (uint64_t id = 1; id <= 3; id++) {
            outbox_add(&outbox, ACTION_JOB_CLOSE)->job_id = id;
        }
        for (uint64_t id = 1; id <= 3; id++) {
            struct action *action = outbox_take(&outbox);
            assert_int_equal(action->type, ACTION_JOB_CLOSE);
            assert_int_equal(action->job_id, id);
            action_free(action);
        }
        assert_null(outbox_take(&outbox));
    }
}

static void taking_and_adding_may_alternate(void **state)
{
    struct outbox outbox = {0};

    (void)state;
    outbox_add(&outbox, ACTION_LOG)->job_id = 1;
    outbox_add(&outbox, ACTION_LOG)->job_id = 2;
    action_free(outbox_take(&outbox));
    outbox_add(&outbox, ACTION_LOG)->job_id = 3;
    struct action *action = outbox_take(&outbox);
    assert_int_equal(action->job_id, 2);
    assert_null(action->next); // it no longer leads to the others
    action_free(action);
    action = outbox_take(&outbox);
    assert_int_equal(action->job_id, 3);
    action_free(action);
    assert_null(outbox_take(&outbox));
}

// The sanitizers see what is left.
static void an_action_frees_all_it_owns(void **state)
{
    struct outbox outbox = {0};
    struct action *action = outbox_add(&outbox, ACTION_REPLY);
    Cortex__V1__ListApisReply *reply =
        message_new(&cortex__v1__list_apis_reply__descriptor);

    (void)state;
    for (int i = 0; i < 9; i++) {
        Cortex__V1__ListedApi *listed =
            message_new(&cortex__v1__listed_api__descriptor);
        listed->api = message_new(&cortex__v1__api__descriptor);
        message_text(&listed->api->name, "classifier");
        message_text(&listed->api->kind, ""); // stays the default, which is not freed
        message_append(&reply->n_apis, (void ***)&reply->apis, listed);
    }
    assert_int_equal(reply->n_apis, 9);
    assert_string_equal(reply->apis[8]->api->name, "classifier");
    action->message = &reply->base;
    action->error = memory_zalloc(sizeof(*action->error));
    action->text = memory_strdup("line\n");
    action->last = memory_zalloc(sizeof(*action->last));
    action->stretches = memory_zalloc(sizeof(*action->stretches));
    action_free(outbox_take(&outbox));
    action_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_come_out_in_the_order_they_went_in),
        cmocka_unit_test(taking_and_adding_may_alternate),
        cmocka_unit_test(an_action_frees_all_it_owns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
