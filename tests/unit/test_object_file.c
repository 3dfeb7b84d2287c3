/* SPDX-License-Identifier: Apache-2.0 */
/* test_object_file.c - do files behave as objects do? */
#include "common/object_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"
#include "common/latch.h"
#include "common/object.h"
#include "common/object_file_list.h"

struct fixture {
    char folder[64];
    char url[80]; // "file://" and the folder
    struct object_store *store;
};

static int setup(void **state)
{
    static const struct object_options options = {.allow_file = true};
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    (void)snprintf(fixture->folder,
                   sizeof(fixture->folder),
                   "%s/object-XXXXXX",
                   fs_exists("/dev/shm") ? "/dev/shm" : "/tmp"); // it is faster
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->url, sizeof(fixture->url), "file://%s", fixture->folder);
    assert_int_equal(object_store_create(&options, &fixture->store, NULL), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    object_store_destroy(fixture->store);
    (void)fs_remove_tree(fixture->folder, NULL);
    free(fixture);
    return 0;
}

// The URL of a name in the folder, in one of four buffers used by turns.
static const char *at(const struct fixture *fixture, const char *name)
{
    static char urls[4][2000];
    static unsigned turn;
    char *url = urls[turn++ % 4];

    (void)snprintf(url, sizeof(urls[0]), "%s/%s", fixture->url, name);
    return url;
}

static void put(const struct fixture *fixture, const char *name, const char *text)
{
    assert_int_equal(
        object_put(
            fixture->store, at(fixture, name), text, strlen(text), "text/plain", NULL),
        0);
}

static int get(const struct fixture *fixture,
               const char *name,
               uint64_t offset,
               uint64_t size,
               uint64_t size_max,
               const char *etag,
               struct buffer *out,
               struct error *err)
{
    return object_get(fixture->store,
                      at(fixture, name),
                      offset,
                      size,
                      size_max,
                      etag,
                      out,
                      NULL,
                      err);
}

// The names below the folder, a space behind each; prefix and after seen from there.
static int list(const struct fixture *fixture,
                const char *prefix,
                const char *after,
                struct buffer *out,
                struct error *err)
{
    struct object_list *list = NULL;
    struct object_entry entry;
    int got = object_list_open(fixture->store,
                               at(fixture, prefix),
                               after ? at(fixture, after) : NULL,
                               &list,
                               err);

    buffer_clear(out);
    while (got == 0 && (got = object_list_next(list, &entry, err)) > 0) {
        buffer_add_format(out, "%s ", entry.url + strlen(fixture->url) + 1);
        got = 0;
    }
    object_list_close(list);
    return got;
}

static void expect_list(struct fixture *fixture,
                        const char *prefix,
                        const char *after,
                        const char *want)
{
    struct buffer out = BUFFER_INIT;

    assert_int_equal(list(fixture, prefix, after, &out, NULL), 0);
    assert_string_equal(buffer_text(&out), want);
    buffer_fini(&out);
}

static void what_was_put_comes_back_and_its_folders_are_made(void **state)
{
    struct fixture *fixture = *state;
    struct buffer out = BUFFER_INIT;
    struct object_info info;

    put(fixture, "a/b/c +%2F\n\xff", "one");
    put(fixture, "a/b/c +%2F\n\xff", "three");
    assert_int_equal(
        get(fixture, "a/b/c +%2F\n\xff", 0, UINT64_MAX, 5, NULL, &out, NULL), 0);
    assert_string_equal(out.data, "three");
    assert_int_equal(
        object_stat(fixture->store, at(fixture, "a/b/c +%2F\n\xff"), &info, NULL), 0);
    assert_int_equal(info.size, 5);
    expect_list(fixture, "", NULL, "a/b/c +%2F\n\xff ");
    buffer_fini(&out);
}

static void a_put_that_does_not_wait_tells_how_it_went(void **state)
{
    struct fixture *fixture = *state;
    struct latch latches[3] = {LATCH_INIT, LATCH_INIT, LATCH_INIT};
    struct error err = {0};

    put(fixture, "file", "x");
    object_put_start(
        fixture->store, at(fixture, "new/1"), "x", 1, NULL, latch_open, &latches[0]);
    object_put_start(
        fixture->store, at(fixture, "file/1"), "x", 1, NULL, latch_open, &latches[1]);
    object_put_start(fixture->store, "nonsense", "x", 1, NULL, latch_open, &latches[2]);
    assert_int_equal(latch_wait(&latches[0], NULL), 0);
    assert_int_equal(latch_wait(&latches[1], &err), -1);
    assert_int_equal(
        strncmp(err.message, at(fixture, "file/1"), strlen(at(fixture, "file/1"))), 0);
    assert_int_equal(latch_wait(&latches[2], NULL), -1);
    expect_list(fixture, "", NULL, "file new/1 ");
}

static void a_range_ends_where_the_file_ends(void **state)
{
    static const struct {
        uint64_t offset;
        uint64_t size;
        const char *want;
    } cases[] = {
        {0, 4, "0123"},
        {3, 4, "3456"},
        {8, 4, "89"},
        {10, 4, ""},
        {99, UINT64_MAX, ""},
        {0, 0, ""},
        {4, UINT64_MAX, "456789"},
    };
    struct fixture *fixture = *state;
    struct error err = {0};

    put(fixture, "f", "0123456789");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = BUFFER_INIT;
        buffer_add_text(&out, "<");
        assert_int_equal(
            get(fixture, "f", cases[i].offset, cases[i].size, 10, NULL, &out, NULL), 0);
        assert_string_equal(out.data + 1, cases[i].want);
        buffer_fini(&out);
    }
    struct buffer out = BUFFER_INIT;
    assert_int_equal(get(fixture, "f", 0, UINT64_MAX, 9, NULL, &out, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_int_equal(out.size, 0);
    buffer_fini(&out);
}

static void a_file_that_has_changed_is_not_read_on(void **state)
{
    struct fixture *fixture = *state;
    struct object_reader *reader = NULL;
    struct object_info info;
    struct buffer out = BUFFER_INIT;
    struct error err = {0};
    char bytes[4];

    put(fixture, "f", "0123456789");
    assert_int_equal(object_stat(fixture->store, at(fixture, "f"), &info, NULL), 0);
    assert_int_equal(get(fixture, "f", 0, 3, 99, info.etag, &out, NULL), 0);
    assert_int_equal(
        object_reader_open(fixture->store, at(fixture, "f"), 2, &reader, NULL), 0);
    assert_string_equal(object_reader_info(reader)->etag, info.etag);
    assert_int_equal(object_reader_read(reader, bytes, 4, NULL), 4);
    assert_memory_equal(bytes, "2345", 4);
    FILE *file = fopen(object_file_path(at(fixture, "f")), "ae");
    assert_non_null(file);
    assert_int_equal(fputs("more", file) < 0, 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(object_reader_read(reader, bytes, 4, &err), -1);
    assert_int_equal(err.code, ERROR_ABORTED);
    object_reader_close(reader);
    error_clear(&err);
    assert_int_equal(get(fixture, "f", 0, 3, 99, info.etag, &out, &err), -1);
    assert_int_equal(err.code, ERROR_ABORTED);
    buffer_fini(&out);
}

static void what_is_no_file_is_not_found(void **state)
{
    static const char *const names[] = {"missing", "folder", "folder/x/y", "pipe"};
    struct fixture *fixture = *state;
    struct buffer out = BUFFER_INIT;

    put(fixture, "folder/x", "1");
    assert_int_equal(mkfifo(object_file_path(at(fixture, "pipe")), 0600), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct error err = {0};
        const char *url = at(fixture, names[i]);
        assert_int_equal(get(fixture, names[i], 0, 9, 9, NULL, &out, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
        assert_int_equal(strncmp(err.message, url, strlen(url)), 0);
    }
    assert_int_equal(object_delete(fixture->store, at(fixture, "missing"), NULL), 0);
    assert_int_equal(object_delete(fixture->store, at(fixture, "folder/x/y"), NULL), 0);
    assert_int_equal(object_delete(fixture->store, at(fixture, "folder/x"), NULL), 0);
    expect_list(fixture, "folder", NULL, "");
    buffer_fini(&out);
}

static void files_are_refused_where_they_are_not_allowed(void **state)
{
    static const struct object_options options = {.allow_file = false};
    static const char *const urls[] = {"file://tmp/x", "file://", "file:/tmp/x"};
    struct fixture *fixture = *state;
    struct object_store *store = NULL;
    struct error err = {0};

    assert_int_equal(object_store_create(&options, &store, NULL), 0);
    assert_int_equal(object_check_url(store, "file:///tmp/x", &err), -1);
    assert_string_equal(err.kind, "aws.invalid_s3_path");
    assert_int_equal(object_put(store, at(fixture, "x"), "x", 1, NULL, NULL), -1);
    object_store_destroy(store);
    assert_int_equal(object_check_url(fixture->store, "file:///tmp/x", NULL), 0);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_int_equal(object_check_url(fixture->store, urls[i], NULL), -1);
    }
}

static void paths_are_listed_in_the_order_of_their_bytes(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "a/b", "");
    put(fixture, "a.b", "");
    put(fixture, "a0", "");
    put(fixture, "a-/c", "");
    put(fixture, "a/b2/c", "");
    put(fixture, "a/.hidden", "");
    put(fixture, "\xff", "");
    put(fixture, "Z", "");
    expect_list(fixture, "", NULL, "Z a-/c a.b a/.hidden a/b a/b2/c a0 \xff ");
    expect_list(fixture, "a", NULL, "a-/c a.b a/.hidden a/b a/b2/c a0 ");
    expect_list(fixture, "a/", NULL, "a/.hidden a/b a/b2/c ");
    expect_list(fixture, "a/b", NULL, "a/b a/b2/c ");
    expect_list(fixture, "a/b2/c", NULL, "a/b2/c ");
    expect_list(fixture, "a/b2/cd", NULL, "");
    expect_list(fixture, "missing/x", NULL, "");
}

static void a_listing_goes_on_behind_any_path(void **state)
{
    static const char *const names[] = {
        "Z", "a-/c", "a.b", "a/.hidden", "a/b", "a/b2/c", "a0"};
    static const char *const between[] = {
        "Y", "a-", "a-/", "a/a", "a/b2", "a/b2/", "b"};
    struct fixture *fixture = *state;
    size_t count = sizeof(names) / sizeof(names[0]);

    for (size_t i = 0; i < count; i++) {
        put(fixture, names[i], "");
    }
    for (size_t i = 0; i < 2 * count; i++) {
        const char *after = i < count ? names[i] : between[i - count];
        struct buffer want = BUFFER_INIT;
        for (size_t j = 0; j < count; j++) {
            if (strcmp(names[j], after) > 0) {
                buffer_add_format(&want, "%s ", names[j]);
            }
        }
        expect_list(fixture, "", after, buffer_text(&want));
        buffer_fini(&want);
    }
}

static void links_are_followed_but_not_in_circles(void **state)
{
    struct fixture *fixture = *state;
    char path[128];

    put(fixture, "real/file", "12345");
    (void)snprintf(path, sizeof(path), "%s/link", fixture->folder);
    assert_int_equal(symlink("real", path), 0);
    (void)snprintf(path, sizeof(path), "%s/real/up", fixture->folder);
    assert_int_equal(symlink("..", path), 0);
    (void)snprintf(path, sizeof(path), "%s/real/self", fixture->folder);
    assert_int_equal(symlink("self", path), 0);
    (void)snprintf(path, sizeof(path), "%s/real/name", fixture->folder);
    assert_int_equal(symlink("file", path), 0);
    (void)snprintf(path, sizeof(path), "%s/real/gone", fixture->folder);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_int_equal(mkfifo(object_file_path(at(fixture, "real/pipe")), 0600), 0);
    expect_list(fixture, "", NULL, "link/file link/name real/file real/name ");
}

static void entries_have_the_size_and_etag_of_the_object(void **state)
{
    struct fixture *fixture = *state;
    struct object_list *list = NULL;
    struct object_entry entry;
    struct object_info info;

    put(fixture, "f", "12345");
    assert_int_equal(object_list_open(fixture->store, fixture->url, NULL, &list, NULL),
                     0);
    assert_int_equal(object_list_next(list, &entry, NULL), 1);
    assert_int_equal(object_stat(fixture->store, entry.url, &info, NULL), 0);
    assert_int_equal(entry.size, 5);
    assert_string_equal(entry.etag, info.etag);
    assert_int_equal(object_list_next(list, &entry, NULL), 0);
    object_list_close(list);
}

static void a_folder_with_more_names_than_are_held_is_listed_whole(void **state)
{
    struct fixture *fixture = *state;
    size_t count = 2 * OBJECT_FILE_LIST_NAMES + 7;
    struct object_list *list = NULL;
    struct object_entry entry;
    char path[128];

    put(fixture, "many/0", "");
    put(fixture, "many/1", "");          // since one file may have 65,000 links
    for (size_t i = 2; i < count; i++) { // in no order; links are cheap to make
        (void)snprintf(path,
                       sizeof(path),
                       "%s/many/%06zu",
                       fixture->folder,
                       i * 48271 % (count + 64));
        const char *of = at(fixture, i % 2 ? "many/1" : "many/0");
        assert_int_equal(link(object_file_path(of), path), 0);
    }
    assert_int_equal(
        object_list_open(fixture->store, at(fixture, "many/"), NULL, &list, NULL), 0);
    char last[sizeof(path)] = "";
    size_t found = 0;
    int got;
    while ((got = object_list_next(list, &entry, NULL)) > 0) {
        assert_true(strcmp(last, entry.url) < 0);
        (void)snprintf(last, sizeof(last), "%s", entry.url);
        found++;
    }
    assert_int_equal(got, 0);
    assert_int_equal(found, count);
    object_list_close(list);
}

static void a_folder_that_may_not_be_read_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct buffer out = BUFFER_INIT;
    struct error err = {0};

    if (geteuid() == 0) { // who is refused nothing: a name that is too long is
        char name[300];
        memset(name, 'x', sizeof(name));
        (void)snprintf(name + 290, 10, "/x");
        assert_int_equal(list(fixture, name, NULL, &out, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    } else {
        put(fixture, "closed/x", "");
        assert_int_equal(chmod(object_file_path(at(fixture, "closed")), 0), 0);
        assert_int_equal(list(fixture, "closed/", NULL, &out, &err), -1);
        assert_int_equal(err.code, ERROR_PERMISSION_DENIED);
        assert_int_equal(chmod(object_file_path(at(fixture, "closed")), 0700), 0);
    }
    assert_int_equal(strncmp(err.message, fixture->url, strlen(fixture->url)), 0);
    buffer_fini(&out);
}

static void puts_that_have_not_begun_at_the_end_are_cancelled_or_done(void **state)
{
    struct fixture *fixture = *state;
    enum { PUTS = 200 };
    static struct latch latches[PUTS];

    for (size_t i = 0; i < PUTS; i++) {
        char name[16];
        latches[i] = (struct latch)LATCH_INIT;
        (void)snprintf(name, sizeof(name), "f%zu", i);
        object_put_start(
            fixture->store, at(fixture, name), "x", 1, NULL, latch_open, &latches[i]);
    }
    object_store_destroy(fixture->store);
    fixture->store = NULL;
    for (size_t i = 0; i < PUTS; i++) {
        struct error err = {0};
        if (latch_wait(&latches[i], &err) != 0) {
            assert_int_equal(err.code, ERROR_CANCELLED);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_comes_back_and_its_folders_are_made),
        TEST(a_put_that_does_not_wait_tells_how_it_went),
        TEST(a_range_ends_where_the_file_ends),
        TEST(a_file_that_has_changed_is_not_read_on),
        TEST(what_is_no_file_is_not_found),
        TEST(files_are_refused_where_they_are_not_allowed),
        TEST(paths_are_listed_in_the_order_of_their_bytes),
        TEST(a_listing_goes_on_behind_any_path),
        TEST(links_are_followed_but_not_in_circles),
        TEST(entries_have_the_size_and_etag_of_the_object),
        TEST(a_folder_with_more_names_than_are_held_is_listed_whole),
        TEST(a_folder_that_may_not_be_read_is_an_error),
        TEST(puts_that_have_not_begun_at_the_end_are_cancelled_or_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
