/* SPDX-License-Identifier: Apache-2.0 */
/* enqueuer.c - how a submission becomes batches */
#include "master/enqueuer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "master/input_file.h"
#include "master/json_stream.h"
#include "master/partition.h"

#define LOG_EVERY_FEW  100   // batches, up to LOG_EVERY_MANY
#define LOG_EVERY_MANY 10000 // batches, from there on

struct enqueuer {
    const struct enqueuer_options *options;
    const struct enqueuer_sink *sink;
    struct submission *submission;
    struct partition partition;
    struct payload_writer *writer;
    struct enqueuer_position now;   // behind the item that was taken last
    struct enqueuer_position after; // behind the batch that was written last
    uint64_t batches;
    bool resumed;
};

static void log_line(const struct enqueuer *enqueuer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void log_line(const struct enqueuer *enqueuer, const char *format, ...)
{
    char *line = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&line, format, args) >= 0) {
        enqueuer->sink->log(enqueuer->sink->arg, line);
        free(line);
    }
    va_end(args);
}

static int check_stopped(const struct enqueuer *enqueuer, struct error *err)
{
    return enqueuer->sink->stopped(enqueuer->sink->arg)
               ? error_set(err, ERROR_CANCELLED, "enqueuing was stopped")
               : 0;
}

static int flush_segment(struct enqueuer *enqueuer, struct error *err)
{
    struct payload_segment segment;

    if (check_stopped(enqueuer, err) != 0 ||
        payload_writer_flush(enqueuer->writer, &segment, err) != 0) {
        return -1;
    }
    return enqueuer->sink->segment(
        enqueuer->sink->arg, &segment, &enqueuer->after, err);
}

static int
add_batch(struct enqueuer *enqueuer, struct json_slice batch, struct error *err)
{
    if (!payload_writer_fits(enqueuer->writer, batch.size) &&
        flush_segment(enqueuer, err) != 0) {
        return -1;
    }
    payload_writer_add(enqueuer->writer, batch);
    enqueuer->after = enqueuer->now;
    uint64_t batches = ++enqueuer->batches;
    if (batches % (batches <= LOG_EVERY_MANY ? LOG_EVERY_FEW : LOG_EVERY_MANY) == 0) {
        log_line(enqueuer, "enqueued %" PRIu64 " batches", batches);
    }
    return 0;
}

static int enqueue_list(struct enqueuer *enqueuer, struct error *err)
{
    const struct submission *submission = enqueuer->submission;
    struct enqueuer_position *now = &enqueuer->now;
    struct json_cursor cursor;
    struct json_slice item;
    struct json_slice batch;
    int got = 0;

    if (!enqueuer->resumed) {
        uint64_t count = submission->item_count;
        uint32_t size = submission->batch_size;
        log_line(enqueuer,
                 "partitioning %" PRIu64 " items found in job submission into %" PRIu64
                 " batches of size %" PRIu32,
                 count,
                 (count + size - 1) / size,
                 size);
    }
    json_cursor_seek(&cursor, submission->items, now->offset ? now->offset : 1);
    while (got == 0 && json_cursor_element(&cursor, &item)) {
        now->offset = (uint64_t)(cursor.at - submission->items.text);
        now->item++;
        got = partition_add(&enqueuer->partition, item, &batch, err);
        if (got > 0) {
            got = add_batch(enqueuer, batch, err);
        }
    }
    return got;
}

static int
enqueue_url(struct enqueuer *enqueuer, struct buffer *item, struct error *err)
{
    struct json_slice batch;

    buffer_clear(item);
    json_add_text(item, enqueuer->now.key);
    int got = partition_add(
        &enqueuer->partition, (struct json_slice){item->data, item->size}, &batch, err);
    if (got < 0) {
        return error_wrap(err, "%s", enqueuer->now.key);
    }
    return got > 0 ? add_batch(enqueuer, batch, err) : 0;
}

static void note_position(struct enqueuer *enqueuer, struct json_stream *stream)
{
    struct json_stream_position position = json_stream_position(stream);

    enqueuer->now.offset = position.offset;
    enqueuer->now.line = position.line;
    enqueuer->now.item = position.item;
}

static int enqueue_item(struct enqueuer *enqueuer,
                        struct json_stream *stream,
                        struct json_slice item,
                        struct error *err)
{
    struct json_slice batch;
    int got = partition_add(&enqueuer->partition, item, &batch, err);

    if (got < 0) {
        return error_wrap(err, "%s", enqueuer->now.key);
    }
    if (got == 0) {
        return 0;
    }
    note_position(enqueuer, stream);
    return add_batch(enqueuer, batch, err);
}

static int
enqueue_items(struct enqueuer *enqueuer, struct json_stream *stream, struct error *err)
{
    struct json_slice item;
    int got = 0;

    while ((got = json_stream_next(stream, &item, err)) > 0) {
        if (enqueue_item(enqueuer, stream, item, err) != 0) {
            return -1;
        }
    }
    return got < 0 ? error_wrap(err, "%s", enqueuer->now.key) : 0;
}

// The stream is at the file's end: takes what only that ends, and notes where it is.
static int
finish_items(struct enqueuer *enqueuer, struct json_stream *stream, struct error *err)
{
    struct json_slice item;
    int got = json_stream_finish(stream, &item, err);

    if (got < 0) {
        return error_wrap(err, "%s", enqueuer->now.key);
    }
    if (got > 0 && enqueue_item(enqueuer, stream, item, err) != 0) {
        return -1;
    }
    note_position(enqueuer, stream);
    return 0;
}

// Enqueues the file at now.key from now.offset on.
static int enqueue_file(struct enqueuer *enqueuer, struct error *err)
{
    struct enqueuer_position *now = &enqueuer->now;
    struct json_stream_position from = {now->offset, now->line, now->item};
    struct input_file *file = NULL;
    struct json_stream stream;
    const char *data = NULL;
    ssize_t size = 0;
    int result = -1;

    json_stream_init(&stream, enqueuer->options->limits.item_size_max, &from);
    if (input_file_open(
            enqueuer->options->inputs, now->key, now->offset, now->etag, &file, err) !=
        0) {
        goto out;
    }
    (void)snprintf(now->etag, sizeof(now->etag), "%s", input_file_etag(file));
    while ((size = input_file_read(file, &data, err)) > 0) {
        json_stream_push(&stream, data, (size_t)size);
        if (enqueue_items(enqueuer, &stream, err) != 0 ||
            check_stopped(enqueuer, err) != 0) {
            goto out;
        }
    }
    result = size == 0 ? finish_items(enqueuer, &stream, err) : -1;
out:
    json_stream_fini(&stream);
    input_file_close(file);
    return result;
}

// Makes now the start of the file that `inputs` is at.
static void begin_file(struct enqueuer *enqueuer, const struct inputs *inputs)
{
    struct enqueuer_position *now = &enqueuer->now;

    now->entry = (uint32_t)inputs->entry;
    now->offset = 0;
    now->item = 0;
    now->line = 1;
    now->etag[0] = '\0';
    memcpy(now->key, inputs->url, sizeof(now->key));
}

static int enqueue_files(struct enqueuer *enqueuer, struct error *err)
{
    const struct submission *submission = enqueuer->submission;
    bool contents = submission->input == SUBMISSION_DELIMITED_FILES;
    bool found = enqueuer->resumed;
    struct buffer item = BUFFER_INIT;
    struct inputs inputs;
    int got = contents && enqueuer->resumed ? enqueue_file(enqueuer, err) : 0;

    inputs_init(&inputs,
                enqueuer->options->inputs,
                &submission->lister,
                enqueuer->now.entry,
                enqueuer->now.key);
    while (got == 0 && (got = inputs_next(&inputs, err)) > 0) {
        found = true;
        begin_file(enqueuer, &inputs);
        if (contents) {
            log_line(enqueuer, "enqueuing contents from file %s", inputs.url);
        }
        got = check_stopped(enqueuer, err);
        if (got == 0) {
            got = contents ? enqueue_file(enqueuer, err)
                           : enqueue_url(enqueuer, &item, err);
        }
    }
    inputs_fini(&inputs);
    buffer_fini(&item);
    return got == 0 && !found ? inputs_none(&submission->lister, err) : got;
}

static int enqueue_rest(struct enqueuer *enqueuer, struct error *err)
{
    struct json_slice batch;

    if (partition_flush(&enqueuer->partition, &batch) &&
        add_batch(enqueuer, batch, err) != 0) {
        return -1;
    }
    if (payload_writer_pending(enqueuer->writer)) {
        return flush_segment(enqueuer, err);
    }
    if (enqueuer->batches > 0) {
        return 0;
    }
    log_line(enqueuer, "no data was found in the files of this job");
    log_line(enqueuer,
             "please check that they are not empty; a dry run (?dryRun=true) lists the "
             "files that a submission reads");
    return error_set_kind(err,
                          ERROR_FAILED_PRECONDITION,
                          "batchapi.no_batches",
                          "no batches to enqueue: the files hold no items");
}

static void log_start(const struct enqueuer *enqueuer)
{
    const struct lister_path *paths = enqueuer->submission->lister.paths;

    log_line(enqueuer, "started enqueuing batches to queue");
    for (size_t i = 0; i < enqueuer->submission->lister.path_count; i++) {
        if (paths[i].covered_by != LISTER_UNCOVERED) {
            log_line(enqueuer,
                     "skipping %s, since %s covers it",
                     paths[i].url,
                     paths[paths[i].covered_by].url);
        }
    }
}

static int check_url(void *arg, const char *url, struct error *err)
{
    return object_check_url(arg, url, err);
}

static int enqueuer_init(struct enqueuer *enqueuer, struct error *err)
{
    const struct enqueuer_options *options = enqueuer->options;

    if (options->last) {
        enqueuer->resumed = true;
        enqueuer->now = *options->after;
        enqueuer->batches = options->last->first_index + options->last->count;
    }
    if (submission_parse(options->body,
                         options->body_size,
                         &options->limits,
                         check_url,
                         options->inputs,
                         &enqueuer->submission,
                         err) != 0) {
        return -1;
    }
    enqueuer->writer =
        payload_writer_create(options->payloads,
                              options->payload_prefix_url,
                              options->segment_size_max,
                              options->segment_count_max,
                              options->last ? options->last->number + 1 : 0,
                              enqueuer->batches);
    partition_init(&enqueuer->partition,
                   enqueuer->submission->batch_size,
                   options->limits.batch_size_max,
                   enqueuer->batches);
    return 0;
}

int enqueuer_run(const struct enqueuer_options *options,
                 const struct enqueuer_sink *sink,
                 uint64_t *out_batches,
                 struct error *err)
{
    struct enqueuer enqueuer = {.options = options, .sink = sink};
    int result = -1;

    if (enqueuer_init(&enqueuer, err) != 0) {
        goto out;
    }
    if (!enqueuer.resumed) {
        log_start(&enqueuer);
    }
    result = enqueuer.submission->input == SUBMISSION_ITEM_LIST
                 ? enqueue_list(&enqueuer, err)
                 : enqueue_files(&enqueuer, err);
    if (result == 0) {
        result = enqueue_rest(&enqueuer, err);
    }
    if (result == 0) {
        *out_batches = enqueuer.batches;
    }
out:
    submission_destroy(enqueuer.submission);
    payload_writer_destroy(enqueuer.writer);
    partition_fini(&enqueuer.partition);
    return result;
}
