/* SPDX-License-Identifier: Apache-2.0 */
/* test_json.c - are control documents read with care, and strings escaped right? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/utf8.h"

static struct cJSON *parse(const char *text)
{
    struct cJSON *tree = NULL;

    assert_int_equal(json_parse(text, strlen(text), &tree, NULL), 0);
    return tree;
}

static void what_cjson_alone_would_take_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"01",
                                        "1.",
                                        "\"a\nb\"",
                                        "\"\xff\"",
                                        "{} x",
                                        "\"\\u0000\"",
                                        "\"\\\\\\u0000\"",
                                        ""};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct cJSON *tree = NULL;
        struct error err = {0};
        assert_int_equal(json_parse(texts[i], strlen(texts[i]), &tree, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_null(tree);
    }
    json_free(parse(" {\"a\": \"\\\\u0000\"}\n"));
}

static void values_are_found_by_path_with_exact_keys(void **state)
{
    (void)state;
    struct cJSON *tree = parse("{\"a\":{\"b\":\"text\",\"n\":null},\"B\":1}");
    const char *text = "unset";

    assert_int_equal(json_get_text(tree, "a.b", &text, NULL), 0);
    assert_string_equal(text, "text");
    assert_null(json_find(tree, "b"));
    assert_null(json_find(tree, "a.n"));
    assert_null(json_find(tree, "a.b.c"));
    assert_non_null(json_find(tree, "B"));
    json_free(tree);
}

static void absent_and_null_leave_the_default(void **state)
{
    (void)state;
    struct cJSON *tree = parse("{\"n\":null}");
    const char *text = "default";
    int64_t number = 7;
    bool flag = true;

    assert_int_equal(json_get_text(tree, "n", &text, NULL), 0);
    assert_int_equal(json_get_integer(tree, "x", 0, 9, &number, NULL), 0);
    assert_int_equal(json_get_bool(tree, "n", &flag, NULL), 0);
    assert_string_equal(text, "default");
    assert_int_equal(number, 7);
    assert_true(flag);
    json_free(tree);
}

static void an_error_names_the_path_and_quotes_the_value(void **state)
{
    (void)state;
    struct cJSON *tree =
        parse("{\"c\":{\"gpu\":1.5,\"big\":1e400,\"t\":[1],\"n\":11}}");
    struct error err = {0};
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;

    assert_int_equal(json_get_integer(tree, "c.gpu", 0, 16, &number, &err), -1);
    assert_string_equal(err.message,
                        "c.gpu: expected an integer from 0 to 16, got 1.5");
    assert_int_equal(json_get_integer(tree, "c.big", 0, 16, &number, &err), -1);
    assert_int_equal(json_get_integer(tree, "c.n", 0, 10, &number, &err), -1);
    assert_int_equal(json_get_text(tree, "c.t", &text, &err), -1);
    assert_string_equal(err.message, "c.t: expected a string, got [1]");
    assert_int_equal(json_get_bool(tree, "c.n", &flag, &err), -1);
    assert_string_equal(err.message, "c.n: expected true or false, got 11");
    assert_int_equal(json_require(tree, "c.zero", &err), -1);
    assert_string_equal(err.message, "c.zero: is required");
    json_free(tree);
}

static void text_becomes_a_string_and_comes_back(void **state)
{
    (void)state;
    struct buffer json = BUFFER_INIT;
    struct buffer back = BUFFER_INIT;
    char all[127];

    for (int i = 1; i < 128; i++) {
        all[i - 1] = (char)i;
    }
    json_add_string(&json, all, sizeof(all));
    assert_int_equal(json_check(json.data, json.size, NULL), 0);
    assert_int_equal(
        json_unescape((struct json_slice){json.data, json.size}, &back, NULL), 0);
    assert_int_equal(back.size, sizeof(all));
    assert_memory_equal(back.data, all, sizeof(all));
    buffer_clear(&json);
    json_add_text(&json, "\"\\\n\x01\xe2\x82\xac\xff\xc3z");
    assert_string_equal(json.data,
                        "\"\\\"\\\\\\n\\u0001\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbdz\"");
    buffer_fini(&json);
    buffer_fini(&back);
}

static void escapes_become_characters(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text;
    } rows[] = {
        {"\"\"", ""},
        {"\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\b\f\n\r\t/\\\""},
        {"\"\\u00e9\\u20AC\"", "\xc3\xa9\xe2\x82\xac"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\\ud800\"", "\xef\xbf\xbd"},
        {"\"\\ud800\\u0041\"", "\xef\xbf\xbd\x41"},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\\\\u0000\"", "\\u0000"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer out = BUFFER_INIT;
        struct json_slice slice = {rows[i].json, strlen(rows[i].json)};
        assert_int_equal(json_unescape(slice, &out, NULL), 0);
        assert_string_equal(buffer_text(&out), rows[i].text);
        buffer_fini(&out);
    }
}

static void an_escaped_nul_is_no_text(void **state)
{
    (void)state;
    struct buffer out = BUFFER_INIT;
    struct error err = {0};

    assert_int_equal(
        json_unescape((struct json_slice){"\"a\\u0000b\"", 10}, &out, &err), -1);
    assert_non_null(strstr(err.message, "\\u0000"));
    buffer_fini(&out);
}

static void code_points_are_encoded_and_decoded(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code += code < 0x1000 ? 1 : 0x7F) {
        char bytes[4];
        uint32_t back = 0;
        size_t length = utf8_encode(code, bytes);
        assert_int_equal(utf8_decode(bytes, length, &back), length);
        assert_int_equal(back,
                         code >= 0xD800 && code <= 0xDFFF ? UTF8_REPLACEMENT : code);
        assert_int_equal(utf8_decode(bytes, length - 1, &back), 0);
    }
    assert_true(utf8_valid("a\xc3\xa9", 3));
    assert_false(utf8_valid("\xc0\x80", 2));
    assert_false(utf8_valid("\xf4\x90\x80\x80", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cjson_alone_would_take_is_refused),
        cmocka_unit_test(values_are_found_by_path_with_exact_keys),
        cmocka_unit_test(absent_and_null_leave_the_default),
        cmocka_unit_test(an_error_names_the_path_and_quotes_the_value),
        cmocka_unit_test(text_becomes_a_string_and_comes_back),
        cmocka_unit_test(escapes_become_characters),
        cmocka_unit_test(an_escaped_nul_is_no_text),
        cmocka_unit_test(code_points_are_encoded_and_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
