/* SPDX-License-Identifier: Apache-2.0 */
/* test_enqueuer.c - does a submission become the right batches, from wherever it goes
 * on?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "common/fs.h"
#include "master/enqueuer.h"

#define SEGMENTS_MAX 64

struct fixture {
    char folder[64];
    struct object_store *store;
    char *payloads;
    struct payload_segment segments[SEGMENTS_MAX];
    struct enqueuer_position positions[SEGMENTS_MAX];
    size_t segment_count;
    size_t stop_after; // segments; 0: never
    struct buffer log;
    bool stopped;
};

static int setup(void **state)
{
    static const struct object_options options = {.allow_file = true, .backoff_ms = 1};
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/enqueuer-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->payloads = memory_format("file://%s/payloads", fixture->folder);
    assert_int_equal(object_store_create(&options, &fixture->store, NULL), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    object_store_destroy(fixture->store);
    (void)fs_remove_tree(fixture->folder, NULL);
    buffer_fini(&fixture->log);
    free(fixture->payloads);
    free(fixture);
    return 0;
}

static void
put(struct fixture *fixture, const char *name, const void *data, size_t size)
{
    char *url = memory_format("file://%s/in/%s", fixture->folder, name);

    assert_int_equal(object_put(fixture->store, url, data, size, NULL, NULL), 0);
    free(url);
}

static void put_text(struct fixture *fixture, const char *name, const char *text)
{
    put(fixture, name, text, strlen(text));
}

// As `gzip` writes it, in one member of its own.
static void add_gzip(struct buffer *out, const char *text)
{
    z_stream stream = {0};
    size_t bound = strlen(text) + 100;

    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
    stream.next_in = (unsigned char *)(uintptr_t)text;
    stream.avail_in = (unsigned)strlen(text);
    stream.next_out = (unsigned char *)buffer_reserve(out, bound);
    stream.avail_out = (unsigned)bound;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->size += bound - stream.avail_out;
    (void)deflateEnd(&stream);
}

static void add_zstd(struct buffer *out, const char *text)
{
    size_t bound = ZSTD_compressBound(strlen(text));
    size_t size =
        ZSTD_compress(buffer_reserve(out, bound), bound, text, strlen(text), 3);

    assert_false(ZSTD_isError(size));
    out->size += size;
}

static int sink_segment(void *arg,
                        const struct payload_segment *segment,
                        const struct enqueuer_position *after,
                        struct error *err)
{
    struct fixture *fixture = arg;

    assert_true(fixture->segment_count < SEGMENTS_MAX);
    fixture->segments[fixture->segment_count] = *segment;
    fixture->positions[fixture->segment_count++] = *after;
    return fixture->segment_count == fixture->stop_after
               ? error_set(err, ERROR_UNAVAILABLE, "the master stops here")
               : 0;
}

static void sink_log(void *arg, const char *line)
{
    struct fixture *fixture = arg;

    buffer_add_format(&fixture->log, "%s\n", line);
}

static bool sink_stopped(void *arg)
{
    const struct fixture *fixture = arg;

    return fixture->stopped;
}

// Runs from behind the last segment that the fixture has.
static int run(struct fixture *fixture,
               const char *body,
               uint32_t per_segment,
               size_t batch_size_max,
               uint64_t *out_batches,
               struct error *err)
{
    const struct enqueuer_sink sink = {fixture, sink_segment, sink_log, sink_stopped};
    struct enqueuer_options options = {
        .body = body,
        .body_size = strlen(body),
        .limits = {1 << 20, 300, batch_size_max},
        .inputs = fixture->store,
        .payloads = fixture->store,
        .payload_prefix_url = fixture->payloads,
        .segment_count_max = per_segment,
    };
    struct payload_segment last;
    struct enqueuer_position after;

    if (fixture->segment_count) {
        last = fixture->segments[fixture->segment_count - 1];
        after = fixture->positions[fixture->segment_count - 1];
        options.last = &last;
        options.after = &after;
    }
    return enqueuer_run(&options, &sink, out_batches, err);
}

// All batches of the fixture's segments, joined by '|'.
static char *read_back(struct fixture *fixture)
{
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    struct buffer all = BUFFER_INIT;
    uint64_t index = 0;

    for (size_t i = 0; i < fixture->segment_count; i++) {
        const struct payload_segment *segment = &fixture->segments[i];
        assert_int_equal(segment->number, i);
        assert_int_equal(segment->first_index, index);
        for (uint32_t k = 0; k < segment->count; k++, index++) {
            uint32_t size = 0;
            uint32_t count = 0;
            assert_int_equal(payload_cache_read(cache,
                                                fixture->payloads,
                                                segment,
                                                index,
                                                1,
                                                0,
                                                &all,
                                                &size,
                                                &count,
                                                NULL),
                             0);
            assert_int_equal(count, 1);
            buffer_add_char(&all, '|');
        }
    }
    payload_cache_destroy(cache);
    return buffer_take(&all);
}

static void forget(struct fixture *fixture)
{
    fixture->segment_count = 0;
    fixture->stop_after = 0;
    buffer_clear(&fixture->log);
}

// Stopped after every number of segments and gone on with, all must come out the same,
// and as `want` if that is not NULL.
static void expect_batches(struct fixture *fixture, const char *body, const char *want)
{
    uint64_t batches = 0;
    struct error err = {0};

    forget(fixture);
    if (run(fixture, body, 0, 1000, &batches, &err) != 0) {
        fail_msg("%s", err.message);
    }
    char *whole = read_back(fixture);
    if (want) {
        assert_string_equal(whole, want);
    }
    for (uint32_t per_segment = 1; per_segment <= 3; per_segment++) {
        for (size_t stop = 1; stop <= (batches + per_segment - 1) / per_segment;
             stop++) {
            uint64_t again = 0;
            forget(fixture);
            fixture->stop_after = stop;
            assert_int_equal(run(fixture, body, per_segment, 1000, &again, NULL), -1);
            fixture->stop_after = 0;
            assert_int_equal(run(fixture, body, per_segment, 1000, &again, &err), 0);
            assert_int_equal(again, batches);
            char *parts = read_back(fixture);
            assert_string_equal(parts, whole);
            free(parts);
        }
    }
    free(whole);
}

static char *lister(const struct fixture *fixture,
                    const char *kind,
                    unsigned batch_size,
                    const char *path,
                    const char *more)
{
    return memory_format("{\"workers\":1,\"%s\":{\"batch_size\":%u,"
                         "\"s3_paths\":[\"file://%s/in/%s\"]%s}}",
                         kind,
                         batch_size,
                         fixture->folder,
                         path,
                         more);
}

static void an_item_list_is_cut_into_batches(void **state)
{
    struct fixture *fixture = *state;
    static const char body[] = "{\"workers\":1,\"item_list\":{\"items\":[ 1.0 ,\"a\","
                               "{\"b\" : 1e400},[ ],null, 7 ] ,\"batch_size\":4}}";

    expect_batches(fixture, body, "[1.0,\"a\",{\"b\" : 1e400},[ ]]|[null,7]|");
    forget(fixture);
    uint64_t batches = 0;
    assert_int_equal(run(fixture, body, 0, 1000, &batches, NULL), 0);
    assert_int_equal(batches, 2);
    assert_string_equal(
        fixture->log.data,
        "started enqueuing batches to queue\n"
        "partitioning 6 items found in job submission into 2 batches of size 4\n");
}

static void an_item_list_goes_on_behind_any_segment(void **state)
{
    struct fixture *fixture = *state;

    expect_batches(fixture,
                   "{\"workers\":1,\"item_list\":{\"batch_size\":2,\"items\":"
                   "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14]}}",
                   "[0,1]|[2,3]|[4,5]|[6,7]|[8,9]|[10,11]|[12,13]|[14]|");
}

static void listed_files_are_batched_in_byte_order(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {
        "img_0", "img_1", "img_10", "img_2", "sub/x", "q\"t", "a.txt"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        put_text(fixture, names[i], "x");
    }
    char *body = lister(fixture,
                        "file_path_lister",
                        2,
                        "",
                        ",\"excludes\":[\"**.txt\"],\"includes\":null");
    const char *in = fixture->folder;
    char *want = memory_format("[\"file://%s/in/img_0\",\"file://%s/in/img_1\"]|"
                               "[\"file://%s/in/img_10\",\"file://%s/in/img_2\"]|"
                               "[\"file://%s/in/q\\\"t\",\"file://%s/in/sub/x\"]|",
                               in,
                               in,
                               in,
                               in,
                               in,
                               in);
    expect_batches(fixture, body, want);
    forget(fixture);
    uint64_t batches = 0;
    assert_int_equal(run(fixture, body, 0, 1000, &batches, NULL), 0);
    assert_string_equal(fixture->log.data, "started enqueuing batches to queue\n");
    free(want);
    free(body);
}

static void put_parts(struct fixture *fixture)
{
    struct buffer packed = BUFFER_INIT;

    put_text(fixture, "a.json", "\xef\xbb\xbf\"a0\"\r\n\"a1\"\n\n\"a2\"");
    add_gzip(&packed, "[1]\n[2,\n 3]\n12");
    add_gzip(&packed, "34\n5");
    put(fixture, "b.json.gz", packed.data, packed.size);
    put_text(fixture, "c.json", "");
    put_text(fixture, "d.json", " \n");
    buffer_clear(&packed);
    add_zstd(&packed, "{\"z\":1}\n{\"z\":2}\n");
    add_zstd(&packed, "{\"z\":3}");
    put(fixture, "e.json.zst", packed.data, packed.size);
    put_text(fixture, "f.json", "7 8 9 10 11 12");
    put_text(fixture, "g.json.gz", "");
    buffer_fini(&packed);
}

static void batches_span_files_of_every_kind(void **state)
{
    struct fixture *fixture = *state;

    put_parts(fixture);
    char *body = lister(fixture, "delimited_files", 2, "", "");
    expect_batches(fixture,
                   body,
                   "[\"a0\",\"a1\"]|[\"a2\",[1]]|[[2,\n 3],1234]|[5,{\"z\":1}]|"
                   "[{\"z\":2},{\"z\":3}]|[7,8]|[9,10]|[11,12]|");
    free(body);
    body = lister(fixture, "delimited_files", 5, "", ",\"includes\":[\"**.json\"]");
    expect_batches(fixture, body, "[\"a0\",\"a1\",\"a2\",7,8]|[9,10,11,12]|");
    forget(fixture);
    uint64_t batches = 0;
    assert_int_equal(run(fixture, body, 0, 1000, &batches, NULL), 0);
    char *want = memory_format("started enqueuing batches to queue\n"
                               "enqueuing contents from file file://%s/in/a.json\n"
                               "enqueuing contents from file file://%s/in/c.json\n"
                               "enqueuing contents from file file://%s/in/d.json\n"
                               "enqueuing contents from file file://%s/in/f.json\n",
                               fixture->folder,
                               fixture->folder,
                               fixture->folder,
                               fixture->folder);
    assert_string_equal(fixture->log.data, want);
    free(want);
    free(body);
}

static void files_larger_than_a_piece_go_on_too(void **state)
{
    struct fixture *fixture = *state;
    struct buffer text = BUFFER_INIT;
    struct buffer packed = BUFFER_INIT;

    while (text.size < 700000) {
        buffer_add_format(&text, "{\"n\":%zu,\"text\":\"some text\"}\n", text.size);
    }
    put(fixture, "a.json", text.data, text.size);
    add_gzip(&packed, text.data);
    put(fixture, "b.json.gz", packed.data, packed.size);
    buffer_clear(&packed);
    add_zstd(&packed, text.data);
    put(fixture, "c.json.zst", packed.data, packed.size);
    char *body =
        memory_format("{\"workers\":1,\"delimited_files\":{\"batch_size\":4000,"
                      "\"s3_paths\":[\"file://%s/in/\"]}}",
                      fixture->folder);
    uint64_t whole = 0;
    uint64_t again = 0;
    assert_int_equal(run(fixture, body, 1, 1 << 20, &whole, NULL), 0);
    char *want = read_back(fixture);
    for (size_t stop = 1; stop <= whole; stop++) {
        forget(fixture);
        fixture->stop_after = stop;
        assert_int_equal(run(fixture, body, 1, 1 << 20, &again, NULL), -1);
        fixture->stop_after = 0;
        assert_int_equal(run(fixture, body, 1, 1 << 20, &again, NULL), 0);
        assert_int_equal(again, whole);
        char *got = read_back(fixture);
        assert_string_equal(got, want);
        free(got);
    }
    free(want);
    free(body);
    buffer_fini(&text);
    buffer_fini(&packed);
}

static void paths_come_in_their_order_and_covered_ones_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    const char *in = fixture->folder;

    put_text(fixture, "a/1", "1");
    put_text(fixture, "a/2", "2");
    put_text(fixture, "b/3", "3");
    char *body = memory_format("{\"workers\":1,\"delimited_files\":{\"batch_size\":2,"
                               "\"s3_paths\":[\"file://%s/in/b\",\"file://%s/in/a/2\","
                               "\"file://%s/in/a\",\"file://%s/in/b\"]}}",
                               in,
                               in,
                               in,
                               in);
    expect_batches(fixture, body, "[3,1]|[2]|");
    forget(fixture);
    uint64_t batches = 0;
    assert_int_equal(run(fixture, body, 0, 1000, &batches, NULL), 0);
    char *want =
        memory_format("skipping file://%s/in/a/2, since file://%s/in/a covers it\n"
                      "skipping file://%s/in/b, since file://%s/in/b covers it\n",
                      in,
                      in,
                      in,
                      in);
    assert_non_null(strstr(fixture->log.data, want));
    free(want);
    free(body);
}

static void progress_is_logged_at_every_hundred_and_then_ten_thousand(void **state)
{
    struct fixture *fixture = *state;
    struct buffer text = BUFFER_INIT;
    uint64_t batches = 0;
    size_t lines = 0;

    for (size_t i = 0; i < 20500; i++) {
        buffer_add_text(&text, "0 ");
    }
    put(fixture, "a", text.data, text.size);
    char *body = lister(fixture, "delimited_files", 1, "a", "");
    assert_int_equal(run(fixture, body, 0, 1000, &batches, NULL), 0);
    assert_int_equal(batches, 20500);
    for (const char *at = fixture->log.data; (at = strstr(at, "enqueued ")); at++) {
        lines++;
    }
    assert_int_equal(lines, 101);
    assert_non_null(strstr(fixture->log.data, "\nenqueued 100 batches\n"));
    assert_non_null(strstr(fixture->log.data,
                           "\nenqueued 10000 batches\nenqueued 20000 batches\n"));
    free(body);
    buffer_fini(&text);
}

static void a_fault_in_a_file_is_named_by_file_item_line_and_byte(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *name;
        const char *text;
        const char *message;
        enum error_code code;
    } rows[] = {
        {"bad.json",
         "1\n2\n{\"a\":1;\n",
         "/bad.json: item 2, line 3, byte 10: expected ',' or '}', at '{\"a\":1;",
         ERROR_INVALID_ARGUMENT},
        {"cut.json",
         "1\n\"abc",
         "/cut.json: item 1, line 2, byte 6: the file ends in the middle of a value",
         ERROR_INVALID_ARGUMENT},
        {"not.gz", "plain", "/not.gz: expected gz data", ERROR_INVALID_ARGUMENT},
        {"not.zst", "plain", "/not.zst: expected zst data", ERROR_INVALID_ARGUMENT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        uint64_t batches = 0;
        put_text(fixture, rows[i].name, rows[i].text);
        char *body = lister(fixture, "delimited_files", 10, rows[i].name, "");
        assert_int_equal(run(fixture, body, 0, 1000, &batches, &err), -1);
        assert_int_equal(err.code, rows[i].code);
        if (!strstr(err.message, rows[i].message) ||
            strncmp(err.message, "file://", 7) != 0) {
            fail_msg("%s", err.message);
        }
        free(body);
    }
}

static void compressed_data_cut_at_any_byte_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buffer packed = BUFFER_INIT;
    uint64_t batches = 0;

    for (int zstd = 0; zstd < 2; zstd++) {
        const char *name = zstd ? "x.zst" : "x.gz";
        char *body = lister(fixture, "delimited_files", 10, name, "");
        buffer_clear(&packed);
        (zstd ? add_zstd : add_gzip)(&packed, "[1]\n[2]\n[3]\n");
        for (size_t size = 1; size < packed.size; size++) {
            struct error err = {0};
            forget(fixture);
            put(fixture, name, packed.data, size);
            assert_int_equal(run(fixture, body, 0, 1000, &batches, &err), -1);
            assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        }
        free(body);
    }
    buffer_fini(&packed);
}

static void sizes_over_their_limits_are_named(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    uint64_t batches = 0;
    char item[400];

    memset(item, '1', sizeof(item) - 1);
    item[sizeof(item) - 1] = '\0';
    put_text(fixture, "large", item);
    char *body = lister(fixture, "delimited_files", 10, "large", "");
    assert_int_equal(run(fixture, body, 0, 1000, &batches, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_string_equal(err.kind, "batchapi.item_size_exceeds_limit");
    assert_non_null(strstr(err.message, "/large: item 0, line 1, byte 0: the item is"));
    put_text(fixture, "large", "123456789 123456789");
    assert_int_equal(run(fixture, body, 0, 20, &batches, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_non_null(strstr(err.message, "batch 0 would have 21 bytes"));
    free(body);
}

static void no_matching_file_and_no_item_are_errors(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    uint64_t batches = 0;

    put_text(fixture, "a/empty", "\n");
    char *body =
        lister(fixture, "delimited_files", 10, "a/", ",\"includes\":[\"**.x\"]");
    assert_int_equal(run(fixture, body, 0, 1000, &batches, &err), -1);
    assert_string_equal(err.kind, "batchapi.no_s3_files_found");
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "/in/a/"));
    free(body);
    forget(fixture);
    body = lister(fixture, "delimited_files", 10, "a/", "");
    assert_int_equal(run(fixture, body, 0, 1000, &batches, &err), -1);
    assert_string_equal(err.kind, "batchapi.no_batches");
    assert_non_null(strstr(fixture->log.data, "no data was found"));
    assert_non_null(strstr(fixture->log.data, "dry run"));
    assert_int_equal(fixture->segment_count, 0);
    free(body);
}

static void a_file_that_was_changed_between_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    uint64_t batches = 0;

    put_text(fixture, "a", "1 2 3 4");
    char *body = lister(fixture, "delimited_files", 1, "a", "");
    fixture->stop_after = 2;
    assert_int_equal(run(fixture, body, 1, 1000, &batches, NULL), -1);
    fixture->stop_after = 0;
    put_text(fixture, "a", "5 6 7 8 9 10");
    assert_int_equal(run(fixture, body, 1, 1000, &batches, &err), -1);
    assert_int_equal(err.code, ERROR_ABORTED);
    free(body);
}

static void a_stop_ends_it_before_anything_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    uint64_t batches = 0;

    put_text(fixture, "a", "1 2 3 4");
    char *body = lister(fixture, "delimited_files", 1, "a", "");
    fixture->stopped = true;
    assert_int_equal(run(fixture, body, 1, 1000, &batches, &err), -1);
    assert_int_equal(err.code, ERROR_CANCELLED);
    assert_int_equal(fixture->segment_count, 0);
    free(body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_item_list_is_cut_into_batches),
        TEST(an_item_list_goes_on_behind_any_segment),
        TEST(listed_files_are_batched_in_byte_order),
        TEST(batches_span_files_of_every_kind),
        TEST(files_larger_than_a_piece_go_on_too),
        TEST(paths_come_in_their_order_and_covered_ones_are_skipped),
        TEST(progress_is_logged_at_every_hundred_and_then_ten_thousand),
        TEST(a_fault_in_a_file_is_named_by_file_item_line_and_byte),
        TEST(compressed_data_cut_at_any_byte_is_refused),
        TEST(sizes_over_their_limits_are_named),
        TEST(no_matching_file_and_no_item_are_errors),
        TEST(a_file_that_was_changed_between_is_refused),
        TEST(a_stop_ends_it_before_anything_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
