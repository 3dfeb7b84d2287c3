/* SPDX-License-Identifier: Apache-2.0 */
/* test_seal.c - does a program that was told the join string once know it ever after?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/seal.h"

static char folder[32];
static struct key_join master;
static char plain[KEY_JOIN_SIZE];
static char with_token[KEY_JOIN_SIZE];

static int set_up(void **state)
{
    struct key_join join = {.address = "tcp://10.0.0.5:8790"};

    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/test_seal.XXXXXX");
    id_random_bytes(join.cluster, sizeof(join.cluster));
    id_random_bytes(join.public_key, sizeof(join.public_key));
    master = join;
    if (key_join_format(&join, plain, NULL) != 0) {
        return -1;
    }
    join.has_token = true;
    id_random_bytes(join.token, sizeof(join.token));
    memcpy(master.token, join.token, sizeof(join.token));
    return mkdtemp(folder) && key_join_format(&join, with_token, NULL) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return fs_remove_tree(folder, NULL);
}

static void open_seal(const char *join, struct seal *out)
{
    const struct seal_request request = {.folder = folder, .join = join};
    struct error err;

    if (seal_open(&request, out, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void without_a_join_string_nothing_is_sealed_or_made(void **state)
{
    struct seal seal = {.sealed = true};

    (void)state;
    open_seal(NULL, &seal);
    assert_false(seal.sealed);
    seal_close(&seal);
    char *key = fs_join(folder, "key");
    assert_false(fs_exists(key));
    free(key);
}

static void a_join_string_is_given_once_and_the_key_stays(void **state)
{
    struct seal first;
    struct seal second;

    (void)state;
    open_seal(plain, &first);
    open_seal(NULL, &second);
    assert_true(first.sealed && second.sealed);
    assert_memory_equal(&first.key, &second.key, sizeof(first.key));
    assert_string_equal(second.join.address, "tcp://10.0.0.5:8790");
    assert_memory_equal(second.join.public_key, master.public_key, KEY_SIZE);
    seal_close(&first);
    seal_close(&second);
}

static void a_key_that_takes_the_place_of_the_file_s_is_used_from_then_on(void **state)
{
    struct session_client_options options;
    struct key_pair next;
    struct seal seal;

    (void)state;
    open_seal(plain, &seal);
    seal_options(&seal, KEY_ROLE_AGENT, NULL, &options);
    struct key_pair key = options.key;
    options.own_key(options.own_key_arg, &key);
    assert_memory_equal(&key, &seal.key, sizeof(key));
    char *next_file = fs_join(folder, "key.next");
    assert_int_equal(key_file_create(next_file, &next, NULL), 0);
    assert_int_equal(key_file_replace(seal.key_file, next_file, NULL), 0);
    options.own_key(options.own_key_arg, &key);
    assert_memory_equal(&key, &next, sizeof(key));
    assert_int_equal(fs_remove(seal.key_file, NULL), 0);
    options.own_key(options.own_key_arg, &key); // what cannot be read changes nothing
    assert_memory_equal(&key, &next, sizeof(key));
    free(next_file);
    seal_close(&seal);
}

static void a_token_is_asked_for_until_the_program_has_joined(void **state)
{
    struct seal seal;
    struct buffer text = BUFFER_INIT;

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_seal(with_token, &seal);
        assert_true(seal.join.has_token);
        assert_memory_equal(seal.join.token, master.token, KEY_SIZE);
        if (i == 1) {
            assert_int_equal(seal_remember(folder, &seal, NULL), 0);
        }
        seal_close(&seal);
    }
    open_seal(with_token, &seal);
    assert_false(seal.join.has_token);
    seal_close(&seal);
    open_seal(NULL, &seal);
    assert_true(seal.sealed && !seal.join.has_token);
    seal_close(&seal);
    char *path = fs_join(folder, "join");
    assert_int_equal(fs_read(path, 4096, &text, NULL), 0);
    assert_null(strchr(buffer_text(&text), '#'));
    buffer_fini(&text);
    free(path);
}

static size_t trusted(const struct seal *seal,
                      unsigned char out[TRUST_KEYS_MAX][KEY_SIZE])
{
    return trust_keys(seal->trust, out);
}

static void
what_is_learned_of_the_masters_key_is_kept_whatever_string_is_given(void **state)
{
    unsigned char next[KEY_SIZE] = "the master is going to have it";
    unsigned char keys[TRUST_KEYS_MAX][KEY_SIZE];
    struct seal seal;

    (void)state;
    open_seal(plain, &seal);
    trust_proven(seal.trust, master.public_key, next);
    seal_close(&seal);
    open_seal(NULL, &seal);
    assert_int_equal(trusted(&seal, keys), 2);
    assert_memory_equal(keys[0], master.public_key, KEY_SIZE);
    assert_memory_equal(keys[1], next, KEY_SIZE);
    trust_proven(seal.trust, next, NULL);
    seal_close(&seal);
    open_seal(NULL, &seal);
    assert_int_equal(trusted(&seal, keys), 1);
    assert_memory_equal(keys[0], next, KEY_SIZE);
    seal_close(&seal);
    open_seal(with_token, &seal); // of before the change, as it stands in a unit file
    assert_false(seal.join.has_token);
    assert_int_equal(trusted(&seal, keys), 2);
    assert_memory_equal(keys[0], next, KEY_SIZE);
    assert_memory_equal(keys[1], master.public_key, KEY_SIZE);
    seal_close(&seal);
}

static void another_clusters_string_takes_the_place_of_all_that_was_known(void **state)
{
    unsigned char keys[TRUST_KEYS_MAX][KEY_SIZE];
    unsigned char next[KEY_SIZE] = "the first master will have it";
    char text[KEY_JOIN_SIZE];
    struct key_join other = master;
    struct seal seal;

    (void)state;
    open_seal(plain, &seal);
    trust_proven(seal.trust, master.public_key, next);
    seal_close(&seal);
    other.has_token = false;
    other.cluster[0] ^= 1;
    other.public_key[0] ^= 1;
    assert_int_equal(key_join_format(&other, text, NULL), 0);
    open_seal(text, &seal);
    assert_int_equal(trusted(&seal, keys), 1);
    assert_memory_equal(keys[0], other.public_key, KEY_SIZE);
    seal_close(&seal);
}

static void what_cannot_be_is_refused_without_quoting_a_token(void **state)
{
    struct seal seal;
    struct error err;
    char *broken = memory_strdup(with_token);

    (void)state;
    broken[12] = broken[12] == 'A' ? 'B' : 'A';
    const struct seal_request wrong = {.folder = folder, .join = broken};
    assert_int_equal(seal_open(&wrong, &seal, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_null(strstr(err.message, strchr(with_token, '#')));
    free(broken);
    const struct seal_request aimless = {.key_file = "/nowhere/key"};
    assert_int_equal(seal_open(&aimless, &seal, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    const struct seal_request homeless = {.join = plain};
    assert_int_equal(seal_open(&homeless, &seal, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
}

static void a_token_behind_an_address_has_its_whole_length(void **state)
{
    struct key_join join;
    char *cut = memory_strndup(with_token, strlen(with_token) - 1);

    (void)state;
    assert_int_equal(key_join_parse(with_token, &join, NULL), 0);
    assert_string_equal(join.address, "tcp://10.0.0.5:8790");
    assert_int_equal(key_join_parse(cut, &join, NULL), -1);
    free(cut);
}

#define HOLDS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(without_a_join_string_nothing_is_sealed_or_made),
        HOLDS(a_join_string_is_given_once_and_the_key_stays),
        HOLDS(a_key_that_takes_the_place_of_the_file_s_is_used_from_then_on),
        HOLDS(a_token_is_asked_for_until_the_program_has_joined),
        HOLDS(what_is_learned_of_the_masters_key_is_kept_whatever_string_is_given),
        HOLDS(another_clusters_string_takes_the_place_of_all_that_was_known),
        HOLDS(what_cannot_be_is_refused_without_quoting_a_token),
        HOLDS(a_token_behind_an_address_has_its_whole_length),
    };

    return id_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
