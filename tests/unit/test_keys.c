/* SPDX-License-Identifier: Apache-2.0 */
/* test_keys.c - is authorized_keys read as written, and is a change of it taken up? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fs.h"
#include "common/id.h"
#include "master/keys.h"
#include "master/keys_entry.h"

#define HOST "10.1.2.3"
#define NOW  INT64_C(1800000000000) /* 2027-01-15T08:00:00Z */

static char folder[] = "/tmp/test_keys.XXXXXX";
static char *path;
static struct key_pair alice;
static struct key_pair bob;
static char alice_text[KEY_TEXT_SIZE];
static char bob_text[KEY_TEXT_SIZE];

static int make_folder(void **state)
{
    (void)state;
    key_generate(&alice);
    key_generate(&bob);
    key_public_format(alice.public_key, alice_text);
    key_public_format(bob.public_key, bob_text);
    if (!mkdtemp(folder)) {
        return -1;
    }
    path = fs_join(folder, "authorized_keys");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    free(path);
    return fs_remove_tree(folder, NULL);
}

/* %A and %B in it stand for the two public keys. */
static void write_keys(const char *text)
{
    struct buffer out = BUFFER_INIT;

    for (; *text; text++) {
        if (text[0] == '%' && (text[1] == 'A' || text[1] == 'B')) {
            buffer_add_text(&out, *++text == 'A' ? alice_text : bob_text);
        } else {
            buffer_add_char(&out, *text);
        }
    }
    assert_int_equal(fs_write_durable(path, buffer_text(&out), out.size, 0600, NULL),
                     0);
    buffer_fini(&out);
}

static struct keys *open_keys(const char *text)
{
    struct keys *keys = NULL;
    struct error err = {.code = ERROR_OK};

    write_keys(text);
    if (keys_open(path, &keys, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return keys;
}

/* The error's code, or OK with the role in *out. */
static enum error_code ask(struct keys *keys,
                           const struct key_pair *who,
                           const char *host,
                           enum key_role wanted,
                           int64_t wall_ms,
                           enum key_role *out)
{
    struct error err;

    *out = KEY_ROLE_NONE;
    return keys_check(keys, who->public_key, host, wanted, wall_ms, out, &err) == 0
               ? ERROR_OK
               : err.code;
}

static enum error_code ask_plainly(struct keys *keys, const struct key_pair *who)
{
    enum key_role role;

    return ask(keys, who, HOST, KEY_ROLE_NONE, NOW, &role);
}

static void a_key_has_the_role_of_its_line(void **state)
{
    (void)state;
    enum key_role role;

    for (int i = KEY_ROLE_ADMIN; i < KEY_ROLE_COUNT; i++) {
        char line[200];
        (void)snprintf(line,
                       sizeof(line),
                       "# keys\n\n\trole=%s  %%A  Alice's  laptop\r\nrole=read %%B",
                       key_role_name((enum key_role)i));
        struct keys *keys = open_keys(line);
        assert_int_equal(keys_count(keys), 2);
        assert_int_equal(ask(keys, &alice, HOST, KEY_ROLE_NONE, NOW, &role), ERROR_OK);
        assert_int_equal(role, i);
        assert_int_equal(ask(keys, &bob, HOST, KEY_ROLE_NONE, NOW, &role), ERROR_OK);
        assert_int_equal(role, KEY_ROLE_READ);
        keys_close(keys);
    }
}

static void an_agent_is_named_by_its_key_or_by_its_line(void **state)
{
    static const unsigned char named[KEY_NAME_SIZE] = {[0] = 0xab, [15] = 0x01};
    unsigned char name[KEY_NAME_SIZE];

    (void)state;
    struct keys *keys =
        open_keys("role=agent %A\n"
                  "role=agent agent=ab000000000000000000000000000001 %B\n");
    keys_agent_id(keys, alice.public_key, name);
    assert_memory_equal(name, alice.public_key, sizeof(name));
    keys_agent_id(keys, bob.public_key, name);
    assert_memory_equal(name, named, sizeof(name));
    keys_close(keys);
    assert_int_equal(
        keys_check_text("role=agent agent=AB cortex-public:x\n", path, NULL), -1);
}

static void an_unknown_key_is_refused_by_name(void **state)
{
    (void)state;
    struct keys *keys = open_keys("role=read %A\n");
    enum key_role role = KEY_ROLE_BRIDGE;
    struct error err;

    assert_int_equal(
        keys_check(keys, bob.public_key, HOST, KEY_ROLE_NONE, NOW, &role, &err), -1);
    assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, bob_text));
    assert_int_equal(role, KEY_ROLE_BRIDGE);
    assert_false(keys_may_use_api(keys, bob.public_key, "any"));
    keys_close(keys);
}

static void a_role_covers_itself_and_admin_covers_all(void **state)
{
    (void)state;
    struct keys *keys = open_keys("role=admin %A\nrole=submit %B\n");
    enum key_role role;

    assert_int_equal(ask(keys, &alice, HOST, KEY_ROLE_AGENT, NOW, &role), ERROR_OK);
    assert_int_equal(role, KEY_ROLE_AGENT);
    assert_int_equal(ask(keys, &bob, HOST, KEY_ROLE_SUBMIT, NOW, &role), ERROR_OK);
    assert_int_equal(ask(keys, &bob, HOST, KEY_ROLE_AGENT, NOW, &role),
                     ERROR_PERMISSION_DENIED);
    assert_int_equal(ask(keys, &bob, HOST, KEY_ROLE_ADMIN, NOW, &role),
                     ERROR_PERMISSION_DENIED);
    keys_close(keys);
}

static void a_revoked_key_is_refused(void **state)
{
    (void)state;
    struct keys *keys = open_keys("revoked role=admin %A\nrevoked %B gone\n");

    assert_int_equal(ask_plainly(keys, &alice), ERROR_UNAUTHENTICATED);
    assert_int_equal(ask_plainly(keys, &bob), ERROR_UNAUTHENTICATED);
    assert_false(keys_may_use_api(keys, alice.public_key, "any"));
    keys_close(keys);
}

static void a_key_expires_at_the_end_of_its_day_or_at_its_time(void **state)
{
    (void)state;
    struct keys *keys = open_keys("role=read expires=2027-01-15 %A\n"
                                  "expires=2027-01-15T08:00:01Z role=read %B\n");
    int64_t midnight = INT64_C(1800057600000);
    enum key_role role;

    assert_int_equal(ask(keys, &alice, HOST, KEY_ROLE_NONE, midnight - 1, &role),
                     ERROR_OK);
    assert_int_equal(ask(keys, &alice, HOST, KEY_ROLE_NONE, midnight, &role),
                     ERROR_UNAUTHENTICATED);
    assert_int_equal(ask(keys, &bob, HOST, KEY_ROLE_NONE, NOW + 999, &role), ERROR_OK);
    assert_int_equal(ask(keys, &bob, HOST, KEY_ROLE_NONE, NOW + 1000, &role),
                     ERROR_UNAUTHENTICATED);
    keys_close(keys);
}

static void a_key_is_good_from_its_networks_only(void **state)
{
    (void)state;
    struct keys *keys =
        open_keys("role=read from=10.1.0.0/20,192.0.2.1,2001:db8:8000::/33 %A\n"
                  "role=read from=0.0.0.0/0 %B\n");
    static const struct {
        const char *host;
        bool good;
    } cases[] = {
        {"10.1.0.0", true},
        {"10.1.15.255", true},
        {"10.1.16.0", false},
        {"10.0.255.255", false},
        {"192.0.2.1", true},
        {"192.0.2.2", false},
        {"2001:db8:8000::", true},
        {"2001:db8:ffff::1", true},
        {"2001:db8:7fff::", false},
        {"::ffff:10.1.2.3", true},
        {"::ffff:10.2.2.3", false},
        {"local", false},
        {"", false},
    };
    enum key_role role;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ask(keys, &alice, cases[i].host, KEY_ROLE_NONE, NOW, &role),
                         cases[i].good ? ERROR_OK : ERROR_PERMISSION_DENIED);
    }
    assert_int_equal(ask(keys, &bob, HOST, KEY_ROLE_NONE, NOW, &role), ERROR_OK);
    assert_int_equal(ask(keys, &bob, "::1", KEY_ROLE_NONE, NOW, &role),
                     ERROR_PERMISSION_DENIED);
    keys_close(keys);
}

static void a_key_sees_the_apis_that_its_patterns_match(void **state)
{
    (void)state;
    struct keys *keys = open_keys("role=submit api=image-*,audio,t?n %A\n"
                                  "role=submit %B\n");
    static const struct {
        const char *api;
        bool good;
    } cases[] = {
        {"image-classifier", true},
        {"image-", true},
        {"image", false},
        {"my-image-x", false},
        {"audio", true},
        {"audio2", false},
        {"ten", true},
        {"tn", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(keys_may_use_api(keys, alice.public_key, cases[i].api),
                         cases[i].good);
        assert_true(keys_may_use_api(keys, bob.public_key, cases[i].api));
    }
    keys_close(keys);
}

static void an_error_names_the_file_and_line_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *line;
        const char *says;
    } cases[] = {
        {"\nrole=admn %A", "line 2", "role=\"admn\": expected admin, submit"},
        {"role=none %A", "line 1", "role=\"none\""},
        {"%A", "line 1", "no role"},
        {"role=read", "line 1", "expected a public key"},
        {"role=read hello %A", "line 1", "\"hello\": expected role="},
        {"rolex=read %A", "line 1", "\"rolex=read\": expected role="},
        {"role=read role=admin %A", "line 1", "role= is there twice"},
        {"role=read cortex-public:abc", "line 1", "\"cortex-public:abc\" is no public"},
        {"role=read api= %A", "line 1", "api=\"\": expected"},
        {"role=read api=a,,b %A", "line 1", "api=\"\": expected"},
        {"role=read api=A %A", "line 1", "api=\"A\": expected"},
        {"role=read from=10.0.0.0/33 %A", "line 1", "from=\"10.0.0.0/33\": expected"},
        {"role=read from=10.0.0.0/ %A", "line 1", "from=\"10.0.0.0/\": expected"},
        {"role=read from=example.com %A", "line 1", "from=\"example.com\": expected"},
        {"role=read expires=2027-1 %A", "line 1", "expires=\"2027-1\": expected"},
        {"role=read expires=2027-02-31 x %A", "line 1", "\"x\""},
        {"role=read expires=1970-01-01T00:00:00Z %A",
         "line 1",
         "expires=\"1970-01-01T"},
        {"role=read %A\nrole=read %B\nrevoked %A", "line 3", "is on line 1 already"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct keys *keys;
        struct error err;
        write_keys(cases[i].text);
        assert_int_equal(keys_open(path, &keys, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, path));
        assert_non_null(strstr(err.message, cases[i].line));
        assert_non_null(strstr(err.message, cases[i].says));
    }
}

static void a_secret_key_in_the_file_is_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char secret[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    char line[200];
    struct keys *keys;
    struct error err;

    (void)snprintf(line, sizeof(line), "role=read cortex-secret:%s", secret);
    write_keys(line);
    assert_int_equal(keys_open(path, &keys, &err), -1);
    assert_non_null(strstr(err.message, "secret"));
    assert_null(strstr(err.message, secret));
}

static void a_change_is_taken_up_and_an_error_leaves_what_was_there(void **state)
{
    (void)state;
    struct keys *keys = open_keys("role=read %A\n");
    bool changed = true;
    struct error err;

    assert_int_equal(keys_reload(keys, &changed, &err), 0);
    assert_false(changed);

    write_keys("role=read %A\nrole=read %B\n");
    assert_int_equal(keys_reload(keys, &changed, &err), 0);
    assert_true(changed);
    assert_int_equal(ask_plainly(keys, &bob), ERROR_OK);

    write_keys("role=read %A\nrevokd %B\n");
    assert_int_equal(keys_reload(keys, &changed, &err), -1);
    assert_non_null(strstr(err.message, "line 2"));
    assert_int_equal(ask_plainly(keys, &bob), ERROR_OK);
    assert_int_equal(keys_reload(keys, &changed, &err), 0); // said once
    assert_false(changed);

    write_keys("role=read %A\nrevoked %B\n");
    assert_int_equal(keys_reload(keys, &changed, &err), 0);
    assert_true(changed);
    assert_int_equal(ask_plainly(keys, &bob), ERROR_UNAUTHENTICATED);
    assert_int_equal(ask_plainly(keys, &alice), ERROR_OK);

    assert_int_equal(fs_remove(path, NULL), 0);
    assert_int_equal(keys_reload(keys, &changed, &err), 0);
    assert_true(changed);
    assert_int_equal(keys_count(keys), 0);
    keys_close(keys);
}

static void many_keys_are_found_and_too_many_refused(void **state)
{
    (void)state;
    struct buffer text = BUFFER_INIT;
    struct keys *keys;
    struct error err;
    char other[KEY_TEXT_SIZE];
    unsigned char key[KEY_SIZE];

    for (int i = 0; i < KEYS_MAX - 1; i++) {
        id_random_bytes(key, sizeof(key));
        key_public_format(key, other);
        buffer_add_format(&text, "role=agent %s\n", other);
    }
    buffer_add_text(&text, "role=submit %A\n");
    keys = open_keys(buffer_text(&text));
    assert_int_equal(keys_count(keys), KEYS_MAX);
    assert_int_equal(ask_plainly(keys, &alice), ERROR_OK);
    keys_close(keys);

    buffer_add_text(&text, "role=submit %B\n");
    write_keys(buffer_text(&text));
    assert_int_equal(keys_open(path, &keys, &err), -1);
    assert_non_null(strstr(err.message, "at most 16384 keys"));
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_the_role_of_its_line),
        cmocka_unit_test(an_agent_is_named_by_its_key_or_by_its_line),
        cmocka_unit_test(an_unknown_key_is_refused_by_name),
        cmocka_unit_test(a_role_covers_itself_and_admin_covers_all),
        cmocka_unit_test(a_revoked_key_is_refused),
        cmocka_unit_test(a_key_expires_at_the_end_of_its_day_or_at_its_time),
        cmocka_unit_test(a_key_is_good_from_its_networks_only),
        cmocka_unit_test(a_key_sees_the_apis_that_its_patterns_match),
        cmocka_unit_test(an_error_names_the_file_and_line_and_what_was_expected),
        cmocka_unit_test(a_secret_key_in_the_file_is_refused_and_not_repeated),
        cmocka_unit_test(a_change_is_taken_up_and_an_error_leaves_what_was_there),
        cmocka_unit_test(many_keys_are_found_and_too_many_refused),
    };

    assert_int_equal(id_init(), 0);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
