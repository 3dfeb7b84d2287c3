/* SPDX-License-Identifier: Apache-2.0 */
/* test_keys_file.c - is authorized_keys changed as asked, and else left alone? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/fs.h"
#include "common/id.h"
#include "master/admission.h"
#include "master/identity.h"
#include "master/keys.h"
#include "master/keys_file.h"

#define NOW INT64_C(1800000000000) /* 2027-01-15T08:00:00Z */

static char folder[32];
static char *path;
static struct key_pair alice;
static char alice_text[KEY_TEXT_SIZE];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/test_keys_file.XXXXXX");
    key_generate(&alice);
    key_public_format(alice.public_key, alice_text);
    if (!mkdtemp(folder)) {
        return -1;
    }
    path = identity_keys_path(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    free(path);
    return fs_remove_tree(folder, NULL);
}

static char *content(void)
{
    struct buffer text = BUFFER_INIT;

    assert_int_equal(fs_read(path, KEYS_FILE_SIZE_MAX, &text, NULL), 0);
    return buffer_take(&text);
}

static void write_content(const char *text)
{
    assert_int_equal(fs_write_durable(path, text, strlen(text), 0600, NULL), 0);
}

static void a_new_file_holds_no_key_and_says_how_to_write_one(void **state)
{
    struct keys *keys = NULL;
    struct stat info;

    (void)state;
    assert_int_equal(keys_file_make(path, NULL), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char *text = content();
    assert_non_null(strstr(text, "role="));
    free(text);
    assert_int_equal(keys_open(path, &keys, NULL), 0);
    assert_int_equal(keys_count(keys), 0);
    keys_close(keys);
    write_content("# mine\n");
    assert_int_equal(keys_file_make(path, NULL), 0);
    text = content();
    assert_string_equal(text, "# mine\n");
    free(text);
}

static void a_key_is_added_behind_what_is_there(void **state)
{
    const struct keys_line line = {.role = "submit",
                                   .apis = "image-*",
                                   .from = "10.0.0.0/8",
                                   .expires = "2027-01-31",
                                   .what = alice_text,
                                   .comment = "Alice"};
    struct error err;

    (void)state;
    write_content("# mine, without an end of line");
    assert_int_equal(keys_file_add(path, &line, NULL), 0);
    char *text = content();
    char *wanted = memory_format("# mine, without an end of line\nrole=submit "
                                 "api=image-* from=10.0.0.0/8 expires=2027-01-31 %s "
                                 "Alice\n",
                                 alice_text);
    assert_string_equal(text, wanted);
    free(text);
    assert_int_equal(keys_file_add(path, &line, &err), -1);
    assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
    text = content();
    assert_string_equal(text, wanted);
    free(text);
    free(wanted);
}

static void a_line_that_could_not_be_read_is_not_written(void **state)
{
    const struct keys_line lines[] = {
        {.what = alice_text},
        {.role = "owner", .what = alice_text},
        {.role = "read", .from = "somewhere", .what = alice_text},
        {.role = "read", .expires = "soon", .what = alice_text},
        {.role = "read", .apis = "a b", .what = alice_text},
        {.role = "read", .what = "cortex-public:short"},
        {.role = "read", .what = alice_text, .comment = "two\nlines"},
        {.role = "read", .uses = "3", .what = alice_text},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct error err = {.code = ERROR_OK};
        assert_int_equal(keys_file_add(path, &lines[i], &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    }
    assert_false(fs_exists(path));
}

static void a_file_with_an_error_in_it_is_not_changed(void **state)
{
    const struct keys_line line = {.role = "read", .what = alice_text};
    char *said = NULL;
    struct error err;

    (void)state;
    write_content("role=nobody cortex-public:x\n");
    assert_int_equal(keys_file_add(path, &line, &err), -1);
    assert_non_null(strstr(err.message, "line 1"));
    assert_int_equal(keys_file_revoke(path, alice_text, &said, &err), -1);
    char *text = content();
    assert_string_equal(text, "role=nobody cortex-public:x\n");
    free(text);
}

static void revoking_leaves_the_line_and_all_others(void **state)
{
    char *said = NULL;
    struct error err;

    (void)state;
    char *before = memory_format("# one\n\nrole=read %s Alice\n# two\n", alice_text);
    write_content(before);
    free(before);
    // Some of its characters will do, with the word in front of them or without.
    char part[32];
    (void)snprintf(part, sizeof(part), "%.12s", alice_text + strlen("cortex-public:"));
    assert_int_equal(keys_file_revoke(path, part, &said, NULL), 0);
    assert_non_null(strstr(said, "Alice"));
    free(said);
    char *wanted =
        memory_format("# one\n\nrevoked role=read %s Alice\n# two\n", alice_text);
    char *text = content();
    assert_string_equal(text, wanted);
    free(text);
    assert_int_equal(keys_file_revoke(path, alice_text, &said, NULL), 0);
    free(said);
    text = content();
    assert_string_equal(text, wanted); // once is enough
    free(text);
    free(wanted);
    assert_int_equal(keys_file_revoke(path, "cortex-public:", &said, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_int_equal(keys_file_revoke(path, "abcdefghij", &said, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void the_list_shows_a_token_by_its_id_and_not_its_secret(void **state)
{
    unsigned char token[KEY_SIZE];
    char token_text[KEY_TEXT_SIZE];
    char id[KEY_TOKEN_ID_SIZE];
    struct buffer table = BUFFER_INIT;

    (void)state;
    id_random_bytes(token, sizeof(token));
    key_token_format(token, token_text);
    key_token_id(token, id);
    const struct keys_line line = {.uses = "2", .what = token_text, .comment = "rack"};
    assert_int_equal(keys_file_add(path, &line, NULL), 0);
    assert_int_equal(keys_file_list(path, &table, NULL), 0);
    assert_non_null(strstr(buffer_text(&table), id));
    assert_non_null(strstr(buffer_text(&table), "token, uses 2: rack"));
    assert_null(strstr(buffer_text(&table), token_text));
    buffer_fini(&table);
}

static void make_text(char out[KEY_TEXT_SIZE])
{
    struct key_pair pair;

    key_generate(&pair);
    key_public_format(pair.public_key, out);
}

static void a_next_key_has_the_same_rights_and_the_old_one_ends(void **state)
{
    char next_text[KEY_TEXT_SIZE];
    struct error err;

    (void)state;
    make_text(next_text);
    char *before =
        memory_format("# one\nrole=read api=a* %s Alice\n# two\n", alice_text);
    char *after =
        memory_format("# one\nexpires=2027-01-16T08:00:00Z role=read api=a* %s "
                      "Alice\nrole=read api=a* %s Alice\n# two\n",
                      alice_text,
                      next_text);
    write_content(before);
    for (int i = 0; i < 2; i++) { // once more does no harm
        assert_int_equal(
            keys_file_rotate(path, alice_text, next_text, "2027-01-16T08:00:00Z", NULL),
            0);
        char *text = content();
        assert_string_equal(text, after);
        free(text);
    }
    write_content("# nobody\n");
    assert_int_equal(keys_file_rotate(path, alice_text, next_text, "2027-01-16", &err),
                     -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    free(before);
    free(after);
}

static void a_key_that_has_a_next_one_ends_at_the_earlier_of_both_times(void **state)
{
    static const struct {
        const char *own;
        const char *becomes;
    } rows[] = {
        {"2026-12-31", "2026-12-31"}, // whose end is before noon of
        {"2027-01-16T11:59:59Z", "2027-01-16T11:59:59Z"},
        {"2027-01-16", "2027-01-16T12:00:00Z"}, // whose end is not
        {"2030-01-01", "2027-01-16T12:00:00Z"},
    };
    char next_text[KEY_TEXT_SIZE];

    (void)state;
    make_text(next_text);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *before =
            memory_format("role=read expires=%s %s Alice\n", rows[i].own, alice_text);
        char *after = memory_format("role=read expires=%s %s Alice\n"
                                    "role=read expires=%s %s Alice\n",
                                    rows[i].becomes,
                                    alice_text,
                                    rows[i].own,
                                    next_text);
        write_content(before);
        assert_int_equal(
            keys_file_rotate(path, alice_text, next_text, "2027-01-16T12:00:00Z", NULL),
            0);
        char *text = content();
        assert_string_equal(text, after);
        free(text);
        free(before);
        free(after);
    }
}

static void an_agent_stays_who_it_is_and_uses_up_no_token_again(void **state)
{
    char name[KEY_NAME_TEXT_SIZE];
    char next_text[KEY_TEXT_SIZE];
    char third_text[KEY_TEXT_SIZE];
    unsigned char key[KEY_SIZE];

    (void)state;
    make_text(next_text);
    make_text(third_text);
    assert_int_equal(key_public_parse(alice_text, key, NULL), 0);
    key_name_format(key, name);
    char *before = memory_format(
        "role=agent token=00112233445566778899aabbccddeeff %s node-1\n", alice_text);
    char *after = memory_format("expires=2027-01-16 %srole=agent agent=%s %s node-1\n",
                                before,
                                name,
                                next_text);
    write_content(before);
    assert_int_equal(keys_file_rotate(path, alice_text, next_text, "2027-01-16", NULL),
                     0);
    char *text = content();
    assert_string_equal(text, after);
    free(text);
    // And once more, under the name of its first key.
    assert_int_equal(keys_file_rotate(path, next_text, third_text, "2027-01-17", NULL),
                     0);
    text = content();
    char *third = memory_format("role=agent agent=%s %s node-1\n", name, third_text);
    assert_non_null(strstr(text, third));
    free(text);
    free(third);
    free(before);
    free(after);
}

/* --- tokens ----------------------------------------------------------------------- */

static void a_token_is_for_agents_only(void **state)
{
    static const char *const refused[] = {"role=admin cortex-token:%s",
                                          "role=submit cortex-token:%s",
                                          "api=x cortex-token:%s"};
    char text[KEY_TEXT_SIZE];

    (void)state;
    key_token_format(alice.secret_key, text);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct error err = {.code = ERROR_OK};
        struct buffer line = BUFFER_INIT;
        buffer_add(
            &line, refused[i], strcspn(refused[i], ":") - strlen("cortex-token"));
        buffer_add_text(&line, text);
        assert_int_equal(keys_check_text(buffer_text(&line), "file", &err), -1);
        assert_non_null(strstr(err.message, "only agents join"));
        buffer_fini(&line);
    }
}

static void ask_with_token(const char *options, enum error_code expected)
{
    char text[KEY_TEXT_SIZE];
    char id[KEY_TOKEN_ID_SIZE];
    struct keys *keys = NULL;
    struct error err = {.code = ERROR_OK};

    key_token_format(alice.secret_key, text);
    key_token_id(alice.secret_key, id);
    char *line = memory_format("%s %s\n", options, text);
    write_content(line);
    free(line);
    assert_int_equal(keys_open(path, &keys, NULL), 0);
    (void)keys_check_token(keys, id, alice.public_key, "10.1.2.3", NOW, &err);
    assert_int_equal(err.code, expected);
    unsigned char secret[KEY_SIZE];
    bool found = keys_find_token(keys, id, NOW, secret);
    assert_true(found == (expected != ERROR_UNAUTHENTICATED));
    // It is no key.
    enum key_role role;
    assert_int_equal(
        keys_check(keys, alice.secret_key, "10.1.2.3", KEY_ROLE_NONE, NOW, &role, NULL),
        -1);
    keys_close(keys);
}

static void a_token_has_a_time_and_a_place(void **state)
{
    (void)state;
    ask_with_token("", ERROR_OK);
    ask_with_token("from=10.0.0.0/8 expires=2027-01-31", ERROR_OK);
    ask_with_token("from=192.168.0.0/16", ERROR_PERMISSION_DENIED);
    ask_with_token("expires=2027-01-14", ERROR_UNAUTHENTICATED);
    ask_with_token("revoked", ERROR_UNAUTHENTICATED);
}

static void so_many_keys_join_as_a_token_has_uses(void **state)
{
    struct admission *admission = NULL;
    struct identity self;
    struct key_pair others[3];
    char text[KEY_TEXT_SIZE];
    char id[KEY_TOKEN_ID_SIZE];
    struct error err = {.code = ERROR_OK};
    enum key_role role = KEY_ROLE_NONE;

    (void)state;
    assert_int_equal(identity_make(folder, NULL, &self, NULL), 0);
    key_token_format(alice.secret_key, text);
    key_token_id(alice.secret_key, id);
    const struct keys_line line = {.uses = "2", .what = text};
    assert_int_equal(keys_file_add(path, &line, NULL), 0);
    assert_int_equal(admission_open(folder, &admission, NULL), 0);
    for (int i = 0; i < 3; i++) {
        key_generate(&others[i]);
    }
    // A repeat is not another use.
    for (int i = 0; i < 4; i++) {
        if (admission_join(
                admission, others[i % 2].public_key, id, "a\nnode \xc3\xa9", &err) !=
            0) {
            fail_msg("%s", err.message);
        }
    }
    assert_int_equal(admission_join(admission, others[2].public_key, id, "late", &err),
                     -1);
    assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, "used up"));
    assert_int_equal(keys_check(admission_keys(admission),
                                others[1].public_key,
                                "10.1.2.3",
                                KEY_ROLE_AGENT,
                                NOW,
                                &role,
                                NULL),
                     0);
    char *said = content();
    assert_non_null(strstr(said, " a?node ??\n"));
    free(said);
    admission_close(admission);
}

/* --- who the master is ------------------------------------------------------------ */

static void a_master_stays_who_it_is_wherever_it_is_reached(void **state)
{
    struct identity first;
    struct identity second;

    (void)state;
    assert_int_equal(identity_make(folder, NULL, &first, NULL), 0);
    assert_string_equal(first.join.address, "tcp://127.0.0.1:8790");
    assert_int_equal(identity_make(folder, "tcp://10.0.0.5:8790", &second, NULL), 0);
    assert_memory_equal(&first.key, &second.key, sizeof(first.key));
    assert_memory_equal(first.join.cluster, second.join.cluster, KEY_CLUSTER_SIZE);
    assert_int_equal(identity_load(folder, &first, NULL), 0);
    assert_string_equal(first.join.address, "tcp://10.0.0.5:8790");
    assert_memory_equal(first.join.public_key, first.key.public_key, KEY_SIZE);
}

static void a_key_without_its_join_string_is_no_identity(void **state)
{
    struct identity self;
    struct error err;

    (void)state;
    assert_int_equal(identity_load(folder, &self, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_int_equal(identity_make(folder, NULL, &self, NULL), 0);
    char *key = fs_join(folder, "master.key");
    assert_int_equal(fs_remove(key, NULL), 0);
    assert_int_equal(key_file_create(key, &self.key, NULL), 0);
    free(key);
    assert_int_equal(identity_load(folder, &self, &err), -1);
    assert_int_equal(err.code, ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "cortex-master init"));
}

#define HOLDS(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(a_new_file_holds_no_key_and_says_how_to_write_one),
        HOLDS(a_key_is_added_behind_what_is_there),
        HOLDS(a_line_that_could_not_be_read_is_not_written),
        HOLDS(a_file_with_an_error_in_it_is_not_changed),
        HOLDS(revoking_leaves_the_line_and_all_others),
        HOLDS(the_list_shows_a_token_by_its_id_and_not_its_secret),
        HOLDS(a_next_key_has_the_same_rights_and_the_old_one_ends),
        HOLDS(a_key_that_has_a_next_one_ends_at_the_earlier_of_both_times),
        HOLDS(an_agent_stays_who_it_is_and_uses_up_no_token_again),
        HOLDS(a_token_is_for_agents_only),
        HOLDS(a_token_has_a_time_and_a_place),
        HOLDS(so_many_keys_join_as_a_token_has_uses),
        HOLDS(a_master_stays_who_it_is_wherever_it_is_reached),
        HOLDS(a_key_without_its_join_string_is_no_identity),
    };

    return id_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
