/* SPDX-License-Identifier: Apache-2.0 */
/* test_yaml_document.c - does the loader keep texts, places and limits, and do readers
 * take them for what they mean */
#include "common/yaml_document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/yaml_read.h"

static struct yaml_document parse(const char *text)
{
    struct yaml_document document = {NULL};
    struct error err = {0};

    if (yaml_document_parse(text, strlen(text), &document, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return document;
}

static void expect_json(const char *text, const char *json)
{
    struct yaml_document document = parse(text);
    struct buffer out = BUFFER_INIT;
    struct error err = {0};

    assert_int_equal(yaml_read_as_json(document.root, &out, &err), 0);
    assert_string_equal(buffer_text(&out), json);
    buffer_fini(&out);
    yaml_document_fini(&document);
}

static void expect_error(const char *text, const char *message)
{
    struct yaml_document document = {NULL};
    struct error err = {0};

    assert_int_equal(yaml_document_parse(text, strlen(text), &document, &err), -1);
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
}

static void test_every_node_knows_its_line_and_column(void **state)
{
    struct yaml_document document =
        parse("# c\n- name: a\n  predictor:\n    path: x\n");
    const struct yaml_node *api = document.root->children[0];
    const struct yaml_node *path =
        yaml_node_get(yaml_node_get(api, "predictor"), "path");

    (void)state;
    assert_int_equal(api->line, 2);
    assert_int_equal(path->line, 4);
    assert_int_equal(path->column, 11);
    assert_int_equal(path->key_column, 5);
    assert_null(yaml_node_get(api, "kind"));
    yaml_document_fini(&document);
}

static void test_a_tree_becomes_json_with_its_values_as_written(void **state)
{
    (void)state;
    expect_json("{a: 1, b: [x, true, null, ~, 'no']}",
                "{\"a\":1,\"b\":[\"x\",true,null,null,\"no\"]}");
    expect_json("a: no\nb: yes\nc: 0777\nd: 1_000\ne: 12:30:45\n",
                "{\"a\":\"no\",\"b\":\"yes\",\"c\":\"0777\",\"d\":\"1_000\",\"e\":\"12:"
                "30:45\"}");
    expect_json("[12345678901234567890, 1.0, 1e-3, 1E400, -0, +7, .5, 2., 0x1F, 0o17]",
                "[12345678901234567890,1.0,1e-3,1E400,-0,7,0.5,2.0,31,15]");
    expect_json("{}", "{}");
    expect_json("a:\nb: ''\nc: \"\\u00e9\\n\"\n",
                "{\"a\":null,\"b\":\"\",\"c\":\"\xC3\xA9\\n\"}");
    expect_json("a: |\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\"}");
    expect_json("[\"1\", '1.5', \"true\", \"\"]", "[\"1\",\"1.5\",\"true\",\"\"]");
}

static void test_infinity_cannot_become_json(void **state)
{
    struct yaml_document document = parse("[-.inf]");
    struct buffer out = BUFFER_INIT;
    struct error err = {0};

    (void)state;
    assert_int_equal(yaml_read_as_json(document.root, &out, &err), -1);
    assert_string_equal(
        err.message,
        "\"-.inf\" cannot be written as JSON: put it in quotes (line 1, column 2)");
    buffer_fini(&out);
    yaml_document_fini(&document);
}

static void test_what_is_ambiguous_or_dangerous_is_refused_with_its_place(void **state)
{
    (void)state;
    expect_error("a: 1\nb: 2\na: 3\n",
                 "the key \"a\" is given twice, first in line 1 (line 3, column 1)");
    expect_error("a: &x 1\n", "anchors (&) are not supported (line 1, column 4)");
    expect_error("a: *x\n", "aliases (*) are not supported (line 1, column 4)");
    expect_error("*x : 1\n", "aliases (*) are not supported (line 1, column 1)");
    expect_error("a: !!str 1\n", "tags (!) are not supported (line 1, column 4)");
    expect_error("a: !x [1]\n", "tags (!) are not supported (line 1, column 4)");
    expect_error("a: &x {b: 1}\n", "anchors (&) are not supported (line 1, column 4)");
    expect_error("? [1]\n: 2\n", "a key must be a string (line 1, column 3)");
    expect_error("a: 1\n---\nb: 2\n",
                 "only one document is allowed in a file (line 2, column 1)");
    expect_error("a: \"x\\0y\"\n", "NUL characters are not allowed (line 1, column 4)");
}

static void test_broken_text_is_refused_with_its_place(void **state)
{
    struct yaml_document document = {NULL};
    struct error err = {0};
    static const char *const broken[] = {"a: [1\n",
                                         "a: 'x\n",
                                         "\ta: 1\n",
                                         "a: 1\n b: 2\n",
                                         "a: \xFF\xFE\n",
                                         "}",
                                         "a: b: c"};

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        error_clear(&err);
        assert_int_equal(
            yaml_document_parse(broken[i], strlen(broken[i]), &document, &err), -1);
        assert_non_null(strstr(err.message, "(line "));
        assert_string_equal(error_kind(&err), "configreader.invalid_yaml");
    }
}

static void test_a_text_cut_at_any_byte_is_read_or_refused_cleanly(void **state)
{
    static const char text[] =
        "- name: a\n  list: [1, {x: \"q\\n\"}, 'y']\n  block: |\n"
        "    text\n  flow: {a: [b, c]}\n";

    (void)state;
    for (size_t size = 0; size < sizeof(text); size++) {
        struct yaml_document document = {NULL};
        struct error err = {0};
        char *copy = memory_strndup(text, size); // so that a sanitizer sees an overrun
        if (yaml_document_parse(copy, size, &document, &err) != 0) {
            assert_int_not_equal(err.message[0], '\0');
        }
        yaml_document_fini(&document);
        free(copy);
    }
}

static void test_nesting_nodes_and_size_are_limited(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct yaml_document document = {NULL};
    struct error err = {0};

    (void)state;
    for (int i = 0; i < YAML_DOCUMENT_DEPTH_MAX; i++) {
        buffer_add_char(&text, '[');
    }
    for (int i = 0; i < YAML_DOCUMENT_DEPTH_MAX; i++) {
        buffer_add_char(&text, ']');
    }
    assert_int_equal(yaml_document_parse(text.data, text.size, &document, &err), 0);
    yaml_document_fini(&document);

    buffer_clear(&text);
    for (int i = 0; i < 100000; i++) {
        buffer_add_char(&text, '[');
    }
    assert_int_equal(yaml_document_parse(text.data, text.size, &document, &err), -1);
    assert_string_equal(err.message, "nested too deeply (line 1, column 65)");

    buffer_clear(&text);
    buffer_add_char(&text, '[');
    for (int i = 0; i < YAML_DOCUMENT_NODES_MAX; i++) {
        buffer_add_text(&text, "1,");
    }
    buffer_add_char(&text, ']');
    assert_int_equal(yaml_document_parse(text.data, text.size, &document, &err), -1);
    assert_non_null(strstr(err.message, "too many values"));

    buffer_clear(&text);
    memset(buffer_reserve(&text, YAML_DOCUMENT_SIZE_MAX + 1),
           ' ',
           YAML_DOCUMENT_SIZE_MAX + 1);
    text.size = YAML_DOCUMENT_SIZE_MAX + 1;
    assert_int_equal(yaml_document_parse(text.data, text.size, &document, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    buffer_fini(&text);
}

static void test_an_empty_text_has_no_root(void **state)
{
    struct yaml_document document = parse("# nothing\n");

    (void)state;
    assert_null(document.root);
    yaml_document_fini(&document);
}

static void test_readers_take_only_what_the_field_means(void **state)
{
    struct yaml_document document =
        parse("[7, -3, 0777, 1e3, '7', 7.5, 9223372036854775808, true, no, null, abc]");
    struct yaml_node **nodes = document.root->children;
    int64_t number = 0;
    double real = 0;
    bool truth = false;

    (void)state;
    assert_true(yaml_read_int(nodes[0], &number));
    assert_int_equal(number, 7);
    assert_true(yaml_read_int(nodes[1], &number));
    assert_int_equal(number, -3);
    for (int i = 2; i < 11; i++) {
        assert_false(yaml_read_int(nodes[i], &number));
    }
    assert_true(yaml_read_float(nodes[3], &real));
    assert_true(real > 999.9 && real < 1000.1);
    assert_false(yaml_read_float(nodes[4], &real));
    assert_true(yaml_read_bool(nodes[7], &truth));
    assert_true(truth);
    assert_false(yaml_read_bool(nodes[8], &truth));
    assert_true(yaml_read_null(nodes[9]));
    assert_string_equal(yaml_read_string(nodes[2]), "0777");
    assert_string_equal(yaml_read_string(nodes[4]), "7");
    assert_string_equal(yaml_read_string(nodes[8]), "no");
    assert_null(yaml_read_string(nodes[0]));
    assert_null(yaml_read_string(nodes[7]));
    assert_string_equal(yaml_read_kind_words(nodes[6]), "an integer");
    assert_string_equal(yaml_read_kind_words(nodes[5]), "a number");
    assert_string_equal(yaml_read_kind_words(document.root), "a list");
    yaml_document_fini(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_node_knows_its_line_and_column),
        cmocka_unit_test(test_a_tree_becomes_json_with_its_values_as_written),
        cmocka_unit_test(test_infinity_cannot_become_json),
        cmocka_unit_test(test_what_is_ambiguous_or_dangerous_is_refused_with_its_place),
        cmocka_unit_test(test_broken_text_is_refused_with_its_place),
        cmocka_unit_test(test_a_text_cut_at_any_byte_is_read_or_refused_cleanly),
        cmocka_unit_test(test_nesting_nodes_and_size_are_limited),
        cmocka_unit_test(test_an_empty_text_has_no_root),
        cmocka_unit_test(test_readers_take_only_what_the_field_means),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
