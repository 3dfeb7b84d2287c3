/* SPDX-License-Identifier: Apache-2.0 */
/* test_key.c - do keys and join strings come back as they went, and no others? */
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
#include "common/key.h"

static char folder[] = "/tmp/test_key.XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fs_remove_tree(folder, NULL);
}

static void a_public_key_comes_back_from_its_text(void **state)
{
    (void)state;
    struct key_pair pair;
    char text[KEY_TEXT_SIZE];
    unsigned char back[KEY_SIZE];

    for (int i = 0; i < 100; i++) {
        key_generate(&pair);
        key_public_format(pair.public_key, text);
        assert_int_equal(strlen(text), strlen("cortex-public:") + 43);
        assert_int_equal(key_public_parse(text, back, NULL), 0);
        assert_memory_equal(back, pair.public_key, KEY_SIZE);
    }
}

static void what_is_no_public_key_is_refused_and_quoted(void **state)
{
    (void)state;
    struct key_pair pair;
    char good[KEY_TEXT_SIZE];
    char text[KEY_TEXT_SIZE + 8];
    unsigned char back[KEY_SIZE];
    struct error err;

    key_generate(&pair);
    key_public_format(pair.public_key, good);
    for (size_t size = 0; size < strlen(good); size++) {
        (void)snprintf(text, sizeof(text), "%.*s", (int)size, good);
        assert_int_equal(key_public_parse(text, back, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, text));
    }
    (void)snprintf(text, sizeof(text), "%sA", good);
    assert_int_equal(key_public_parse(text, back, &err), -1);
    (void)snprintf(text, sizeof(text), "%s", good);
    text[20] = '+'; // of another base64
    assert_int_equal(key_public_parse(text, back, &err), -1);
    for (int byte = 0x80; byte <= 0xFF; byte++) {
        text[20] = (char)byte;
        assert_int_equal(key_public_parse(text, back, &err), -1);
    }
}

static void a_secret_given_for_a_public_key_is_not_quoted(void **state)
{
    (void)state;
    char *path = fs_join(folder, "quoted");
    struct buffer text = BUFFER_INIT;
    struct key_pair pair;
    unsigned char back[KEY_SIZE];
    struct error err;

    assert_int_equal(key_file_create(path, &pair, NULL), 0);
    assert_int_equal(fs_read(path, 1000, &text, NULL), 0);
    assert_int_equal(key_public_parse(buffer_text(&text), back, &err), -1);
    assert_null(strstr(err.message, buffer_text(&text) + strlen("cortex-secret:")));
    assert_non_null(strstr(err.message, "secret"));
    buffer_fini(&text);
    free(path);
}

static void a_file_holds_a_key_for_its_owner_only(void **state)
{
    (void)state;
    char *path = fs_join(folder, "mine");
    struct key_pair made;
    struct key_pair loaded;
    struct stat info;
    struct error err;

    assert_int_equal(key_file_create(path, &made, NULL), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(key_file_load(path, &loaded, NULL), 0);
    assert_memory_equal(&loaded, &made, sizeof(made));

    static const mode_t modes[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(key_file_load(path, &loaded, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, path));
        assert_non_null(strstr(err.message, "expected 0600"));
    }
    free(path);
}

static void a_key_is_never_overwritten(void **state)
{
    (void)state;
    char *path = fs_join(folder, "once");
    struct key_pair first;
    struct key_pair again;
    struct error err;

    assert_int_equal(key_file_ensure(path, &first, NULL), 0);
    assert_int_equal(key_file_create(path, &again, &err), -1);
    assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
    assert_int_equal(key_file_ensure(path, &again, NULL), 0);
    assert_memory_equal(&first, &again, sizeof(first));
    free(path);
}

static void a_file_without_a_key_is_an_error_and_stays_as_it_is(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "cortex-secret:", "hello\n"};
    char *path = fs_join(folder, "none");
    struct key_pair pair;
    struct error err;

    assert_int_equal(key_file_load(path, &pair, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(fs_write_durable(path, texts[i], strlen(texts[i]), 0600, NULL),
                         0);
        assert_int_equal(key_file_ensure(path, &pair, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, path));
    }
    free(path);
}

static struct key_join a_join(void)
{
    struct key_join join = {.address = "tcp://10.0.0.5:8790"};

    id_random_bytes(join.cluster, sizeof(join.cluster));
    id_random_bytes(join.public_key, sizeof(join.public_key));
    return join;
}

static void a_join_string_comes_back(void **state)
{
    (void)state;
    struct key_join join = a_join();
    struct key_join back = {.address = ""};
    char text[KEY_JOIN_SIZE];

    assert_int_equal(key_join_format(&join, text, NULL), 0);
    assert_true(strncmp(text, "cortex1:", 8) == 0);
    assert_non_null(strstr(text, "@tcp://10.0.0.5:8790"));
    assert_int_equal(key_join_parse(text, &back, NULL), 0);
    assert_string_equal(back.address, join.address);
    assert_memory_equal(back.cluster, join.cluster, sizeof(join.cluster));
    assert_memory_equal(back.public_key, join.public_key, sizeof(join.public_key));

    memset(join.address, 'a', KEY_ADDRESS_SIZE - 1);
    assert_int_equal(key_join_format(&join, text, NULL), 0);
    assert_int_equal(key_join_parse(text, &back, NULL), 0);
    assert_string_equal(back.address, join.address);
}

static void a_join_string_with_any_character_changed_is_refused(void **state)
{
    (void)state;
    struct key_join join = a_join();
    struct key_join back = {.address = "as it was"};
    char text[KEY_JOIN_SIZE];
    struct error err;

    assert_int_equal(key_join_format(&join, text, NULL), 0);
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        char was = text[i];
        text[i] = was == 'b' ? 'c' : 'b';
        assert_int_equal(key_join_parse(text, &back, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, text));
        text[i] = was;
    }
    for (size_t i = 0; i < size; i++) {
        char was = text[i];
        text[i] = '\0';
        assert_int_equal(key_join_parse(text, &back, &err), -1);
        text[i] = was;
    }
    assert_string_equal(back.address, "as it was");
    assert_int_equal(key_join_parse(text, &back, &err), 0);
}

static void an_address_that_cannot_be_written_is_refused(void **state)
{
    (void)state;
    static const char *const addresses[] = {"", "tcp://a b:1", "tcp://a\n:1", "\xff"};
    char text[KEY_JOIN_SIZE];

    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct key_join join = a_join();
        (void)snprintf(join.address, sizeof(join.address), "%s", addresses[i]);
        assert_int_equal(key_join_format(&join, text, NULL), -1);
    }
}

static void roles_are_read_by_their_names(void **state)
{
    (void)state;
    enum key_role role = KEY_ROLE_NONE;

    for (int i = KEY_ROLE_ADMIN; i < KEY_ROLE_COUNT; i++) {
        assert_true(key_role_parse(key_role_name((enum key_role)i), &role));
        assert_int_equal(role, i);
    }
    assert_false(key_role_parse("none", &role));
    assert_false(key_role_parse("Admin", &role));
    assert_false(key_role_parse("", &role));
}

static void equality_looks_at_every_byte(void **state)
{
    (void)state;
    unsigned char a[KEY_SIZE] = {0};
    unsigned char b[KEY_SIZE] = {0};

    assert_true(key_equal(a, b, sizeof(a)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 1;
        assert_false(key_equal(a, b, sizeof(a)));
        b[i] = 0;
    }
    memset(a, 'x', sizeof(a));
    key_wipe(a, sizeof(a));
    assert_memory_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_public_key_comes_back_from_its_text),
        cmocka_unit_test(what_is_no_public_key_is_refused_and_quoted),
        cmocka_unit_test(a_secret_given_for_a_public_key_is_not_quoted),
        cmocka_unit_test(a_file_holds_a_key_for_its_owner_only),
        cmocka_unit_test(a_key_is_never_overwritten),
        cmocka_unit_test(a_file_without_a_key_is_an_error_and_stays_as_it_is),
        cmocka_unit_test(a_join_string_comes_back),
        cmocka_unit_test(a_join_string_with_any_character_changed_is_refused),
        cmocka_unit_test(an_address_that_cannot_be_written_is_refused),
        cmocka_unit_test(roles_are_read_by_their_names),
        cmocka_unit_test(equality_looks_at_every_byte),
    };

    assert_int_equal(id_init(), 0);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
