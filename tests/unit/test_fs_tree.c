/* SPDX-License-Identifier: Apache-2.0 */
/* test_fs_tree.c - are trees removed whole, and nothing beside them */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"

static char *folder;

static int set_up(void **state)
{
    char template[] = "/tmp/cortex-test-XXXXXX";

    (void)state;
    folder = memory_strdup(mkdtemp(template));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)rmdir(folder);
    free(folder);
    return 0;
}

static char *make_file(const char *name)
{
    char *path = fs_join(folder, name);

    assert_int_equal(fs_write_durable(path, "x", 1, 0600, NULL), 0);
    return path;
}

static void what_is_missing_is_removed_already(void **state)
{
    char *path = fs_join(folder, "none/at/all");

    (void)state;
    assert_int_equal(fs_remove_tree(path, NULL), 0);
    free(path);
}

static void a_tree_deeper_than_any_path_is_removed(void **state)
{
    const int levels = 3000;
    char *tree = fs_join(folder, "deep");
    int fd;

    (void)state;
    assert_int_equal(mkdir(tree, 0700), 0);
    fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < levels; i++) {
        int below;

        assert_int_equal(mkdirat(fd, "moved-0", 0700), 0);
        assert_int_equal(mkdirat(fd, "beside", 0700), 0);
        below = openat(fd, "moved-0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(below >= 0);
        (void)close(fd);
        fd = below;
    }
    (void)close(fd);
    assert_int_equal(fs_remove_tree(tree, NULL), 0);
    assert_false(fs_exists(tree));
    free(tree);
}

static void links_are_removed_and_what_they_lead_to_stays(void **state)
{
    char *kept = fs_join(folder, "kept");
    char *inside = fs_join(folder, "kept/file");
    char *tree = fs_join(folder, "tree");
    char *link = fs_join(folder, "tree/link");

    (void)state;
    assert_int_equal(mkdir(kept, 0700), 0);
    assert_int_equal(fs_write_durable(inside, "x", 1, 0600, NULL), 0);
    assert_int_equal(mkdir(tree, 0700), 0);
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(fs_remove_tree(tree, NULL), 0);
    assert_false(fs_exists(tree));
    assert_true(fs_exists(inside));
    assert_int_equal(symlink(kept, tree), 0);
    assert_int_equal(fs_remove_tree(tree, NULL), 0);
    assert_true(fs_exists(inside));
    assert_int_equal(fs_remove_tree(kept, NULL), 0);
    free(link);
    free(tree);
    free(inside);
    free(kept);
}

static void a_file_is_a_tree_too(void **state)
{
    char *path = make_file("alone");

    (void)state;
    assert_int_equal(fs_remove_tree(path, NULL), 0);
    assert_false(fs_exists(path));
    free(path);
}

static void what_cannot_be_removed_is_named(void **state)
{
    struct error err = {0};

    (void)state;
    assert_int_equal(fs_remove_tree("/proc/version", &err), -1);
    assert_non_null(strstr(err.message, "cannot remove /proc/version"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_removed_already),
        cmocka_unit_test(a_tree_deeper_than_any_path_is_removed),
        cmocka_unit_test(links_are_removed_and_what_they_lead_to_stays),
        cmocka_unit_test(a_file_is_a_tree_too),
        cmocka_unit_test(what_cannot_be_removed_is_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
