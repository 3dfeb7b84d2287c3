/* SPDX-License-Identifier: Apache-2.0 */
/* test_blobs.c - is an archive kept once, and only whole? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "common/fs.h"
#include "common/id.h"
#include "master/blobs.h"

struct fixture {
    char folder[32];
    struct object_store *store;
    struct blobs *blobs;
};

static void open_blobs(struct fixture *fixture)
{
    char *url = memory_format("file://%s/projects", fixture->folder);
    char *incoming = fs_join(fixture->folder, "incoming");

    assert_int_equal(fs_make_folder(incoming, 0700, NULL), 0);
    fixture->blobs = blobs_create(fixture->store, url, incoming);
    free(url);
    free(incoming);
}

static int setup(void **state)
{
    static const struct object_options options = {.allow_file = true, .backoff_ms = 1};
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/blobs-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(object_store_create(&options, &fixture->store, NULL), 0);
    open_blobs(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    blobs_destroy(fixture->blobs);
    object_store_destroy(fixture->store);
    (void)fs_remove_tree(fixture->folder, NULL);
    free(fixture);
    return 0;
}

// Sends text's bytes [from, to) as a piece of all of it. *out_next untouched on
// failure.
static int put(struct fixture *fixture,
               const char *project_id,
               const char *text,
               size_t from,
               size_t to,
               bool *out_complete,
               uint64_t *out_next,
               struct error *err)
{
    return blobs_put(fixture->blobs,
                     project_id,
                     from,
                     strlen(text),
                     text + from,
                     to - from,
                     out_complete,
                     out_next,
                     err);
}

static void only_64_lower_case_hex_digits_name_an_archive(void **state)
{
    struct fixture *fixture = *state;
    char project_id[ID_PROJECT_TEXT_SIZE];
    struct error err = {0};
    bool complete;
    uint64_t next;

    id_hash_of("x", 1, project_id);
    assert_true(blobs_valid_id(project_id));
    project_id[3] = 'G';
    assert_false(blobs_valid_id(project_id));
    project_id[3] = 'A';
    assert_false(blobs_valid_id(project_id));
    assert_false(blobs_valid_id(""));
    assert_false(blobs_valid_id("../../../etc/passwd"));
    assert_int_equal(put(fixture, "../x", "text", 0, 4, &complete, &next, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(err.message,
                        "project_id: got \"../x\", expected 64 hex digits");
}

static void pieces_in_order_make_the_whole(void **state)
{
    struct fixture *fixture = *state;
    const char *text = "an archive of some bytes";
    char project_id[ID_PROJECT_TEXT_SIZE];
    struct buffer found = BUFFER_INIT;
    bool complete = true;
    uint64_t next = 7;

    id_hash_of(text, strlen(text), project_id);
    assert_int_equal(put(fixture, project_id, text, 0, 0, &complete, &next, NULL), 0);
    assert_false(complete);
    assert_int_equal(next, 0);
    assert_int_equal(put(fixture, project_id, text, 0, 10, &complete, &next, NULL), 0);
    assert_false(complete);
    assert_int_equal(next, 10);
    assert_int_equal(put(fixture, project_id, text, 0, 10, &complete, &next, NULL), 0);
    assert_int_equal(next, 10); // a repeat does no harm
    assert_int_equal(put(fixture, project_id, text, 20, 24, &complete, &next, NULL), 0);
    assert_int_equal(next, 10); // a hole is not made
    assert_int_equal(put(fixture, project_id, text, 10, 24, &complete, &next, NULL), 0);
    assert_true(complete);
    assert_int_equal(blobs_read(fixture->blobs, project_id, 3, &found, &next, NULL), 0);
    assert_string_equal(buffer_text(&found), text + 3);
    assert_int_equal(next, strlen(text));
    buffer_fini(&found);
}

static void one_that_is_there_is_not_taken_again(void **state)
{
    struct fixture *fixture = *state;
    char project_id[ID_PROJECT_TEXT_SIZE];
    bool complete = false;
    uint64_t next = 0;

    id_hash_of("text", 4, project_id);
    assert_int_equal(put(fixture, project_id, "text", 0, 4, &complete, &next, NULL), 0);
    assert_true(complete);
    blobs_destroy(fixture->blobs);
    open_blobs(fixture); // over a restart, too
    complete = false;
    assert_int_equal(put(fixture, project_id, "text", 0, 0, &complete, &next, NULL), 0);
    assert_true(complete);
    assert_int_equal(next, 4);
}

static void what_came_before_a_restart_need_not_come_again(void **state)
{
    struct fixture *fixture = *state;
    const char *text = "an archive of some bytes";
    char project_id[ID_PROJECT_TEXT_SIZE];
    bool complete = false;
    uint64_t next = 0;

    id_hash_of(text, strlen(text), project_id);
    assert_int_equal(put(fixture, project_id, text, 0, 9, &complete, &next, NULL), 0);
    blobs_destroy(fixture->blobs);
    open_blobs(fixture);
    assert_int_equal(put(fixture, project_id, text, 0, 0, &complete, &next, NULL), 0);
    assert_false(complete);
    assert_int_equal(next, 9);
    assert_int_equal(put(fixture, project_id, text, 9, 24, &complete, &next, NULL), 0);
    assert_true(complete);
}

static void one_that_arrived_damaged_is_dropped_and_may_come_anew(void **state)
{
    struct fixture *fixture = *state;
    char project_id[ID_PROJECT_TEXT_SIZE];
    struct error err = {0};
    bool complete = false;
    uint64_t next = 0;

    id_hash_of("text", 4, project_id);
    assert_int_equal(put(fixture, project_id, "texx", 0, 4, &complete, &next, &err),
                     -1);
    assert_int_equal(err.code, ERROR_DATA_LOSS);
    assert_non_null(strstr(err.message, project_id));
    assert_int_equal(put(fixture, project_id, "text", 0, 0, &complete, &next, NULL), 0);
    assert_false(complete);
    assert_int_equal(next, 0);
    assert_int_equal(put(fixture, project_id, "text", 0, 4, &complete, &next, NULL), 0);
    assert_true(complete);
}

static void sizes_over_the_limits_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char project_id[ID_PROJECT_TEXT_SIZE];
    bool complete;
    uint64_t next;
    static const uint64_t cases[][3] = {
        // offset, total, size of the piece
        {0, BLOBS_ARCHIVE_SIZE_MAX + 1, 1},
        {0, BLOBS_ARCHIVE_SIZE_MAX, BLOBS_PIECE_SIZE_MAX + 1},
        {11, 10, 0},
        {8, 10, 3},
        {UINT64_MAX, 10, 3},
    };

    id_hash_of("text", 4, project_id);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        assert_int_equal(blobs_put(fixture->blobs,
                                   project_id,
                                   cases[i][0],
                                   cases[i][1],
                                   "",
                                   (size_t)cases[i][2],
                                   &complete,
                                   &next,
                                   &err),
                         -1);
        assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    }
}

static void reading_an_archive_that_is_not_there_says_so(void **state)
{
    struct fixture *fixture = *state;
    char project_id[ID_PROJECT_TEXT_SIZE];
    struct buffer found = BUFFER_INIT;
    struct error err = {0};
    uint64_t total;

    id_hash_of("text", 4, project_id);
    assert_int_equal(blobs_read(fixture->blobs, project_id, 0, &found, &total, &err),
                     -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    buffer_fini(&found);
}

// Packs two files, a folder and a link; the caller frees out.
static void pack(struct buffer *out)
{
    static const struct {
        const char *path;
        mode_t type;
    } entries[] = {{"predictor.py", AE_IFREG},
                   {"src", AE_IFDIR},
                   {"src/model.py", AE_IFREG},
                   {"link.py", AE_IFLNK}};
    struct archive *writer = archive_write_new();
    size_t used = 0;

    (void)buffer_reserve(out, 65536);
    archive_write_add_filter_gzip(writer);
    archive_write_set_format_pax_restricted(writer);
    assert_int_equal(archive_write_open_memory(writer, out->data, out->capacity, &used),
                     ARCHIVE_OK);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, entries[i].path);
        archive_entry_set_filetype(entry, entries[i].type);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, 0);
        if (entries[i].type == AE_IFLNK) {
            archive_entry_set_symlink(entry, "predictor.py");
        }
        assert_int_equal(archive_write_header(writer, entry), ARCHIVE_OK);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(writer), ARCHIVE_OK);
    archive_write_free(writer);
    out->size = used;
}

static void put_whole(struct fixture *fixture,
                      const void *data,
                      size_t size,
                      char project_id[ID_PROJECT_TEXT_SIZE])
{
    bool complete = false;
    uint64_t next;

    id_hash_of(data, size, project_id);
    assert_int_equal(
        blobs_put(
            fixture->blobs, project_id, 0, size, data, size, &complete, &next, NULL),
        0);
    assert_true(complete);
}

static void the_regular_files_of_an_archive_are_listed(void **state)
{
    struct fixture *fixture = *state;
    struct buffer archive = BUFFER_INIT;
    struct buffer paths = BUFFER_INIT;
    char project_id[ID_PROJECT_TEXT_SIZE];
    static const char expected[] = "predictor.py\0src/model.py";

    pack(&archive);
    put_whole(fixture, archive.data, archive.size, project_id);
    assert_int_equal(blobs_list(fixture->blobs, project_id, &paths, NULL), 0);
    assert_int_equal(paths.size, sizeof(expected));
    assert_memory_equal(paths.data, expected, sizeof(expected));
    buffer_fini(&archive);
    buffer_fini(&paths);
}

static void what_is_no_archive_is_not_listed(void **state)
{
    struct fixture *fixture = *state;
    struct buffer paths = BUFFER_INIT;
    char project_id[ID_PROJECT_TEXT_SIZE];
    struct error err = {0};

    put_whole(fixture, "no archive at all", 17, project_id);
    assert_int_equal(blobs_list(fixture->blobs, project_id, &paths, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "not a readable archive"));
    buffer_fini(&paths);
}

// The header of a file in a tar archive; its bytes need not be there.
static void put_header(uint64_t size, char out[512])
{
    unsigned sum = 0;

    memset(out, 0, 512);
    (void)snprintf(out, 100, "zeros");
    (void)snprintf(out + 100, 8, "0000644");
    (void)snprintf(out + 124, 12, "%011llo", (unsigned long long)size);
    out[156] = '0'; // a regular file
    (void)snprintf(out + 257, 6, "ustar");
    out[263] = '0'; // its version, "00"
    out[264] = '0';
    memset(out + 148, ' ', 8);
    for (int i = 0; i < 512; i++) {
        sum += (unsigned char)out[i];
    }
    (void)snprintf(out + 148, 8, "%06o", sum);
}

static void a_bomb_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buffer paths = BUFFER_INIT;
    char archive[512];
    char project_id[ID_PROJECT_TEXT_SIZE];
    struct error err = {0};

    put_header((uint64_t)BLOBS_UNPACKED_SIZE_MAX + 1, archive);
    put_whole(fixture, archive, sizeof(archive), project_id);
    assert_int_equal(blobs_list(fixture->blobs, project_id, &paths, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_non_null(strstr(err.message, "more than 1024 MiB"));
    buffer_fini(&paths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            only_64_lower_case_hex_digits_name_an_archive, setup, teardown),
        cmocka_unit_test_setup_teardown(
            pieces_in_order_make_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(
            one_that_is_there_is_not_taken_again, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_came_before_a_restart_need_not_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(
            one_that_arrived_damaged_is_dropped_and_may_come_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(
            sizes_over_the_limits_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            reading_an_archive_that_is_not_there_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_regular_files_of_an_archive_are_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_is_no_archive_is_not_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bomb_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
