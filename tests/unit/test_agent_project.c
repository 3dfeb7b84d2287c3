/* SPDX-License-Identifier: Apache-2.0 */
/* test_agent_project.c - do hostile archives stay in their folder */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "agent/project.h"
#include "common/fs.h"
#include "common/id.h"

static char *folder;  /* of the test */
static char *archive; /* a file in it */
static char *target;  /* where it is unpacked to */

static int set_up(void **state)
{
    char template[] = "/tmp/cortex-test-XXXXXX";

    (void)state;
    folder = memory_strdup(mkdtemp(template));
    archive = fs_join(folder, "archive");
    target = fs_join(folder, "target");
    return id_init();
}

static int tear_down(void **state)
{
    (void)state;
    (void)fs_remove_tree(folder, NULL);
    free(target);
    free(archive);
    free(folder);
    return 0;
}

struct entry {
    const char *path;
    const char *text; /* what is in it, or where a link leads */
    mode_t type;      /* AE_IFREG, ...; 0: a hard link */
};

/* Writes an archive of the entries; no_filter: no gzip. */
static void pack(const struct entry *entries, size_t count, bool gzip)
{
    struct archive *out = archive_write_new();

    (void)archive_write_set_format_pax_restricted(out);
    if (gzip) {
        (void)archive_write_add_filter_gzip(out);
    }
    assert_int_equal(archive_write_open_filename(out, archive), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        size_t size = entries[i].type == AE_IFREG ? strlen(entries[i].text) : 0;

        archive_entry_set_pathname(entry, entries[i].path);
        archive_entry_set_perm(entry, 06777);
        archive_entry_set_filetype(entry,
                                   entries[i].type == 0 ? AE_IFREG : entries[i].type);
        if (entries[i].type == AE_IFLNK) {
            archive_entry_set_symlink(entry, entries[i].text);
        } else if (entries[i].type == 0) {
            archive_entry_set_hardlink(entry, entries[i].text);
        }
        archive_entry_set_size(entry, (la_int64_t)size);
        assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
        (void)archive_write_data(out, entries[i].text, size);
        archive_entry_free(entry);
    }
    (void)archive_write_close(out);
    (void)archive_write_free(out);
}

static void expect_refused(const char *sentence)
{
    struct error err = {0};

    assert_int_equal(project_unpack(archive, target, &err), -1);
    if (strstr(err.message, sentence) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, sentence);
    }
    assert_false(fs_exists(target));
}

static void files_and_folders_are_unpacked_without_their_dangerous_modes(void **state)
{
    const struct entry entries[] = {{"predictor.py", "x = 1\n", AE_IFREG},
                                    {"./deep/er/file", "text", AE_IFREG},
                                    {"empty/", "", AE_IFDIR},
                                    {".env", "A=1\n", AE_IFREG},
                                    {"a..b", "", AE_IFREG}};
    struct buffer text = BUFFER_INIT;
    struct error err = {0};
    struct stat info;
    char *path;

    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        pack(entries, 5, gzip == 1);
        assert_int_equal(project_unpack(archive, target, &err), 0);
        path = fs_join(target, "deep/er/file");
        buffer_clear(&text);
        assert_int_equal(fs_read(path, 100, &text, NULL), 0);
        assert_string_equal(text.data, "text");
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07022, 0);
        free(path);
        path = fs_join(target, "a..b");
        assert_true(fs_exists(path));
        free(path);
        assert_int_equal(fs_remove_tree(target, NULL), 0);
    }
    buffer_fini(&text);
}

static void entries_that_lead_elsewhere_are_refused(void **state)
{
    const struct {
        struct entry entry;
        const char *sentence;
    } cases[] = {
        {{"../evil", "x", AE_IFREG}, "leads outside"},
        {{"a/../../evil", "x", AE_IFREG}, "leads outside"},
        {{"a/..", "x", AE_IFDIR}, "leads outside"},
        {{"..", "", AE_IFDIR}, "leads outside"},
        {{"/tmp/cortex-evil", "x", AE_IFREG}, "leads outside"},
        {{"link", "/etc", AE_IFLNK}, "neither a regular file nor a folder"},
        {{"hard", "/etc/passwd", 0}, "neither a regular file nor a folder"},
        {{"fifo", "", AE_IFIFO}, "neither a regular file nor a folder"},
        {{"device", "", AE_IFCHR}, "neither a regular file nor a folder"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pack(&cases[i].entry, 1, true);
        expect_refused(cases[i].sentence);
    }
    assert_false(fs_exists("/tmp/cortex-evil"));
}

static void a_path_that_comes_twice_is_refused(void **state)
{
    const struct entry entries[] = {{"a", "1", AE_IFREG}, {"a", "2", AE_IFREG}};

    (void)state;
    pack(entries, 2, true);
    expect_refused("\"a\" comes twice");
}

static void what_is_no_archive_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fs_write_durable(archive, "PK\3\4 no tar", 11, 0600, NULL), 0);
    expect_refused("project archive: ");
}

static void a_truncated_archive_is_refused_at_every_cut(void **state)
{
    const struct entry entries[] = {{"a", "some text in a file", AE_IFREG},
                                    {"b", "more text in a file", AE_IFREG}};
    struct buffer whole = BUFFER_INIT;

    (void)state;
    pack(entries, 2, true);
    assert_int_equal(fs_read(archive, 1 << 20, &whole, NULL), 0);
    for (size_t size = 1; size < whole.size - 20; size += 7) {
        assert_int_equal(fs_write_durable(archive, whole.data, size, 0600, NULL), 0);
        expect_refused("project archive: ");
    }
    buffer_fini(&whole);
}

static void too_many_entries_are_refused(void **state)
{
    struct entry *entries =
        memory_zalloc((PROJECT_ENTRIES_MAX + 1) * sizeof(struct entry));

    (void)state;
    for (size_t i = 0; i <= PROJECT_ENTRIES_MAX; i++) {
        entries[i] = (struct entry){"d", "", AE_IFDIR};
    }
    pack(entries, PROJECT_ENTRIES_MAX + 1, true);
    expect_refused("more than 100000 entries");
    free(entries);
}

/* --- fetching --------------------------------------------------------------------- */

static int pieces;

/* "hello" two bytes at a time, as the master would give it. */
static int hello_piece(void *arg,
                       const char *project_id,
                       uint64_t offset,
                       struct buffer *out,
                       uint64_t *out_size,
                       struct error *err)
{
    (void)arg;
    (void)project_id;
    (void)err;
    pieces++;
    *out_size = 5;
    buffer_add(out, &"hello"[offset], offset < 4 ? 2 : 1);
    return 0;
}

static void an_archive_is_downloaded_once_and_checked(void **state)
{
    char id[ID_PROJECT_TEXT_SIZE];
    char *path = NULL;

    (void)state;
    id_hash_of("hello", 5, id);
    pieces = 0;
    assert_int_equal(project_fetch(folder, id, hello_piece, NULL, &path, NULL), 0);
    assert_int_equal(pieces, 3);
    free(path);
    assert_int_equal(project_fetch(folder, id, hello_piece, NULL, &path, NULL), 0);
    assert_int_equal(pieces, 3);
    free(path);
}

static void bytes_of_another_archive_are_refused(void **state)
{
    char id[ID_PROJECT_TEXT_SIZE];
    struct error err = {0};
    char *path = NULL;

    (void)state;
    id_hash_of("other", 5, id);
    assert_int_equal(project_fetch(folder, id, hello_piece, NULL, &path, &err), -1);
    assert_int_equal(err.code, ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, id));
}

static void an_id_that_is_no_hash_is_refused(void **state)
{
    const char *ids[] = {"", "../../etc/passwd", "abc", "ABCDEF"};
    struct error err = {0};
    char *path = NULL;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(project_fetch(folder, ids[i], hello_piece, NULL, &path, &err),
                         -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    }
}

/* Runs tests/fuzz/archives.py; what it wrote is in the folder. */
static void make_hostile_archives(const char *into)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("/usr/bin/python3",
                    "python3",
                    "-B",
                    TEST_SOURCE_DIR "/tests/fuzz/archives.py",
                    into,
                    NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static unsigned count_entries(const char *path)
{
    DIR *entries = opendir(path);
    unsigned count = 0;

    assert_non_null(entries);
    while (readdir(entries)) {
        count++;
    }
    (void)closedir(entries);
    return count;
}

static void every_hostile_archive_is_refused_and_leaves_nothing(void **state)
{
    char *hostile = fs_join(folder, "hostile");
    char *cases = fs_join(hostile, "cases");
    struct buffer text = BUFFER_INIT;
    char *rest = NULL;
    unsigned count = 0;

    (void)state;
    assert_int_equal(mkdir(hostile, 0700), 0);
    make_hostile_archives(hostile);
    assert_int_equal(fs_read(cases, 1 << 20, &text, NULL), 0);
    unsigned before = count_entries(hostile);
    for (char *line = strtok_r(text.data, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *says = strchr(line, '\t');
        struct error err = {0};

        *says++ = '\0';
        char *path = fs_join(hostile, line);
        char *into = fs_join(hostile, "target");
        if (project_unpack(path, into, &err) == 0 || !strstr(err.message, says)) {
            fail_msg("%s: expected '%s', got: %s", line, says, err.message);
        }
        if (count_entries(hostile) != before || fs_exists("/tmp/escaped")) {
            fail_msg("%s: left something behind", line);
        }
        free(path);
        free(into);
        count++;
    }
    assert_true(count >= 60);
    buffer_fini(&text);
    free(cases);
    free(hostile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_folders_are_unpacked_without_their_dangerous_modes),
        cmocka_unit_test(entries_that_lead_elsewhere_are_refused),
        cmocka_unit_test(a_path_that_comes_twice_is_refused),
        cmocka_unit_test(what_is_no_archive_is_refused),
        cmocka_unit_test(a_truncated_archive_is_refused_at_every_cut),
        cmocka_unit_test(too_many_entries_are_refused),
        cmocka_unit_test(an_archive_is_downloaded_once_and_checked),
        cmocka_unit_test(bytes_of_another_archive_are_refused),
        cmocka_unit_test(an_id_that_is_no_hash_is_refused),
        cmocka_unit_test(every_hostile_archive_is_refused_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
