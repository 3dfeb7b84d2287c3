/* SPDX-License-Identifier: Apache-2.0 */
/* test_payload.c - do batches come back from their segments as they went in? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"
#include "master/payload.h"

struct fixture {
    char folder[64];
    char *prefix;
    struct object_store *store;
};

static int setup(void **state)
{
    static const struct object_options options = {.allow_file = true, .backoff_ms = 1};
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/payload-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->prefix = memory_format("file://%s/jobs/1", fixture->folder);
    assert_int_equal(object_store_create(&options, &fixture->store, NULL), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    object_store_destroy(fixture->store);
    (void)fs_remove_tree(fixture->folder, NULL);
    free(fixture->prefix);
    free(fixture);
    return 0;
}

// Batch i of the tests: its number, written i % 50 times.
static char *batch_text(uint64_t index)
{
    struct buffer text = BUFFER_INIT;

    buffer_add_char(&text, '[');
    for (uint64_t i = 0; i < index % 50; i++) {
        buffer_add_format(&text, "%u,", (unsigned)index);
    }
    buffer_add_text(&text, "0]");
    return buffer_take(&text);
}

static void add(struct payload_writer *writer, uint64_t index)
{
    char *text = batch_text(index);

    payload_writer_add(writer, (struct json_slice){text, strlen(text)});
    free(text);
}

// Writes batches [0, count) in segments of `per_segment`; returns how many segments.
static size_t write_all(struct fixture *fixture,
                        uint64_t count,
                        uint32_t per_segment,
                        struct payload_segment *out)
{
    struct payload_writer *writer =
        payload_writer_create(fixture->store, fixture->prefix, 0, per_segment, 0, 0);
    size_t segments = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (!payload_writer_fits(writer, 10)) {
            assert_int_equal(payload_writer_flush(writer, &out[segments++], NULL), 0);
        }
        add(writer, i);
    }
    if (payload_writer_pending(writer)) {
        assert_int_equal(payload_writer_flush(writer, &out[segments++], NULL), 0);
    }
    payload_writer_destroy(writer);
    return segments;
}

static int read_run(struct fixture *fixture,
                    struct payload_cache *cache,
                    const struct payload_segment *segment,
                    uint64_t first,
                    uint32_t count_max,
                    size_t size_max,
                    uint32_t *out_count,
                    struct error *err)
{
    struct buffer data = BUFFER_INIT;
    uint32_t sizes[64];
    const char *at = NULL;
    int result = payload_cache_read(cache,
                                    fixture->prefix,
                                    segment,
                                    first,
                                    count_max,
                                    size_max,
                                    &data,
                                    sizes,
                                    out_count,
                                    err);

    at = data.data;
    for (uint32_t i = 0; result == 0 && i < *out_count; i++) {
        char *want = batch_text(first + i);
        assert_int_equal(sizes[i], strlen(want));
        assert_memory_equal(at, want, sizes[i]);
        at += sizes[i];
        free(want);
    }
    assert_true(result != 0 || at == data.data + data.size);
    buffer_fini(&data);
    return result;
}

static void runs_of_batches_come_back_as_they_went_in(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segments[8];
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    uint32_t count = 0;

    assert_int_equal(write_all(fixture, 100, 30, segments), 4);
    for (size_t s = 0; s < 4; s++) {
        const struct payload_segment *segment = &segments[s];
        assert_int_equal(segment->number, s);
        assert_int_equal(segment->first_index, s * 30);
        assert_int_equal(segment->count, s < 3 ? 30 : 10);
        for (uint32_t i = 0; i < segment->count; i++) {
            uint64_t first = segment->first_index + i;
            assert_int_equal(
                read_run(fixture, cache, segment, first, 7, SIZE_MAX, &count, NULL), 0);
            assert_int_equal(count, segment->count - i < 7 ? segment->count - i : 7);
        }
    }
    payload_cache_destroy(cache);
}

static void a_run_ends_before_the_size_allowed_but_has_one_batch(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segment;
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    uint32_t count = 0;

    assert_int_equal(write_all(fixture, 30, 30, &segment), 1);
    assert_int_equal(read_run(fixture, cache, &segment, 0, 30, 8, &count, NULL), 0);
    assert_int_equal(count, 2); // "[0]" and "[1,0]"
    assert_int_equal(read_run(fixture, cache, &segment, 0, 30, 7, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(read_run(fixture, cache, &segment, 29, 30, 1, &count, NULL), 0);
    assert_int_equal(count, 1);
    payload_cache_destroy(cache);
}

static void a_batch_that_the_segment_does_not_hold_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segments[2];
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    uint32_t count = 0;
    struct error err = {0};

    assert_int_equal(write_all(fixture, 20, 10, segments), 2);
    assert_int_equal(read_run(fixture, cache, &segments[1], 9, 1, 9, &count, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_int_equal(read_run(fixture, cache, &segments[1], 20, 1, 9, &count, &err),
                     -1);
    payload_cache_destroy(cache);
}

static void a_segment_is_closed_at_its_limits_and_takes_one_larger_batch(void **state)
{
    struct fixture *fixture = *state;
    struct payload_writer *writer =
        payload_writer_create(fixture->store, fixture->prefix, 10, 3, 0, 0);

    assert_true(payload_writer_fits(writer, 1000));
    payload_writer_add(writer, (struct json_slice){"[1,2]", 5});
    assert_true(payload_writer_fits(writer, 5));
    assert_false(payload_writer_fits(writer, 6));
    payload_writer_add(writer, (struct json_slice){"[3]", 3});
    payload_writer_add(writer, (struct json_slice){"[]", 2});
    assert_false(payload_writer_fits(writer, 0));
    assert_int_equal(payload_writer_pending(writer), 3);
    payload_writer_destroy(writer);
}

// Writes the bytes where the segment was: they may not be taken for it.
static void expect_damage(struct fixture *fixture,
                          const struct payload_segment *segment,
                          const char *url,
                          const char *data,
                          size_t size)
{
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    struct error err = {0};
    uint32_t count = 0;
    FILE *file = fopen(url + strlen("file://"), "we");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(read_run(fixture, cache, segment, 0, 5, 99, &count, &err), -1);
    assert_int_equal(err.code, ERROR_DATA_LOSS);
    assert_int_equal(strncmp(err.message, url, strlen(url)), 0);
    payload_cache_destroy(cache);
}

static void every_damaged_byte_is_data_loss_that_names_the_url(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segment;
    struct buffer good = BUFFER_INIT;

    assert_int_equal(write_all(fixture, 5, 5, &segment), 1);
    char *url = payload_url(fixture->prefix, 0);
    const char *path = url + strlen("file://");
    assert_int_equal(fs_read(path, 1 << 20, &good, NULL), 0);
    assert_int_equal(good.size, segment.bytes);
    for (size_t i = 0; i < good.size; i++) {
        good.data[i] ^= 0x10;
        expect_damage(fixture, &segment, url, good.data, good.size);
        good.data[i] ^= 0x10;
        expect_damage(fixture, &segment, url, good.data, i);
    }
    free(url);
    buffer_fini(&good);
}

static void another_segment_in_its_place_is_data_loss(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segments[2];
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    struct error err = {0};
    uint32_t count = 0;

    for (unsigned i = 0; i < 2; i++) {
        struct payload_writer *writer =
            payload_writer_create(fixture->store, fixture->prefix, 0, 0, 0, 0);
        payload_writer_add(writer, (struct json_slice){i ? "[1]" : "[0]", 3});
        assert_int_equal(payload_writer_flush(writer, &segments[i], NULL), 0);
        payload_writer_destroy(writer);
    }
    assert_int_equal(read_run(fixture, cache, &segments[0], 0, 1, 9, &count, &err), -1);
    assert_int_equal(err.code, ERROR_DATA_LOSS);
    payload_cache_destroy(cache);
}

static void what_is_forgotten_is_read_anew(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segment;
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    uint32_t count = 0;

    assert_int_equal(write_all(fixture, 5, 5, &segment), 1);
    assert_int_equal(read_run(fixture, cache, &segment, 0, 1, 9, &count, NULL), 0);
    assert_int_equal(payload_delete(fixture->store, fixture->prefix, NULL), 0);
    char *shorter = memory_strndup(fixture->prefix, strlen(fixture->prefix) - 1);
    payload_cache_forget(cache, shorter); // another job's
    free(shorter);
    assert_int_equal(read_run(fixture, cache, &segment, 0, 1, 9, &count, NULL), 0);
    payload_cache_forget(cache, fixture->prefix);
    assert_int_equal(read_run(fixture, cache, &segment, 0, 1, 9, &count, NULL), -1);
    payload_cache_destroy(cache);
}

static void a_missing_segment_is_data_loss(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segment;
    struct payload_cache *cache = payload_cache_create(fixture->store, 1 << 20);
    struct error err = {0};
    uint32_t count = 0;

    assert_int_equal(write_all(fixture, 5, 5, &segment), 1);
    assert_int_equal(payload_delete(fixture->store, fixture->prefix, NULL), 0);
    assert_int_equal(payload_delete(fixture->store, fixture->prefix, NULL), 0);
    assert_int_equal(read_run(fixture, cache, &segment, 0, 5, 99, &count, &err), -1);
    assert_int_equal(err.code, ERROR_DATA_LOSS);
    payload_cache_destroy(cache);
}

static void a_cached_segment_is_read_once(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segments[3];
    struct payload_cache *cache = NULL;
    uint32_t count = 0;

    assert_int_equal(write_all(fixture, 30, 10, segments), 3);
    cache = payload_cache_create(fixture->store, segments[0].bytes + segments[1].bytes);
    assert_int_equal(read_run(fixture, cache, &segments[0], 0, 9, 999, &count, NULL),
                     0);
    assert_int_equal(read_run(fixture, cache, &segments[1], 10, 9, 999, &count, NULL),
                     0);
    assert_int_equal(payload_delete(fixture->store, fixture->prefix, NULL), 0);
    assert_int_equal(read_run(fixture, cache, &segments[0], 0, 9, 999, &count, NULL),
                     0);
    assert_int_equal(write_all(fixture, 30, 10, segments), 3);
    assert_int_equal(read_run(fixture, cache, &segments[2], 20, 9, 999, &count, NULL),
                     0);
    assert_int_equal(payload_delete(fixture->store, fixture->prefix, NULL), 0);
    assert_int_equal(read_run(fixture, cache, &segments[1], 10, 9, 999, &count, NULL),
                     -1); // it made room
    payload_cache_destroy(cache);
}

struct reader {
    struct fixture *fixture;
    struct payload_cache *cache;
    const struct payload_segment *segments;
    unsigned seed;
};

static void *reader_run(void *arg)
{
    struct reader *reader = arg;

    for (unsigned i = 0; i < 300; i++) {
        reader->seed = reader->seed * 1103515245u + 12345u;
        uint64_t first = (reader->seed >> 16) % 100;
        uint32_t count = 0;
        assert_int_equal(read_run(reader->fixture,
                                  reader->cache,
                                  &reader->segments[first / 10],
                                  first,
                                  4,
                                  SIZE_MAX,
                                  &count,
                                  NULL),
                         0);
    }
    return NULL;
}

static void many_threads_share_a_small_cache(void **state)
{
    struct fixture *fixture = *state;
    struct payload_segment segments[10];
    struct reader readers[4];
    pthread_t threads[4];

    assert_int_equal(write_all(fixture, 100, 10, segments), 10);
    struct payload_cache *cache = payload_cache_create(fixture->store, 3000);
    for (unsigned i = 0; i < 4; i++) {
        readers[i] = (struct reader){fixture, cache, segments, i};
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &readers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    payload_cache_destroy(cache);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_of_batches_come_back_as_they_went_in),
        TEST(a_run_ends_before_the_size_allowed_but_has_one_batch),
        TEST(a_batch_that_the_segment_does_not_hold_is_refused),
        TEST(a_segment_is_closed_at_its_limits_and_takes_one_larger_batch),
        TEST(every_damaged_byte_is_data_loss_that_names_the_url),
        TEST(another_segment_in_its_place_is_data_loss),
        TEST(what_is_forgotten_is_read_anew),
        TEST(a_missing_segment_is_data_loss),
        TEST(a_cached_segment_is_read_once),
        TEST(many_threads_share_a_small_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
