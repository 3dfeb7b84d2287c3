/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_writer.c - is what is written JSON, in the shape that is promised? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/json_writer.h"
#include "common/json.h"

static void what_is_open_decides_about_commas(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct json_writer writer = {.out = &out};

    (void)state;
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "name", "classifier");
    json_writer_open(&writer, "empty", '[');
    json_writer_close(&writer, ']');
    json_writer_open(&writer, "numbers", '[');
    json_writer_number(&writer, NULL, 1);
    json_writer_number(&writer, NULL, UINT64_MAX);
    json_writer_close(&writer, ']');
    json_writer_bool(&writer, "yes", true);
    json_writer_null(&writer, "none");
    json_writer_close(&writer, '}');
    assert_string_equal(buffer_text(&out),
                        "{\"name\":\"classifier\",\"empty\":[],"
                        "\"numbers\":[1,18446744073709551615],\"yes\":true,"
                        "\"none\":null}");
    buffer_fini(&out);
}

static void with_an_indent_each_piece_has_its_line(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct json_writer writer = {.out = &out, .indent = 4};

    (void)state;
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "a", "b");
    json_writer_open(&writer, "list", '[');
    json_writer_number(&writer, NULL, 7);
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    assert_string_equal(buffer_text(&out),
                        "{\n    \"a\":\"b\",\n    \"list\":[\n        7\n    ]\n}");
    buffer_fini(&out);
}

static void every_byte_that_must_be_escaped_is(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct json_writer writer = {.out = &out};

    (void)state;
    json_writer_text(&writer, NULL, "\"\\/\b\f\n\r\t\x01\x1F\x7F \xC3\xA9");
    assert_string_equal(buffer_text(&out),
                        "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F \xC3\xA9\"");
    buffer_fini(&out);
}

static void what_is_json_already_is_put_in_byte_for_byte(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct json_writer writer = {.out = &out};

    (void)state;
    json_writer_open(&writer, NULL, '{');
    json_writer_raw(&writer, "config", "{\"b\": 1e400,  \"a\":1.0}");
    json_writer_raw(&writer, "nothing", "");
    json_writer_text_or_null(&writer, "no", "");
    json_writer_text_or_null(&writer, "so", "x");
    json_writer_close(&writer, '}');
    assert_string_equal(buffer_text(&out),
                        "{\"config\":{\"b\": 1e400,  \"a\":1.0},\"nothing\":null,"
                        "\"no\":null,\"so\":\"x\"}");
    buffer_fini(&out);
}

static void millionths_are_exact(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct json_writer writer = {.out = &out};

    (void)state;
    json_writer_open(&writer, NULL, '[');
    json_writer_millionths(&writer, NULL, 1500000);
    json_writer_millionths(&writer, NULL, 7);
    json_writer_millionths(&writer, NULL, UINT64_MAX);
    json_writer_close(&writer, ']');
    assert_string_equal(buffer_text(&out), "[1.500000,0.000007,18446744073709.551615]");
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_open_decides_about_commas),
        cmocka_unit_test(with_an_indent_each_piece_has_its_line),
        cmocka_unit_test(every_byte_that_must_be_escaped_is),
        cmocka_unit_test(what_is_json_already_is_put_in_byte_for_byte),
        cmocka_unit_test(millionths_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
