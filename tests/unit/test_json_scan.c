/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_scan.c - does the scanner accept RFC 8259 and nothing else? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/json_text.h"

static const char *const good[] = {
    "0",
    "-0",
    "12345678901234567890",
    "1e400",
    "-1.5E-10",
    "1.0",
    "true",
    "false",
    "null",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\uDC00\\u00e9\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\x7f\"",
    "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"",
    "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
    "[]",
    "{}",
    "[ ]",
    "{ }",
    " [ 1 , [ 2 ] , { \"a\" : [ ] } ] ",
    "{\"a\":1,\"a\":2,\"\":null}",
    "\t\r\n {\"b\":1,\"a\":2}\n",
    "[[],{},\"\",0,true]",
};

static const char *const bad[] = {
    "",
    " ",
    "01",
    "-01",
    "1.",
    ".5",
    "+1",
    "-",
    "1e",
    "1e+",
    "1.e5",
    "0x10",
    "NaN",
    "-Infinity",
    "tru",
    "truE",
    "nulll",
    "True",
    "'a'",
    "\"",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\U0041\"",
    "\"a\nb\"",
    "\"\t\"",
    "\"\x1f\"",
    "\"\x80\"",
    "\"\xbf\"",
    "\"\xc0\xaf\"",
    "\"\xc1\xbf\"",
    "\"\xc2\"",
    "\"\xe0\x9f\xbf\"",
    "\"\xed\xa0\x80\"",
    "\"\xed\xbf\xbf\"",
    "\"\xf0\x8f\xbf\xbf\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xf5\x80\x80\x80\"",
    "\"\xff\"",
    "\"\xe2\x82\"",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{",
    "}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{a:1}",
    "{1:1}",
    "{\"a\":1]",
    "{,}",
    "{\"a\":1 \"b\":2}",
    "1 2",
    "{}{}",
    "[]x",
    "\xef\xbb\xbf{}",
    "[1]\f",
    "/**/1",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void every_text_of_the_grammar_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct error err = {0};
        if (json_check(good[i], strlen(good[i]), &err) != 0) {
            fail_msg("%s: %s", good[i], err.message);
        }
    }
}

static void everything_else_is_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        if (json_check(bad[i], strlen(bad[i]), &err) == 0) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "not JSON at byte "));
    }
}

// Feeds text in two pieces cut at `cut`; true if it is one value and whitespace.
static bool accepts_in_two(const char *text, size_t size, size_t cut)
{
    struct json_scan scan;
    size_t used = 0;

    json_scan_init(&scan);
    enum json_scan_result result = json_scan_feed(&scan, text, cut, &used);
    if (result == JSON_SCAN_INCOMPLETE) {
        assert_int_equal(used, cut);
        size_t more = 0;
        result = json_scan_feed(&scan, text + cut, size - cut, &more);
        used = cut + more;
    }
    if (result == JSON_SCAN_BAD ||
        (result == JSON_SCAN_INCOMPLETE && !json_scan_finish(&scan))) {
        return false;
    }
    return json_trim(text + used, size - used).size == 0;
}

static void where_the_text_is_cut_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        for (size_t cut = 0; cut <= strlen(good[i]); cut++) {
            assert_true(accepts_in_two(good[i], strlen(good[i]), cut));
        }
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        for (size_t cut = 0; cut <= strlen(bad[i]); cut++) {
            assert_false(accepts_in_two(bad[i], strlen(bad[i]), cut));
        }
    }
}

static void a_text_truncated_at_any_byte_is_cut_off(void **state)
{
    (void)state;
    static const char text[] =
        "{\"k\\u00e9y\":[1,-2.5e+3,{\"\xe2\x82\xac\":\"a\\nb\"},true,false,null,[]],"
        "\"z\":{}}";
    size_t size = sizeof(text) - 1;

    assert_int_equal(json_check(text, size, NULL), 0);
    for (size_t cut = 1; cut < size; cut++) {
        struct error err = {0};
        char *copy = memory_strndup(text, cut); // so that asan sees reading past it
        assert_int_equal(json_check(copy, cut, &err), -1);
        assert_non_null(strstr(err.message, "the text is cut off"));
        free(copy);
    }
}

static char *nested(size_t depth, const char *opener, char closer)
{
    struct buffer text = BUFFER_INIT;

    for (size_t i = 0; i < depth; i++) {
        buffer_add_text(&text, opener);
    }
    buffer_add_char(&text, '1');
    for (size_t i = 0; i < depth; i++) {
        buffer_add_char(&text, closer);
    }
    return buffer_take(&text);
}

static void nesting_is_accepted_up_to_the_limit_and_no_deeper(void **state)
{
    (void)state;
    static const struct {
        size_t depth;
        int result;
    } rows[] = {{JSON_DEPTH_MAX, 0}, {JSON_DEPTH_MAX + 1, -1}, {100000, -1}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct error err = {0};
        char *arrays = nested(rows[i].depth, "[", ']');
        char *objects = nested(rows[i].depth, "{\"a\":", '}');
        assert_int_equal(json_check(arrays, strlen(arrays), &err), rows[i].result);
        assert_int_equal(json_check(objects, strlen(objects), &err), rows[i].result);
        assert_true(rows[i].result == 0 || strstr(err.message, "deeper than 512"));
        free(arrays);
        free(objects);
    }
}

static void arrays_and_objects_alternating_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(json_check("[{\"a\":[{\"b\":[]}]}]", 18, NULL), 0);
    assert_int_equal(json_check("[{\"a\":[{\"b\":[}]}]]", 18, NULL), -1);
}

static void a_huge_number_and_a_huge_string_are_values(void **state)
{
    (void)state;
    size_t size = 2 << 20;
    char *text = memory_zalloc(size);

    memset(text, '7', size);
    assert_int_equal(json_check(text, size, NULL), 0);
    text[0] = '"';
    text[size - 1] = '"';
    assert_int_equal(json_check(text, size, NULL), 0);
    text[size / 2 + 3] = '\n';
    assert_int_equal(json_check(text, size, NULL), -1);
    free(text);
}

static void a_special_byte_is_found_at_every_place_of_a_string(void **state)
{
    (void)state;
    for (size_t length = 1; length < 70; length++) {
        for (size_t place = 0; place < length; place++) {
            char text[80];
            memset(text, 'x', sizeof(text));
            text[0] = '"';
            text[length + 1] = '"';
            assert_int_equal(json_check(text, length + 2, NULL), 0);
            text[1 + place] = '\x01';
            assert_int_equal(json_check(text, length + 2, NULL), -1);
            text[1 + place] = '\xff';
            assert_int_equal(json_check(text, length + 2, NULL), -1);
            text[1 + place] = '"';
            assert_int_equal(json_check(text, length + 2, NULL), -1);
        }
    }
}

static void elements_come_as_they_were_written(void **state)
{
    (void)state;
    static const char text[] = "[ 12345678901234567890 ,1.0, 1e400,\"\\u0000\\ud800\" "
                               ", {\"b\":1, \"b\" :2},[] ]";
    static const char *const want[] = {"12345678901234567890",
                                       "1.0",
                                       "1e400",
                                       "\"\\u0000\\ud800\"",
                                       "{\"b\":1, \"b\" :2}",
                                       "[]"};
    struct json_cursor cursor;
    struct json_slice value;
    size_t count = 0;

    json_cursor_init(&cursor, (struct json_slice){text, sizeof(text) - 1});
    while (json_cursor_element(&cursor, &value)) {
        assert_true(count < COUNT(want));
        assert_int_equal(value.size, strlen(want[count]));
        assert_memory_equal(value.text, want[count], value.size);
        count++;
    }
    assert_int_equal(count, COUNT(want));
}

static void members_come_in_order_with_duplicates(void **state)
{
    (void)state;
    static const char text[] = "{\"z\" : {\"a,b\":[1]},\"\\\"\":2,\"z\":[ ] }";
    static const char *const want[] = {
        "\"z\"", "{\"a,b\":[1]}", "\"\\\"\"", "2", "\"z\"", "[ ]"};
    struct json_cursor cursor;
    struct json_slice pair[2];
    size_t count = 0;

    json_cursor_init(&cursor, (struct json_slice){text, sizeof(text) - 1});
    for (; json_cursor_member(&cursor, &pair[0], &pair[1]); count += 2) {
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(pair[i].size, strlen(want[count + i]));
            assert_memory_equal(pair[i].text, want[count + i], pair[i].size);
        }
    }
    assert_int_equal(count, COUNT(want));
}

static void an_excerpt_is_short_valid_text_around_the_fault(void **state)
{
    (void)state;
    char out[JSON_EXCERPT_SIZE];
    char raw[300];

    json_excerpt("ab\n\xff\xc3\xa9", 6, 2, out);
    assert_string_equal(out, "ab\\x0a\\xff\xc3\xa9");
    memset(raw, '\x01', sizeof(raw));
    json_excerpt(raw, sizeof(raw), 150, out);
    assert_true(strlen(out) < JSON_EXCERPT_SIZE);
    assert_int_equal(memcmp(out, "...\\x01", 7), 0);
    json_excerpt("", 0, 0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_of_the_grammar_is_accepted),
        cmocka_unit_test(everything_else_is_refused_with_a_reason),
        cmocka_unit_test(where_the_text_is_cut_changes_nothing),
        cmocka_unit_test(a_text_truncated_at_any_byte_is_cut_off),
        cmocka_unit_test(nesting_is_accepted_up_to_the_limit_and_no_deeper),
        cmocka_unit_test(arrays_and_objects_alternating_are_told_apart),
        cmocka_unit_test(a_huge_number_and_a_huge_string_are_values),
        cmocka_unit_test(a_special_byte_is_found_at_every_place_of_a_string),
        cmocka_unit_test(elements_come_as_they_were_written),
        cmocka_unit_test(members_come_in_order_with_duplicates),
        cmocka_unit_test(an_excerpt_is_short_valid_text_around_the_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
