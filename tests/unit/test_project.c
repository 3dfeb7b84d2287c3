/* SPDX-License-Identifier: Apache-2.0 */
/* test_project.c - is a project packed by the rules, the same every time */
#include "client/cli/project.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "common/fs.h"

static char *folder;

static int set_up(void **state)
{
    char template[] = "/tmp/cortex-project-XXXXXX";

    (void)state;
    folder = memory_strdup(mkdtemp(template));
    return folder ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)fs_remove_tree(folder, NULL);
    free(folder);
    return 0;
}

static void put(const char *path, const char *text)
{
    char *whole = fs_join(folder, path);
    char *slash = strrchr(whole, '/');

    *slash = '\0';
    assert_int_equal(fs_make_folder(whole, 0755, NULL), 0);
    *slash = '/';
    assert_int_equal(fs_write_durable(whole, text, strlen(text), 0644, NULL), 0);
    free(whole);
}

static struct project look(void)
{
    struct project project = {NULL};
    struct error err = {0};

    if (project_open(folder, "cortex.yaml", &project, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return project;
}

static void expect_files(const char *expected)
{
    struct project project = look();
    struct buffer names = BUFFER_INIT;

    for (size_t i = 0; i < project.file_count; i++) {
        buffer_add_format(&names, "%s%s", i ? " " : "", project.files[i].path);
    }
    assert_string_equal(buffer_text(&names), expected);
    buffer_fini(&names);
    project_close(&project);
}

static void pack(struct buffer *out, char id[ID_PROJECT_TEXT_SIZE])
{
    struct project project = look();
    struct error err = {0};

    if (project_pack(&project, out, id, &err) != 0) {
        fail_msg("%s", err.message);
    }
    project_close(&project);
}

static void test_what_is_always_left_out_is_left_out(void **state)
{
    (void)state;
    put("cortex.yaml", "x");
    put("predictor.py", "x");
    put("sub/cortex.yaml", "x");
    put(".hidden", "x");
    put(".git/config", "x");
    put("sub/.env", "x");
    put("a.pyc", "x");
    put("a.pyo", "x");
    put("a.pyd", "x");
    put("__pycache__/b.py", "x");
    put("sub/__pycache__/b.py", "x");
    put("cortex-debug-1.json", "x");
    put("sub/model.bin", "x");
    expect_files("predictor.py sub/cortex.yaml sub/model.bin");
}

static void test_the_env_file_at_the_root_is_taken(void **state)
{
    (void)state;
    put(".env", "A=b");
    put("predictor.py", "x");
    expect_files(".env predictor.py");
}

static void test_cortexignore_leaves_out_files_and_folders(void **state)
{
    (void)state;
    put(".cortexignore", "data/\n*.log\n!keep.log\n/only_here\n.env\n");
    put(".env", "A=b");
    put("data/big.bin", "x");
    put("x/data/big.bin", "x");
    put("a.log", "x");
    put("keep.log", "x");
    put("only_here", "x");
    put("x/only_here", "x");
    expect_files("keep.log x/only_here");
}

static void test_files_are_sorted_by_bytes(void **state)
{
    (void)state;
    put("b", "x");
    put("a/z", "x");
    put("a.txt", "x");
    put("Z", "x");
    put("\xC3\xA9", "x");
    expect_files("Z a.txt a/z b \xC3\xA9");
}

static void test_the_same_files_give_the_same_bytes(void **state)
{
    struct buffer first = BUFFER_INIT;
    struct buffer second = BUFFER_INIT;
    char first_id[ID_PROJECT_TEXT_SIZE];
    char second_id[ID_PROJECT_TEXT_SIZE];
    struct timeval times[2] = {{1000000000, 0}, {1000000000, 0}};
    char *path = fs_join(folder, "sub/a.py");

    (void)state;
    put("sub/a.py", "print(1)\n");
    put("b.py", "print(2)\n");
    pack(&first, first_id);
    assert_int_equal(utimes(path, times), 0);
    assert_int_equal(chmod(path, 0600), 0);
    put("cortex.yaml", "another configuration");
    pack(&second, second_id);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    assert_string_equal(first_id, second_id);

    assert_int_equal(chmod(path, 0700), 0);
    pack(&second, second_id);
    assert_string_not_equal(first_id, second_id);
    buffer_fini(&first);
    buffer_fini(&second);
    free(path);
}

static void test_any_changed_byte_gives_another_id(void **state)
{
    struct buffer archive = BUFFER_INIT;
    char before[ID_PROJECT_TEXT_SIZE];
    char after[ID_PROJECT_TEXT_SIZE];

    (void)state;
    put("a.py", "print(1)\n");
    pack(&archive, before);
    put("a.py", "print(2)\n");
    pack(&archive, after);
    assert_string_not_equal(before, after);
    buffer_fini(&archive);
}

static void test_the_archive_holds_names_and_contents(void **state)
{
    struct buffer bytes = BUFFER_INIT;
    char id[ID_PROJECT_TEXT_SIZE];
    char text[64] = "";
    struct archive_entry *entry = NULL;
    struct buffer long_name = BUFFER_INIT;

    (void)state;
    for (int i = 0; i < 150; i++) {
        buffer_add_char(&long_name, 'n');
    }
    put("a.py", "print(1)\n");
    put(buffer_text(&long_name), "");
    put("\xC3\xA9\xFF", "bytes");
    pack(&bytes, id);
    struct archive *archive = archive_read_new();
    (void)archive_read_support_format_tar(archive);
    (void)archive_read_support_filter_gzip(archive);
    assert_int_equal(archive_read_open_memory(archive, bytes.data, bytes.size),
                     ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(entry), "a.py");
    assert_int_equal(archive_read_data(archive, text, sizeof(text)), 9);
    assert_memory_equal(text, "print(1)\n", 9);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(entry), buffer_text(&long_name));
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(entry), "\xC3\xA9\xFF");
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_EOF);
    (void)archive_read_free(archive);
    buffer_fini(&bytes);
    buffer_fini(&long_name);
}

static void make_link(const char *target, const char *path)
{
    char *whole = fs_join(folder, path);

    assert_int_equal(symlink(target, whole), 0);
    free(whole);
}

static void test_links_and_special_files_never_lead_out(void **state)
{
    char *fifo = fs_join(folder, "fifo");

    (void)state;
    put("real.py", "x");
    put("sub/b.py", "x");
    make_link("real.py", "inside.py");
    make_link("../real.py", "sub/up.py");
    make_link("/etc/passwd", "outside");
    make_link("nowhere", "dangling");
    make_link("loop", "loop");
    make_link("sub", "folder");
    make_link("..", "parent");
    make_link(".", "self");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_files("inside.py real.py sub/b.py sub/up.py");
    struct project project = look();
    assert_int_equal(project.warning_count, 7);
    project_close(&project);
    free(fifo);
}

static void test_a_file_that_becomes_a_link_meanwhile_is_not_read(void **state)
{
    struct buffer archive = BUFFER_INIT;
    char id[ID_PROJECT_TEXT_SIZE];
    struct error err = {0};

    (void)state;
    put("a.py", "x");
    struct project project = look();
    char *path = fs_join(folder, "a.py");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(project_pack(&project, &archive, id, &err), -1);
    assert_int_equal(unlink(path), 0);
    put("a.py", "longer than before");
    assert_int_equal(project_pack(&project, &archive, id, &err), -1);
    assert_non_null(strstr(err.message, "a.py changed while it was read"));
    project_close(&project);
    free(path);
}

static void test_a_project_over_the_size_limit_is_refused_by_name(void **state)
{
    struct project project = {NULL};
    struct error err = {0};
    char *path = fs_join(folder, "huge.bin");

    (void)state;
    put("huge.bin", "");
    assert_int_equal(truncate(path, (off_t)PROJECT_SIZE_MAX + 1), 0);
    assert_int_equal(project_open(folder, "cortex.yaml", &project, &err), -1);
    assert_non_null(strstr(err.message, "huge.bin"));
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    free(path);
}

static void test_a_file_that_is_left_out_is_not_packed(void **state)
{
    struct buffer with = BUFFER_INIT;
    struct buffer without = BUFFER_INIT;
    char with_id[ID_PROJECT_TEXT_SIZE];
    char without_id[ID_PROJECT_TEXT_SIZE];

    (void)state;
    put("a.py", "x");
    pack(&with, with_id);
    put("big.bin", "y");
    struct project project = look();
    assert_string_equal(project.files[1].path, "big.bin");
    project.files[1].left_out = true;
    assert_int_equal(project_pack(&project, &without, without_id, NULL), 0);
    assert_string_equal(with_id, without_id);
    project_close(&project);
    buffer_fini(&with);
    buffer_fini(&without);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_always_left_out_is_left_out),
        TEST(test_the_env_file_at_the_root_is_taken),
        TEST(test_cortexignore_leaves_out_files_and_folders),
        TEST(test_files_are_sorted_by_bytes),
        TEST(test_the_same_files_give_the_same_bytes),
        TEST(test_any_changed_byte_gives_another_id),
        TEST(test_the_archive_holds_names_and_contents),
        TEST(test_links_and_special_files_never_lead_out),
        TEST(test_a_file_that_becomes_a_link_meanwhile_is_not_read),
        TEST(test_a_project_over_the_size_limit_is_refused_by_name),
        TEST(test_a_file_that_is_left_out_is_not_packed),
    };

    return id_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
