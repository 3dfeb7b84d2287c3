/* SPDX-License-Identifier: Apache-2.0 */
/* test_cluster_state.c - is what `cluster up` started known to the next command */
#include "client/cli/cluster_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/fs.h"

static char folder[] = "/tmp/cortex-cluster-XXXXXX";

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

static void write_file(const char *text)
{
    char *path = fs_join(folder, "cluster.json");

    assert_int_equal(fs_write_durable(path, text, strlen(text), 0600, NULL), 0);
    free(path);
}

static void load(struct cluster_state *out)
{
    struct error err = {0};

    if (cluster_state_load(folder, out, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void test_a_folder_without_a_cluster_has_the_defaults(void **state)
{
    struct cluster_state cluster = {0};

    (void)state;
    load(&cluster);
    assert_false(cluster.known);
    assert_string_equal(cluster.settings.env, "local");
    assert_string_equal(cluster.settings.bridge_listen, "127.0.0.1:8888");
    assert_string_equal(cluster.settings.master_listen, "tcp://127.0.0.1:8790");
    assert_string_equal(cluster.settings.agent_cpu, "");
    assert_int_equal(cluster.daemon_count, 3);
    assert_int_equal(cluster.daemons[0].process.pid, 0);
    cluster_state_fini(&cluster);
}

static void test_daemons_are_named_and_have_a_folder_and_a_log_each(void **state)
{
    static const char *const names[] = {"master", "bridge", "agent-1", "agent-2"};
    struct cluster_state cluster = {0};

    (void)state;
    load(&cluster);
    cluster_state_set_agents(&cluster, 2);
    assert_int_equal(cluster.daemon_count, 4);
    for (size_t i = 0; i < 4; i++) {
        char *path = fs_join(folder, names[i]);
        char *log = memory_format("%s.log", path);
        assert_string_equal(cluster.daemons[i].name, names[i]);
        assert_string_equal(cluster.daemons[i].folder, path);
        assert_string_equal(cluster.daemons[i].log, log);
        free(path);
        free(log);
    }
    cluster_state_set_agents(&cluster, 1);
    assert_int_equal(cluster.daemon_count, 3);
    cluster_state_fini(&cluster);
}

static void test_settings_and_processes_are_found_again(void **state)
{
    struct cluster_state cluster = {0};

    (void)state;
    load(&cluster);
    cluster_setting_set(&cluster.settings.env, "aws");
    cluster_setting_set(&cluster.settings.python, "/opt/\"py\"");
    cluster_state_set_agents(&cluster, 3);
    cluster.daemons[1].process = (struct detached){4711, "boot:17"};
    cluster.daemons[4].process = (struct detached){4712, "boot:18"};
    cluster.daemons[4].ready = true;
    assert_int_equal(cluster_state_save(&cluster, NULL), 0);
    cluster_state_fini(&cluster);

    load(&cluster);
    assert_true(cluster.known);
    assert_string_equal(cluster.settings.env, "aws");
    assert_string_equal(cluster.settings.python, "/opt/\"py\"");
    assert_int_equal(cluster.daemon_count, 5);
    assert_int_equal(cluster.daemons[0].process.pid, 0);
    assert_int_equal(cluster.daemons[1].process.pid, 4711);
    assert_string_equal(cluster.daemons[1].process.identity, "boot:17");
    assert_false(cluster.daemons[1].ready);
    assert_int_equal(cluster.daemons[4].process.pid, 4712);
    assert_true(cluster.daemons[4].ready);
    cluster_state_fini(&cluster);
}

static void test_a_file_that_is_wrong_is_refused_by_its_name(void **state)
{
    static const char *const texts[] = {
        "",
        "{\"agents\": 1",
        "{\"agents\": 0}",
        "{\"agents\": 65}",
        "{\"agents\": 1.5}",
        "{\"env\": 1}",
        "{\"daemons\": {\"master\": {\"pid\": -1}}}",
        "{\"daemons\": {\"master\": {\"pid\": 4294967296}}}",
        "{\"daemons\": {\"bridge\": {\"pid\": 1, \"identity\": 2}}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct cluster_state cluster = {0};
        struct error err = {0};
        write_file(texts[i]);
        if (cluster_state_load(folder, &cluster, &err) == 0) {
            fail_msg("%s was accepted", texts[i]);
        }
        assert_non_null(strstr(err.message, "cluster.json"));
        assert_null(cluster.daemons);
    }
}

static void test_a_pid_with_an_identity_that_is_too_long_is_nobody(void **state)
{
    struct cluster_state cluster = {0};

    (void)state;
    write_file(
        "{\"daemons\": {\"master\": {\"pid\": 1, \"identity\": "
        "\"0123456789012345678901234567890123456789012345678901234567890123\"}}}");
    load(&cluster);
    assert_int_equal(cluster.daemons[0].process.pid, 0);
    cluster_state_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_without_a_cluster_has_the_defaults),
        cmocka_unit_test(test_daemons_are_named_and_have_a_folder_and_a_log_each),
        cmocka_unit_test(test_settings_and_processes_are_found_again),
        cmocka_unit_test(test_a_file_that_is_wrong_is_refused_by_its_name),
        cmocka_unit_test(test_a_pid_with_an_identity_that_is_too_long_is_nobody),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
