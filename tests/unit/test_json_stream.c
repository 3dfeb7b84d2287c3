/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_stream.c - do items come out of a file as they stand, however it is cut? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "master/json_stream.h"
#include "tests/unit/corpus.h"

#define ITEM_MAX 1000

// Reads the text in pieces of `step` bytes; the items joined by '|', or the error.
static int read_in(
    const char *text, size_t size, size_t step, struct buffer *out, struct error *err)
{
    struct json_stream stream;
    struct json_slice item;
    int got = 0;

    json_stream_init(&stream, ITEM_MAX, NULL);
    for (size_t at = 0; at < size && got == 0; at += step) {
        size_t length = size - at < step ? size - at : step;
        char *piece = memory_strndup(text + at, length);
        json_stream_push(&stream, piece, length);
        while ((got = json_stream_next(&stream, &item, err)) > 0) {
            buffer_add(out, item.text, item.size);
            buffer_add_char(out, '|');
        }
        if (got == 0) {
            json_stream_push(&stream, "", 0);
        }
        free(piece);
    }
    if (got == 0) {
        got = json_stream_finish(&stream, &item, err);
        if (got > 0) {
            buffer_add(out, item.text, item.size);
            buffer_add_char(out, '|');
        }
    }
    json_stream_fini(&stream);
    return got < 0 ? -1 : 0;
}

static void values_are_the_same_however_the_file_is_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *items;
    } rows[] = {
        {"", ""},
        {" \r\n\n\t ", ""},
        {"1", "1|"},
        {"12345678901234567890", "12345678901234567890|"},
        {"1\n-2.50e+3 0\n", "1|-2.50e+3|0|"},
        {"\"a\"\r\n\"b\"\r\n", "\"a\"|\"b\"|"},
        {"{}[]\"x\"\"y\"1[2]3\"z\"true{}", "{}|[]|\"x\"|\"y\"|1|[2]|3|\"z\"|true|{}|"},
        {"{\n \"a\": [1,\n2]\n}\n\n[ ]", "{\n \"a\": [1,\n2]\n}|[ ]|"},
        {"\xef\xbb\xbf{\"a\":1e400}", "{\"a\":1e400}|"},
        {"\xef\xbb\xbf", ""},
        {"null\ntrue\tfalse", "null|true|false|"},
        {"\"\xe2\x82\xac\\u0000\\ud800\"", "\"\xe2\x82\xac\\u0000\\ud800\"|"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step <= strlen(rows[i].text) + 1; step++) {
            struct buffer out = BUFFER_INIT;
            struct error err = {0};
            if (read_in(rows[i].text, strlen(rows[i].text), step, &out, &err) != 0) {
                fail_msg("%s: %s", rows[i].text, err.message);
            }
            assert_string_equal(buffer_text(&out), rows[i].items);
            buffer_fini(&out);
        }
    }
}

static void a_fault_is_named_by_item_line_and_byte_however_the_file_is_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"1\n2\nnope\n",
         "item 2, line 3, byte 5: expected true, false or null, at 'no"},
        {"{\"a\":1}\n{\"a\":\n1;",
         "item 1, line 3, byte 15: expected ',' or '}', at '{\"a"},
        {"[1]\n\n}", "item 1, line 3, byte 5: expected a value, at '}'"},
        {"\n\"abc",
         "item 0, line 2, byte 5: the file ends in the middle of a value, at "
         "'\"abc'"},
        {"[1,2", "item 0, line 1, byte 4: the file ends in the middle"},
        {"1e", "item 0, line 1, byte 2: the file ends in the middle"},
        {"tru", "item 0, line 1, byte 3: the file ends in the middle"},
        {"01", "item 1, line 1, byte 1: expected whitespace between two values"},
        {"truefalse", "item 1, line 1, byte 4: expected whitespace between two values"},
        {"1-2", "item 1, line 1, byte 1: expected whitespace between two values"},
        {"1 \xef\xbb\xbf 2", "item 1, line 1, byte 2: expected a value, at '"},
        {"\xef\xbb{}",
         "item 0, line 1, byte 2: expected the rest of a byte-order mark"},
        {"\xef\xbb", "byte 2: the file ends inside a byte-order mark"},
        {"\"\xff\"", "item 0, line 1, byte 1: invalid UTF-8, at '\"\\xff"},
        {"\"a\nb\"", "item 0, line 1, byte 2: control character in a string"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step <= strlen(rows[i].text) + 1; step++) {
            struct buffer out = BUFFER_INIT;
            struct error err = {0};
            assert_int_equal(
                read_in(rows[i].text, strlen(rows[i].text), step, &out, &err), -1);
            assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
            if (!strstr(err.message, rows[i].message)) {
                fail_msg("in steps of %zu: %s", step, err.message);
            }
            buffer_fini(&out);
        }
    }
}

static void an_item_may_be_as_large_as_the_limit_and_no_larger(void **state)
{
    (void)state;
    char text[ITEM_MAX + 3];

    for (size_t step = 1; step < 2 * ITEM_MAX; step += 333) {
        struct buffer out = BUFFER_INIT;
        struct error err = {0};
        memset(text, 'x', sizeof(text));
        text[0] = '"';
        text[ITEM_MAX - 1] = '"';
        assert_int_equal(read_in(text, ITEM_MAX, step, &out, &err), 0);
        text[ITEM_MAX - 1] = 'x';
        text[ITEM_MAX] = '"';
        assert_int_equal(read_in(text, ITEM_MAX + 1, step, &out, &err), -1);
        assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
        assert_string_equal(err.kind, "batchapi.item_size_exceeds_limit");
        assert_string_equal(err.message,
                            "item 0, line 1, byte 0: the item is larger than the limit "
                            "of 1000 bytes");
        buffer_fini(&out);
    }
}

static void reading_goes_on_from_a_position(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf[1]\n[2]\n\n {\"a\":\n3} 4\nbad";
    struct json_stream stream;
    struct json_slice item;
    struct json_stream_position positions[8];
    size_t count = 0;

    json_stream_init(&stream, ITEM_MAX, NULL);
    json_stream_push(&stream, text, sizeof(text) - 1);
    while (json_stream_next(&stream, &item, NULL) > 0) {
        positions[count++] = json_stream_position(&stream);
    }
    json_stream_fini(&stream);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        size_t items = i + 1;
        json_stream_init(&stream, ITEM_MAX, &positions[i]);
        json_stream_push(&stream,
                         text + positions[i].offset,
                         sizeof(text) - 1 - positions[i].offset);
        while (json_stream_next(&stream, &item, &err) > 0) {
            items++;
        }
        assert_int_equal(items, 4);
        assert_non_null(strstr(err.message, "item 4, line 6, byte 24"));
        json_stream_fini(&stream);
    }
}

static void check_case(const cJSON *row)
{
    char *text = corpus_text(row, "text");
    char *error = corpus_text(row, "error");
    const cJSON *item = NULL;
    struct buffer wanted = BUFFER_INIT;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(row, "items"))
    {
        buffer_add_format(&wanted, "%s|", item->valuestring);
    }
    for (size_t step = 1; step <= strlen(text) + 1; step++) {
        struct buffer out = BUFFER_INIT;
        struct error err = {0};
        int result = read_in(text, strlen(text), step, &out, &err);
        if (error && (result == 0 || !strstr(err.message, error))) {
            fail_msg("'%s': expected '%s', got: %s", text, error, err.message);
        }
        if (!error &&
            (result != 0 || strcmp(buffer_text(&out), buffer_text(&wanted)) != 0)) {
            fail_msg("'%s': %s %s", text, buffer_text(&out), err.message);
        }
        buffer_fini(&out);
    }
    buffer_fini(&wanted);
    free(text);
    free(error);
}

static void every_case_of_the_corpus_ends_as_it_says(void **state)
{
    (void)state;
    corpus_each("json_stream", 180, check_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_the_same_however_the_file_is_cut),
        cmocka_unit_test(
            a_fault_is_named_by_item_line_and_byte_however_the_file_is_cut),
        cmocka_unit_test(every_case_of_the_corpus_ends_as_it_says),
        cmocka_unit_test(an_item_may_be_as_large_as_the_limit_and_no_larger),
        cmocka_unit_test(reading_goes_on_from_a_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
