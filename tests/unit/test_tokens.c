/* SPDX-License-Identifier: Apache-2.0 */
/* test_tokens.c - does every token get what its line says, and a stranger nothing? */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/bridge/access.h"
#include "client/bridge/tokens.h"
#include "common/fs.h"
#include "common/id.h"

#define TEXT_A "cortex_a"
#define TEXT_B "cortex_b"
#define NOON   1801396800000 /* 2027-01-31T12:00:00Z */

// "<front>blake2b:<hash of text><behind>\n"; the caller frees.
static char *line_of(const char *front, const char *text, const char *behind)
{
    unsigned char hash[TOKEN_HASH_SIZE];
    char hex[TOKEN_HASH_TEXT_SIZE];

    token_hash(text, hash);
    token_hash_format(hash, hex);
    return memory_format("%sblake2b:%s%s\n", front, hex, behind);
}

static struct token_list parse(const char *text)
{
    struct token_list list;
    struct error err = {0};

    if (token_list_parse(text, strlen(text), &list, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return list;
}

static struct token_list parse_one(const char *front)
{
    char *line = line_of(front, TEXT_A, " a comment");
    struct token_list list = parse(line);

    free(line);
    assert_int_equal(list.count, 1);
    return list;
}

static void expect_refused(const char *text, const char *part)
{
    struct token_list list;
    struct error err = {0};

    assert_int_equal(token_list_parse(text, strlen(text), &list, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    if (!strstr(err.message, part)) {
        fail_msg("expected \"%s\" in: %s", part, err.message);
    }
}

static void a_token_is_256_random_bits_behind_a_prefix(void **state)
{
    char one[TOKEN_TEXT_SIZE];
    char two[TOKEN_TEXT_SIZE];

    (void)state;
    token_generate(one);
    token_generate(two);
    assert_int_equal(strncmp(one, "cortex_", 7), 0);
    assert_int_equal(strlen(one + 7), 64);
    assert_int_equal(strspn(one + 7, "0123456789abcdef"), 64);
    assert_string_not_equal(one, two);
}

static void the_hash_is_blake2b_of_256_bits(void **state)
{
    unsigned char hash[TOKEN_HASH_SIZE];
    char hex[TOKEN_HASH_TEXT_SIZE];

    (void)state;
    token_hash("abc", hash); // as `printf abc | b2sum -l 256` says
    token_hash_format(hash, hex);
    assert_string_equal(
        hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

static void a_line_is_read_with_its_options_in_any_order(void **state)
{
    char *a = line_of("expires=2027-01-31 api=image-*,audio\trole=submit ", TEXT_A, "");
    char *b = line_of("  role=read ", TEXT_B, "  who  reads ");
    char *text = memory_format("# a comment\n\n%s \t\n%s", a, b);

    (void)state;
    struct token_list list = parse(text);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.tokens[0].role, TOKEN_SUBMIT);
    assert_string_equal(list.tokens[0].apis, "image-*,audio");
    assert_string_equal(list.tokens[0].comment, "");
    assert_int_equal(list.tokens[0].expires_ms, NOON + 12 * 3600000); // the day's end
    assert_int_equal(list.tokens[0].line, 3);
    assert_int_equal(list.tokens[1].role, TOKEN_READ);
    assert_null(list.tokens[1].apis);
    assert_string_equal(list.tokens[1].comment, "who  reads ");
    assert_int_equal(list.tokens[1].expires_ms, 0);
    assert_int_equal(list.tokens[1].line, 5);
    token_list_fini(&list);
    free(a);
    free(b);
    free(text);
}

static void what_is_wrong_with_a_line_is_said_with_its_number(void **state)
{
    char *good = line_of("role=read ", TEXT_A, "");
    char *twice = memory_format("%s\n%s", good, good);
    char *no_role = line_of("", TEXT_A, "");
    char *admin = line_of("role=admin api=x ", TEXT_A, "");

    (void)state;
    expect_refused(twice, "line 3: the token is on line 1 already");
    expect_refused(no_role, "line 1: the token has no role");
    expect_refused(admin, "role=admin is for all apis");
    expect_refused("\nrole=agent", "line 2: role: got \"agent\", expected admin");
    expect_refused("role=nobody", "role: got \"nobody\"");
    expect_refused("role=read role=admin", "role= is there twice");
    expect_refused("role=read", "there is no hash");
    expect_refused("role", "got \"role\"");
    expect_refused("api=", "api: got \"\"");
    expect_refused("api=a,,b", "api: got \"a,,b\"");
    expect_refused("api=A", "api: got \"A\"");
    expect_refused("api=[a-z]", "api: got");
    expect_refused("expires=2027-13-01", "expires: got \"2027-13-01\"");
    expect_refused("expires=2027-01-31T12:00:00", "expires: got");
    expect_refused("expires=1970-01-01T00:00:00Z", "expires: got");
    expect_refused("role=read blake2b:00", "the hash: got \"blake2b:00\"");
    expect_refused("role=read blake2b:"
                   "BDDD813C634239723171EF3FEE98579B94964E3BB1CB3E427262C8C068D52319",
                   "lower case");
    expect_refused("# \x01\n", "expected lines of UTF-8 text");
    expect_refused("# \xff\n", "expected lines of UTF-8 text");
    free(good);
    free(twice);
    free(no_role);
    free(admin);
}

static void no_more_patterns_or_tokens_are_taken_than_the_limit(void **state)
{
    struct buffer line = BUFFER_INIT;
    struct buffer text = BUFFER_INIT;
    struct token_list list;
    struct error err = {0};

    (void)state;
    buffer_add_text(&line, "role=read api=a");
    for (int i = 1; i < TOKEN_PATTERNS_MAX; i++) {
        buffer_add_text(&line, ",a");
    }
    char *front = memory_format("%s ", buffer_text(&line));
    list = parse_one(front);
    token_list_fini(&list);
    free(front);
    buffer_add_text(&line, ",a");
    expect_refused(buffer_text(&line), "at most 64 patterns");
    for (int i = 0; i < TOKENS_MAX; i++) {
        buffer_add_format(&text, "role=read blake2b:%064x\n", i);
    }
    list = parse(buffer_text(&text));
    assert_int_equal(list.count, TOKENS_MAX);
    token_list_fini(&list);
    buffer_add_format(&text, "role=read blake2b:%064x\n", TOKENS_MAX);
    assert_int_equal(token_list_parse(buffer_text(&text), text.size, &list, &err), -1);
    assert_non_null(strstr(err.message, "more than 1024 tokens"));
    buffer_fini(&text);
    buffer_fini(&line);
}

static void a_token_is_found_by_its_hash_until_it_expires(void **state)
{
    struct token_list list = parse_one("role=read expires=2027-01-31T12:00:00Z ");
    unsigned char hash[TOKEN_HASH_SIZE];

    (void)state;
    token_hash(TEXT_A, hash);
    assert_ptr_equal(token_list_find(&list, hash, NOON - 1), list.tokens);
    assert_null(token_list_find(&list, hash, NOON));
    hash[TOKEN_HASH_SIZE - 1] ^= 1;
    assert_null(token_list_find(&list, hash, 0));
    token_list_fini(&list);
}

static void each_role_has_its_methods(void **state)
{
    static const struct {
        const char *method;
        enum token_role role;
        bool may;
    } rows[] = {
        {"POST", TOKEN_ADMIN, true},
        {"DELETE", TOKEN_ADMIN, true},
        {"GET", TOKEN_ADMIN, true},
        {"POST", TOKEN_SUBMIT, true},
        {"DELETE", TOKEN_SUBMIT, true},
        {"GET", TOKEN_SUBMIT, true},
        {"GET", TOKEN_READ, true},
        {"HEAD", TOKEN_READ, true},
        {"POST", TOKEN_READ, false},
        {"DELETE", TOKEN_READ, false},
        {"get", TOKEN_READ, false},
        {"PUT", TOKEN_READ, false},
        {"GET", TOKEN_NOBODY, false},
        {"HEAD", TOKEN_NOBODY, false},
        {"DELETE", TOKEN_NOBODY, false},
        {"POST", TOKEN_NOBODY, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct token token = {.role = rows[i].role};
        assert_int_equal(token_may_call(&token, rows[i].method), rows[i].may);
    }
}

static void a_scope_covers_what_its_patterns_do(void **state)
{
    struct token_list list = parse_one("role=submit api=image-*,audio,v? ");
    const struct token *token = list.tokens;
    const struct token all = {.role = TOKEN_READ};
    const struct token nobody = {.role = TOKEN_NOBODY};

    (void)state;
    assert_true(token_may_use_api(token, "image-classifier"));
    assert_true(token_may_use_api(token, "image-"));
    assert_true(token_may_use_api(token, "audio"));
    assert_true(token_may_use_api(token, "v2"));
    assert_false(token_may_use_api(token, "image"));
    assert_false(token_may_use_api(token, "audio2"));
    assert_false(token_may_use_api(token, "an-audio"));
    assert_false(token_may_use_api(token, "v22"));
    assert_false(token_may_use_api(token, ""));
    assert_false(token_may_use_api(token, NULL));
    assert_true(token_may_use_api(&all, "audio2"));
    assert_true(token_may_use_api(&all, NULL));
    assert_false(token_may_use_api(&nobody, "audio"));
    token_list_fini(&list);
}

/* ---- a file ------------------------------------------------------------------ */

static char folder[] = "/tmp/test_tokens.XXXXXX";
static char *path;

static void write_file(const char *text, mode_t mode)
{
    struct error err = {0};

    assert_int_equal(fs_write_durable(path, text, strlen(text), mode, &err), 0);
}

static bool admits(const struct access *access, const char *authorization)
{
    struct token token;

    if (!access_admit(access, authorization, NOON, &token)) {
        return false;
    }
    token_fini(&token);
    return true;
}

static bool reread(struct access *access)
{
    struct error err = {0};
    bool changed = false;

    if (access_reread(access, &changed, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return changed;
}

static void only_one_bearer_of_a_token_is_let_in(void **state)
{
    char *line = line_of("role=read ", TEXT_A, "");
    struct access *access;

    (void)state;
    write_file(line, 0600);
    assert_int_equal(access_open(path, true, &access, NULL), 0);
    assert_true(admits(access, "Bearer " TEXT_A));
    assert_true(admits(access, "bearer   " TEXT_A));
    assert_false(admits(access, NULL));
    assert_false(admits(access, ""));
    assert_false(admits(access, TEXT_A));
    assert_false(admits(access, "Bearer"));
    assert_false(admits(access, "Bearer "));
    assert_false(admits(access, "Basic " TEXT_A));
    assert_false(admits(access, "Bearer" TEXT_A));
    assert_false(admits(access, "Bearer " TEXT_A "a"));
    assert_false(admits(access, "Bearer " TEXT_B));
    assert_false(admits(access, "Bearer " TEXT_A " x"));
    access_close(access);
    free(line);
}

static void without_a_file_everybody_is_let_in_until_there_is_one(void **state)
{
    char *line = line_of("role=read ", TEXT_A, "");
    const struct token before = {.role = TOKEN_ADMIN};
    struct access *access;

    (void)state;
    (void)unlink(path);
    assert_int_equal(access_open(path, false, &access, NULL), 0);
    assert_false(access_demanded(access));
    assert_false(reread(access));
    assert_true(admits(access, NULL));
    assert_true(access_holds(access, &before, NOON));
    write_file(line, 0600);
    assert_true(reread(access));
    assert_true(access_demanded(access));
    assert_false(admits(access, NULL));
    assert_false(access_holds(access, &before, NOON));
    assert_true(admits(access, "Bearer " TEXT_A));
    (void)unlink(path); // which does not open the door again
    assert_true(reread(access));
    assert_true(access_demanded(access));
    assert_false(admits(access, NULL));
    assert_false(admits(access, "Bearer " TEXT_A));
    access_close(access);
    free(line);
}

static void a_changed_file_is_taken_and_a_broken_one_is_not(void **state)
{
    char *a = line_of("role=read ", TEXT_A, "");
    char *b = line_of("role=read ", TEXT_B, "");
    struct access *access;
    struct error err = {0};
    struct token token;
    bool changed = false;

    (void)state;
    write_file(a, 0600);
    assert_int_equal(access_open(path, true, &access, NULL), 0);
    assert_false(reread(access));
    assert_true(access_admit(access, "Bearer " TEXT_A, NOON, &token));
    assert_true(access_holds(access, &token, NOON));
    write_file("role=reed\n", 0600);
    assert_int_equal(access_reread(access, &changed, &err), -1);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "line 1: role: got \"reed\""));
    assert_true(admits(access, "Bearer " TEXT_A));
    assert_false(reread(access)); // it was said once
    write_file(b, 0600);
    assert_true(reread(access));
    assert_false(admits(access, "Bearer " TEXT_A));
    assert_false(access_holds(access, &token, NOON));
    assert_true(admits(access, "Bearer " TEXT_B));
    token_fini(&token);
    access_close(access);
    free(a);
    free(b);
}

static void a_file_that_others_may_open_is_refused(void **state)
{
    char *line = line_of("role=read ", TEXT_A, "");
    struct access *access;
    struct error err = {0};

    (void)state;
    write_file(line, 0644);
    assert_int_equal(access_open(path, false, &access, &err), -1);
    assert_int_equal(err.code, ERROR_PERMISSION_DENIED);
    assert_non_null(strstr(err.message, "has mode 644, expected 600"));
    free(line);
}

static void a_file_that_is_demanded_has_to_be_there(void **state)
{
    struct access *access;
    struct error err = {0};

    (void)state;
    (void)unlink(path);
    assert_int_equal(access_open(path, true, &access, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "cortex-bridge tokens add --tokens"));
}

static int set_up(void **state)
{
    (void)state;
    if (id_init() != 0 || !mkdtemp(folder)) {
        return -1;
    }
    path = fs_join(folder, "tokens");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(path);
    return fs_remove_tree(folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_256_random_bits_behind_a_prefix),
        cmocka_unit_test(the_hash_is_blake2b_of_256_bits),
        cmocka_unit_test(a_line_is_read_with_its_options_in_any_order),
        cmocka_unit_test(what_is_wrong_with_a_line_is_said_with_its_number),
        cmocka_unit_test(no_more_patterns_or_tokens_are_taken_than_the_limit),
        cmocka_unit_test(a_token_is_found_by_its_hash_until_it_expires),
        cmocka_unit_test(each_role_has_its_methods),
        cmocka_unit_test(a_scope_covers_what_its_patterns_do),
        cmocka_unit_test(only_one_bearer_of_a_token_is_let_in),
        cmocka_unit_test(without_a_file_everybody_is_let_in_until_there_is_one),
        cmocka_unit_test(a_changed_file_is_taken_and_a_broken_one_is_not),
        cmocka_unit_test(a_file_that_others_may_open_is_refused),
        cmocka_unit_test(a_file_that_is_demanded_has_to_be_there),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
