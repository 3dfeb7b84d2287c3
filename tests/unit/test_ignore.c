/* SPDX-License-Identifier: Apache-2.0 */
/* test_ignore.c - does a .cortexignore mean what gitignore(5) says */
#include "client/cli/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"

struct row {
    const char *patterns;
    const char *path; // ends in a slash for a folder
    bool ignored;
};

static void check(const struct row *row)
{
    struct ignore *ignore = NULL;
    struct error err = {0};
    char *path = memory_strdup(row->path);
    size_t length = strlen(path);
    bool folder = path[length - 1] == '/';

    if (folder) {
        path[length - 1] = '\0';
    }
    assert_int_equal(ignore_create(row->patterns, strlen(row->patterns), &ignore, &err),
                     0);
    if (ignore_match(ignore, path, folder) != row->ignored) {
        fail_msg("\"%s\" should %signore %s",
                 row->patterns,
                 row->ignored ? "" : "not ",
                 row->path);
    }
    ignore_destroy(ignore);
    free(path);
}

static void test_each_rule_of_gitignore_holds(void **state)
{
    static const struct row rows[] = {
        // a name without a slash matches at any level
        {"a.txt", "a.txt", true},
        {"a.txt", "x/y/a.txt", true},
        {"a.txt", "a.txt.bak", false},
        {"*.txt", "x/b.txt", true},
        {"*.txt", "b.txt/", true},
        {"data", "data/", true},
        {"data", "data", true},
        // a slash at the end: folders only
        {"data/", "data/", true},
        {"data/", "data", false},
        {"data/", "x/data/", true},
        // a slash at the beginning or in the middle anchors
        {"/a.txt", "a.txt", true},
        {"/a.txt", "x/a.txt", false},
        {"x/a.txt", "x/a.txt", true},
        {"x/a.txt", "y/x/a.txt", false},
        {"doc/frotz/", "doc/frotz/", true},
        {"doc/frotz/", "a/doc/frotz/", false},
        {"/*.c", "a.c", true},
        {"/*.c", "x/a.c", false},
        // a star does not cross a slash
        {"foo/*", "foo/test.json", true},
        {"foo/*", "foo/bar/hello.c", false},
        {"x/*/b", "x/a/b", true},
        {"x/*/b", "x/a/c/b", false},
        {"x/*/b", "x/b", false},
        // ** over folders
        {"**/foo", "foo", true},
        {"**/foo", "a/b/foo", true},
        {"**/foo/bar", "a/foo/bar", true},
        {"**/foo/bar", "a/foo/x/bar", false},
        {"abc/**", "abc/x", true},
        {"abc/**", "abc/x/y", true},
        {"abc/**", "abc/", false},
        {"a/**/b", "a/b", true},
        {"a/**/b", "a/x/b", true},
        {"a/**/b", "a/x/y/b", true},
        {"a/**/b", "a/x/y/c", false},
        {"a/**/b", "c/a/b", false},
        {"a/**/b/**/c", "a/1/b/2/b/3/c", true},
        {"a/**/b/**/c", "a/1/c", false},
        {"**", "anything", true},
        {"/**", "x/y", true},
        {"foo**", "foobar", true},
        {"a/foo**bar", "a/foo/bar", false},
        // one character and classes
        {"?.py", "a.py", true},
        {"?.py", "ab.py", false},
        {"[ab].py", "b.py", true},
        {"[!ab].py", "b.py", false},
        {"[!ab].py", "c.py", true},
        {"[^ab].py", "c.py", true},
        {"[a-c].py", "b.py", true},
        {"[[:digit:]].py", "7.py", true},
        {"[[:digit:]].py", "x.py", false},
        {"[", "[", true},
        // ! takes back, the last match decides
        {"*.txt\n!keep.txt", "keep.txt", false},
        {"*.txt\n!keep.txt", "x/keep.txt", false},
        {"!keep.txt\n*.txt", "keep.txt", true},
        {"*\n!/keep/", "keep/", false},
        {"*\n!/keep/", "x/keep/", true},
        {"/*\n!/foo\n/foo/*\n!/foo/bar", "foo/bar", false},
        {"/*\n!/foo\n/foo/*\n!/foo/bar", "foo/baz", true},
        // comments, blanks, escapes
        {"# a.txt\n\n", "a.txt", false},
        {"\\#a", "#a", true},
        {"\\!a", "!a", true},
        {"a.txt   ", "a.txt", true},
        {"a\\ ", "a ", true},
        {"a b", "a b", true},
        {" a", "a", false},
        {" a", " a", true},
        {"a\\*b", "a*b", true},
        {"a\\*b", "axb", false},
        {"a.txt\r\nb.txt\r\n", "b.txt", true},
        {"a\\", "a\\", false},
        {"!", "a", false},
        {"/", "a", false},
        {"\xC3\xA9*", "\xC3\xA9t\xC3\xA9", true},
        {".env", ".env", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check(&rows[i]);
    }
}

static void test_no_ignore_file_leaves_nothing_out(void **state)
{
    (void)state;
    assert_false(ignore_match(NULL, "a", false));
}

static void test_a_pattern_of_many_stars_ends_soon(void **state)
{
    struct buffer pattern = BUFFER_INIT;
    struct buffer path = BUFFER_INIT;

    (void)state;
    for (int i = 0; i < 60; i++) {
        buffer_add_text(&pattern, "**/a*a*a*a*/");
        buffer_add_text(&path, i ? "/aaaaaaaaaaaaaaaaaaaa" : "aaaaaaaaaaaaaaaaaaaa");
    }
    buffer_add_text(&pattern, "b");
    check(&(struct row){buffer_text(&pattern), buffer_text(&path), false});
    buffer_fini(&pattern);
    buffer_fini(&path);
}

static void test_too_many_patterns_are_refused(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct ignore *ignore = NULL;
    struct error err = {0};

    (void)state;
    for (int i = 0; i <= IGNORE_PATTERNS_MAX; i++) {
        buffer_add_text(&text, "a\n");
    }
    assert_int_equal(ignore_create(text.data, text.size, &ignore, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_of_gitignore_holds),
        cmocka_unit_test(test_no_ignore_file_leaves_nothing_out),
        cmocka_unit_test(test_a_pattern_of_many_stars_ends_soon),
        cmocka_unit_test(test_too_many_patterns_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
