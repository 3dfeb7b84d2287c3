/* SPDX-License-Identifier: Apache-2.0 */
/* test_glob.c - does a pattern match what the dialect says, in bounded time? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "master/glob.h"

struct row {
    const char *pattern;
    const char *text;
    bool match;
};

static const struct row documented[] = {
    {"**.json", "s3://cortex-examples/image-classifier/urls_0.json", true},
    {"*.json", "s3://cortex-examples/image-classifier/urls_0.json", false},
    {"**.jpg", "s3://b/a/x.JPG", false},
    {"s3://b/images/*.jpg", "s3://b/images/x.jpg", true},
    {"s3://b/images/*.jpg", "s3://b/images/2020/x.jpg", false},
    {"s3://b/images/**", "s3://b/images/2020/x.jpg", true},
    {"**_3.jpg", "s3://b/images/img_3.jpg", true},
    {"**/img_?.jpg", "s3://b/images/img_10.jpg", false},
    {"{**.jpg,**.png}", "s3://b/x.png", true},
    {"**[0-9].jpg", "s3://b/img_7.jpg", true},
    {"", "s3://b/x", false},
};

static const struct row others[] = {
    {"", "", true},
    {"*", "", true},
    {"*", "abc", true},
    {"*", "a/b", false},
    {"a*", "a", true},
    {"a*c", "abbbc", true},
    {"a*c", "abbb", false},
    {"*a*b*", "xxaxxbxx", true},
    {"***", "a/b", true},
    {"***x", "a/bx", true},
    {"a**c", "a/b/c", true},
    {"a**c", "ac", true},
    {"?", "a", true},
    {"?", "/", false},
    {"?", "", false},
    {"?", "\xe2\x82\xac", true},
    {"??", "\xe2\x82\xac", false},
    {"?", "\xff", true},
    {"[abc]", "b", true},
    {"[abc]", "d", false},
    {"[!abc]", "d", true},
    {"[!abc]", "a", false},
    {"[!abc]", "", false},
    {"[/]", "/", true},
    {"[!a]", "/", true},
    {"[a-c]", "b", true},
    {"[!a-c]", "b", false},
    {"[!a-c]", "/", true},
    {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
    {"[\xe2\x82\xac]", "\xe2\x82\xac", true},
    {"[ab-]", "-", true},
    {"[-a]", "-", true},
    {"[-a]", "a", true},
    {"[a!]", "!", true},
    {"[!!]", "!", false},
    {"[\\]]", "]", true},
    {"[\\\\]", "\\", true},
    {"[a\\-c]", "-", true},
    {"[a\\-c]", "b", false},
    {"[[]", "[", true},
    {"[*?]", "*", true},
    {"[*?]", "x", false},
    {"[,}]", ",", true},
    {"]", "]", true},
    {"a,b}", "a,b}", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"\\{a,b\\}", "{a,b}", true},
    {"\\\\", "\\", true},
    {"\\a", "a", true},
    {"a\\", "a", true},
    {"{a,b}", "b", true},
    {"{a,b}", "a,b", false},
    {"{a, b}", " b", true},
    {"{a, b}", "b", false},
    {"{}", "", true},
    {"{,a}", "", true},
    {"{,a}", "a", true},
    {"x{a,b}y{c,d}z", "xbycz", true},
    {"{a,{b,c}d}e", "cde", true},
    {"{a,{b,c}d}e", "ae", true},
    {"{a,{b,c}d}e", "de", false},
    {"{a,b", "b", true},
    {"{a,{b,c", "c", true},
    {"{", "", true},
    {"{a\\,b}", "a,b", true},
    {"{*.jpg,**/x}", "a/b/x", true},
    {"{*.jpg,**/x}", "a/b.jpg", false},
    {"{[a,]b,c}", ",b", true},
};

static void check(const struct row *row)
{
    struct glob *glob = NULL;
    struct error err = {0};

    if (glob_create(row->pattern, &glob, &err) != 0) {
        fail_msg("%s: %s", row->pattern, err.message);
    }
    if (glob_match(glob, row->text, strlen(row->text)) != row->match) {
        fail_msg("'%s' and '%s': expected %d", row->pattern, row->text, row->match);
    }
    glob_destroy(glob);
}

static void the_documented_table_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
        check(&documented[i]);
    }
}

static void every_token_means_what_the_dialect_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        check(&others[i]);
    }
}

static void a_syntax_error_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *message;
    } rows[] = {
        {"[a-z0-9]", "one range only, at character 5"},
        {"x[]", "needs a character"},
        {"[]", "needs a character"},
        {"[]a]", "needs a character"},
        {"[!]", "needs a character"},
        {"[", "the pattern ends"},
        {"[!", "the pattern ends"},
        {"[abc", "the pattern ends"},
        {"[abc\\", "the pattern ends"},
        {"[a-", "the pattern ends"},
        {"[a-z", "the pattern ends"},
        {"[z-a]", "reversed at character 4"},
        {"[a-]", "reversed"},
        {"{a,[z-a]}", "reversed"},
        {"\xe2\x82\xac[b-a]", "reversed at character 5"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct glob *glob = NULL;
        struct error err = {0};
        assert_int_equal(glob_create(rows[i].pattern, &glob, &err), -1);
        assert_null(glob);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        if (!strstr(err.message, rows[i].message)) {
            fail_msg("%s: %s", rows[i].pattern, err.message);
        }
    }
}

static char *repeat(const char *piece, size_t size_max)
{
    struct buffer text = BUFFER_INIT;

    while (text.size + strlen(piece) <= size_max) {
        buffer_add_text(&text, piece);
    }
    return buffer_take(&text);
}

static void hostile_patterns_end_in_bounded_time(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "*a", "**a", "**", "?*", "{", "{a,", "{a,**}", "{,}", "[!b]*", ",", "{**,"};
    char *text = repeat("a", 4096);

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        char *pattern = repeat(pieces[i], GLOB_PATTERN_SIZE_MAX);
        struct glob *glob = NULL;
        assert_int_equal(glob_create(pattern, &glob, NULL), 0);
        (void)glob_match(glob, text, strlen(text));
        glob_destroy(glob);
        free(pattern);
    }
    free(text);
}

static void a_pattern_over_the_limit_is_refused(void **state)
{
    (void)state;
    char *pattern = repeat("a", GLOB_PATTERN_SIZE_MAX + 1);
    struct glob *glob = NULL;
    struct error err = {0};

    assert_int_equal(glob_create(pattern, &glob, &err), -1);
    assert_non_null(strstr(err.message, "1025 bytes, at most 1024"));
    free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_table_holds),
        cmocka_unit_test(every_token_means_what_the_dialect_says),
        cmocka_unit_test(a_syntax_error_is_named_with_its_place),
        cmocka_unit_test(hostile_patterns_end_in_bounded_time),
        cmocka_unit_test(a_pattern_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
