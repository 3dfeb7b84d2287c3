/* SPDX-License-Identifier: Apache-2.0 */
/* test_spot.c - what is taken for a notice that the machine goes away? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/spot.h"

static int parse(const char *text, struct spot_notice *out, struct error *err)
{
    return spot_parse(text, strlen(text), out, err);
}

static void a_notice_says_what_happens_and_when(void **state)
{
    struct spot_notice notice;

    (void)state;
    assert_int_equal(parse("{\"action\": \"terminate\", \"time\": "
                           "\"2017-09-18T08:22:00Z\"}",
                           &notice,
                           NULL),
                     0);
    assert_string_equal(notice.action, "terminate");
    assert_int_equal(notice.wall_ms, 1505722920000);
    assert_int_equal(parse("{\"time\":\"1970-01-01T00:00:01Z\",\"action\":\"stop\","
                           "\"more\":[1]}",
                           &notice,
                           NULL),
                     0);
    assert_string_equal(notice.action, "stop");
    assert_int_equal(notice.wall_ms, 1000);
}

static void anything_else_is_none_and_says_why(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"", "not JSON"},
        {"none", "not JSON"},
        {"[]", "action: got"},
        {"{\"action\": 1, \"time\": \"2017-09-18T08:22:00Z\"}", "action: expected"},
        {"{\"action\": \"dance\", \"time\": \"2017-09-18T08:22:00Z\"}",
         "action: got \"dance\", expected terminate, stop or hibernate"},
        {"{\"action\": \"terminate\"}", "time: got \"\""},
        {"{\"action\": \"terminate\", \"time\": \"2017-09-18T08:22:00Zzz\"}",
         "time: got \"2017-09-18T08:22:00Zzz\""},
        {"{\"action\": \"terminate\", \"time\": \"soon\"}", "time: got \"soon\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct spot_notice notice = {.wall_ms = 7};
        struct error err = {.code = ERROR_OK};
        assert_int_equal(parse(rows[i].text, &notice, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_int_equal(notice.wall_ms, 7);
        if (!strstr(err.message, rows[i].says)) {
            fail_msg(
                "%s: \"%s\" says not \"%s\"", rows[i].text, err.message, rows[i].says);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notice_says_what_happens_and_when),
        cmocka_unit_test(anything_else_is_none_and_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
