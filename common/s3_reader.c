/* SPDX-License-Identifier: Apache-2.0 */
/* s3_reader.c - how a whole S3 object is read in order */
#include "common/s3_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/s3.h"
#include "common/s3_range.h"

struct range {
    struct s3_reader *reader;
    struct s3_request *request; // NULL: the place is free
    uint64_t offset;
    bool over;
    struct error error;
};

struct s3_reader {
    struct object_reader base;
    struct s3_service *service;
    char *url;
    struct range ranges[S3_READER_AHEAD]; // a ring
    unsigned first;                       // the range being read
    unsigned count;
    size_t at;            // bytes of it that are read
    uint64_t next;        // where the next range to start begins
    pthread_mutex_t lock; // of every range's `over` and `error`
    pthread_cond_t changed;
};

static void on_done(struct s3_request *request, const struct error *err)
{
    struct range *range = request->arg;
    struct s3_reader *reader = range->reader;

    pthread_mutex_lock(&reader->lock);
    range->over = true;
    if (err) {
        range->error = *err;
    }
    pthread_cond_signal(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
}

static void start_range(struct s3_reader *reader)
{
    struct range *range =
        &reader->ranges[(reader->first + reader->count++) % S3_READER_AHEAD];

    *range = (struct range){.reader = reader, .offset = reader->next};
    range->request = s3_range_create(reader->service,
                                     reader->url,
                                     reader->next,
                                     S3_READER_RANGE_SIZE,
                                     reader->base.info.etag);
    range->request->done = on_done;
    range->request->arg = range;
    reader->next += S3_READER_RANGE_SIZE;
    s3_request_start(range->request);
}

static void wait_for(struct s3_reader *reader, const struct range *range)
{
    pthread_mutex_lock(&reader->lock);
    while (!range->over) {
        pthread_cond_wait(&reader->changed, &reader->lock);
    }
    pthread_mutex_unlock(&reader->lock);
}

static void drop_first(struct s3_reader *reader)
{
    struct range *range = &reader->ranges[reader->first];

    s3_request_destroy(range->request);
    *range = (struct range){0};
    reader->first = (reader->first + 1) % S3_READER_AHEAD;
    reader->count--;
    reader->at = 0;
}

static void fill(struct s3_reader *reader)
{
    while (reader->count < S3_READER_AHEAD && reader->next < reader->base.info.size) {
        start_range(reader);
    }
}

// The bytes of the first range once they are there and checked; NULL on failure.
static const struct buffer *first_bytes(struct s3_reader *reader, struct error *err)
{
    struct range *range = &reader->ranges[reader->first];
    struct object_info info;

    wait_for(reader, range);
    if (range->error.code != ERROR_OK) {
        error_copy(err, &range->error);
        return NULL;
    }
    if (s3_range_check(
            range->request, range->offset, S3_READER_RANGE_SIZE, &info, err) != 0) {
        return NULL;
    }
    if (info.size != reader->base.info.size ||
        strcmp(info.etag, reader->base.info.etag) != 0) {
        error_set(err,
                  ERROR_ABORTED,
                  "%s: the object has changed while it was read",
                  reader->url);
        return NULL;
    }
    return &range->request->call.answer_body;
}

static ssize_t
read_some(struct object_reader *base, void *out, size_t size, struct error *err)
{
    struct s3_reader *reader = (struct s3_reader *)base;

    if (reader->count == 0 || size == 0) {
        return 0;
    }
    const struct buffer *bytes = first_bytes(reader, err);
    if (!bytes) {
        return -1;
    }
    size_t left = bytes->size - reader->at;
    size = size < left ? size : left;
    memcpy(out, bytes->data + reader->at, size);
    reader->at += size;
    if (reader->at == bytes->size) {
        drop_first(reader);
        fill(reader);
    }
    return (ssize_t)size;
}

static void close_reader(struct object_reader *base)
{
    struct s3_reader *reader = (struct s3_reader *)base;

    for (unsigned i = 0; i < S3_READER_AHEAD; i++) {
        if (reader->ranges[i].request) {
            s3_request_cancel(reader->ranges[i].request);
        }
    }
    while (reader->count > 0) {
        wait_for(reader, &reader->ranges[reader->first]);
        drop_first(reader);
    }
    (void)pthread_cond_destroy(&reader->changed);
    (void)pthread_mutex_destroy(&reader->lock);
    free(reader->url);
    free(reader);
}

// The first range tells what the object is. There is none at or behind its end.
static int open_first(struct s3_reader *reader, struct error *err)
{
    struct object_reader *base = &reader->base;
    const struct range *range = &reader->ranges[0];
    uint64_t offset = reader->next;

    start_range(reader);
    wait_for(reader, range);
    if (range->error.code == ERROR_OUT_OF_RANGE &&
        range->request->call.answer.status == 416) {
        drop_first(reader);
        return s3_stat(reader->service, reader->url, &base->info, err);
    }
    if (range->error.code != ERROR_OK) {
        return error_copy(err, &range->error);
    }
    if (s3_range_check(
            range->request, offset, S3_READER_RANGE_SIZE, &base->info, err) != 0) {
        return -1;
    }
    if (range->request->call.answer_body.size == 0) {
        drop_first(reader);
    } else {
        fill(reader);
    }
    return 0;
}

int s3_reader_open(struct s3_service *service,
                   const char *url,
                   uint64_t offset,
                   struct object_reader **out_reader,
                   struct error *err)
{
    struct s3_reader *reader = memory_zalloc(sizeof(*reader));

    reader->base.read = read_some;
    reader->base.close = close_reader;
    reader->service = service;
    reader->url = memory_strdup(url);
    reader->next = offset;
    (void)pthread_mutex_init(&reader->lock, NULL);
    (void)pthread_cond_init(&reader->changed, NULL);
    if (open_first(reader, err) != 0) {
        close_reader(&reader->base);
        return -1;
    }
    *out_reader = &reader->base;
    return 0;
}
