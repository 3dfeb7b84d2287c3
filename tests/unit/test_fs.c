/* SPDX-License-Identifier: Apache-2.0 */
/* test_fs.c - are files there whole or not at all? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"

static int setup(void **state)
{
    char folder[] = "/tmp/fs-XXXXXX";

    assert_non_null(mkdtemp(folder));
    *state = memory_strdup(folder);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(fs_remove_tree(*state, NULL), 0);
    assert_false(fs_exists(*state));
    free(*state);
    return 0;
}

static char *below(void **state, const char *name)
{
    return fs_join(*state, name);
}

static void a_durable_file_takes_the_place_of_the_old_one(void **state)
{
    char *path = below(state, "file");
    struct buffer text = BUFFER_INIT;
    struct stat status;

    assert_int_equal(fs_write_durable(path, "old and longer", 14, 0600, NULL), 0);
    assert_int_equal(fs_write_durable(path, "new", 3, 0600, NULL), 0);
    buffer_add_text(&text, "=");
    assert_int_equal(fs_read(path, 3, &text, NULL), 0); // adds; the limit is the file's
    assert_string_equal(buffer_text(&text), "=new");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    buffer_fini(&text);
    free(path);
}

static void a_write_that_fails_leaves_nothing_behind(void **state)
{
    char *path = below(state, "taken");
    char *inside = below(state, "taken/file");
    struct error err = {0};

    assert_int_equal(fs_make_folder(inside, 0700, NULL), 0);
    // A folder is in the way of the rename.
    assert_int_equal(fs_write_durable(path, "x", 1, 0600, &err), -1);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(fs_remove_tree(path, NULL), 0);
    assert_int_equal(rmdir(*state), 0); // it is empty: no temporary file is left
    assert_int_equal(mkdir(*state, 0700), 0);
    free(path);
    free(inside);
}

static void reading_beyond_the_limit_is_refused_and_adds_nothing(void **state)
{
    char *path = below(state, "file");
    struct buffer text = BUFFER_INIT;
    struct error err = {0};

    assert_int_equal(fs_write_durable(path, "0123456789", 10, 0600, NULL), 0);
    buffer_add_text(&text, "before");
    assert_int_equal(fs_read(path, 9, &text, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "9 bytes"));
    assert_string_equal(buffer_text(&text), "before");
    assert_int_equal(text.size, 6);
    buffer_fini(&text);
    free(path);
}

static void a_missing_file_is_not_found_and_its_removal_is_fine(void **state)
{
    char *path = below(state, "nothing");
    struct buffer text = BUFFER_INIT;
    struct error err = {0};

    assert_int_equal(fs_read(path, 9, &text, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(fs_remove(path, NULL), 0);
    assert_int_equal(fs_remove_tree(path, NULL), 0);
    assert_false(fs_exists(path));
    buffer_fini(&text);
    free(path);
}

static void folders_are_made_with_all_above_them(void **state)
{
    char *deep = below(state, "a/b/c");

    assert_int_equal(fs_make_folder(deep, 0700, NULL), 0);
    assert_int_equal(fs_make_folder(deep, 0700, NULL), 0);
    assert_true(fs_exists(deep));
    free(deep);
}

static void a_file_where_a_folder_should_be_is_an_error(void **state)
{
    char *path = below(state, "file");
    char *under = below(state, "file/folder");
    struct error err = {0};

    assert_int_equal(fs_write_durable(path, "x", 1, 0600, NULL), 0);
    assert_int_equal(fs_make_folder(under, 0700, &err), -1);
    assert_non_null(strstr(err.message, path)); // the part that is in the way
    error_clear(&err);
    assert_int_equal(fs_make_folder(path, 0700, &err), -1);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(fs_make_folder("", 0700, NULL), 0); // the current one
    free(path);
    free(under);
}

static void removing_a_tree_follows_no_link(void **state)
{
    char *kept = below(state, "kept");
    char *tree = below(state, "tree");
    char *link = below(state, "tree/link");

    assert_int_equal(fs_write_durable(kept, "x", 1, 0600, NULL), 0);
    assert_int_equal(fs_make_folder(tree, 0700, NULL), 0);
    assert_int_equal(symlink(*state, link), 0);
    assert_int_equal(fs_remove_tree(tree, NULL), 0);
    assert_false(fs_exists(tree));
    assert_true(fs_exists(kept));
    free(kept);
    free(tree);
    free(link);
}

static void names_are_joined_by_one_slash(void **state)
{
    static const char *const examples[][3] = {
        {"a", "b", "a/b"},
        {"a/", "b", "a/b"},
        {"a//", "//b", "a/b"},
        {"/", "b", "/b"},
        {"/", "/", "/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        char *joined = fs_join(examples[i][0], examples[i][1]);
        assert_string_equal(joined, examples[i][2]);
        free(joined);
    }
}

static void a_relative_path_is_seen_from_the_current_folder(void **state)
{
    char *here = getcwd(NULL, 0);
    char *there = fs_absolute("x/y");

    (void)state;
    assert_memory_equal(there, here, strlen(here));
    assert_string_equal(there + strlen(there) - 4, "/x/y");
    free(there);
    there = fs_absolute("/x");
    assert_string_equal(there, "/x");
    free(there);
    free(here);
}

static void what_a_killed_program_left_unfinished_is_removed(void **state)
{
    char *left = below(state, "archive.tmp.123.4");
    char *whole = below(state, "archive");
    char *bare = below(state, "archive.tmp");

    assert_int_equal(fs_write_durable(left, "half", 4, 0600, NULL), 0);
    assert_int_equal(fs_write_durable(whole, "whole", 5, 0600, NULL), 0);
    assert_int_equal(fs_write_durable(bare, "whole", 5, 0600, NULL), 0);
    fs_remove_unfinished(*state);
    assert_false(fs_exists(left));
    assert_true(fs_exists(whole));
    assert_true(fs_exists(bare));
    fs_remove_unfinished(left); // no folder: fine
    free(left);
    free(whole);
    free(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_durable_file_takes_the_place_of_the_old_one, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_write_that_fails_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(
            reading_beyond_the_limit_is_refused_and_adds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_missing_file_is_not_found_and_its_removal_is_fine, setup, teardown),
        cmocka_unit_test_setup_teardown(
            folders_are_made_with_all_above_them, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_file_where_a_folder_should_be_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(
            removing_a_tree_follows_no_link, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_a_killed_program_left_unfinished_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_joined_by_one_slash, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_relative_path_is_seen_from_the_current_folder, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
