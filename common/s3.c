/* SPDX-License-Identifier: Apache-2.0 */
/* s3.c - s3://bucket/key as a kind of store */
#include "common/s3.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/latch.h"
#include "common/s3_list.h"
#include "common/s3_range.h"
#include "common/s3_reader.h"
#include "common/s3_upload.h"

#define S3_BUCKET_SIZE_MAX 255 // of AWS's oldest region; everywhere else 63

static int malformed(const char *url, const char *expected, struct error *err)
{
    return error_set_kind(err,
                          ERROR_INVALID_ARGUMENT,
                          "aws.invalid_s3_path",
                          "%s: expected %s, such as s3://bucket/folder/file",
                          url,
                          expected);
}

static int check(const char *url, bool with_key, struct error *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    const char *bucket = url + strlen("s3://");
    size_t size = strcspn(bucket, "/");
    const char *key = bucket + size + (bucket[size] == '/');

    if (size == 0 || size > S3_BUCKET_SIZE_MAX || strspn(bucket, letters) != size) {
        return malformed(
            url, "a bucket's name of letters, digits, '-', '.' and '_'", err);
    }
    if (strlen(key) > OBJECT_KEY_SIZE_MAX) {
        return malformed(url, "a key of at most 1024 bytes", err);
    }
    return with_key && !*key ? malformed(url, "a key behind the bucket", err) : 0;
}

int s3_stat(struct s3_service *service,
            const char *url,
            struct object_info *out_info,
            struct error *err)
{
    struct s3_request *request = s3_request_create(service, "HEAD", url);
    const struct aws_answer *answer = &request->call.answer;
    int result = s3_request_run(request, err);

    // A HEAD that was refused comes back as a GET of the first byte.
    if (result == 0 && strcmp(request->method, "GET") == 0) {
        result = s3_range_check(request, 0, 1, out_info, err);
    } else if (result == 0 && answer->length < 0) {
        result = error_set(err, ERROR_INTERNAL, "%s: the store told no size", url);
    } else if (result == 0) {
        out_info->size = (uint64_t)answer->length;
        memcpy(out_info->etag, answer->etag, sizeof(out_info->etag));
    }
    s3_request_destroy(request);
    return result;
}

static int
stat_kind(void *self, const char *url, struct object_info *out_info, struct error *err)
{
    return s3_stat(self, url, out_info, err);
}

// No bytes are wanted or there: only what the object is.
static int get_nothing(struct s3_service *service,
                       const char *url,
                       const char *etag,
                       struct object_info *out_info,
                       struct error *err)
{
    struct object_info info;

    if (s3_stat(service, url, &info, err) != 0) {
        return -1;
    }
    if (*etag && strcmp(etag, info.etag) != 0) {
        return error_set(
            err, ERROR_ABORTED, "%s: the object has changed, it was %s", url, etag);
    }
    *out_info = info;
    return 0;
}

static int get(void *self,
               const char *url,
               uint64_t offset,
               uint64_t size,
               uint64_t size_max,
               const char *etag,
               struct buffer *out,
               struct object_info *out_info,
               struct error *err)
{
    struct error failure = {0};

    if (size == 0) {
        return get_nothing(self, url, etag, out_info, err);
    }
    struct s3_request *request = s3_range_create(self, url, offset, size, etag);
    struct buffer *body = &request->call.answer_body;
    request->call.answer_max = size_max < size ? size_max : size;
    int result = s3_request_run(request, &failure);
    if (result != 0 && failure.code == ERROR_OUT_OF_RANGE &&
        request->call.answer.status == 416) {
        result = get_nothing(self, url, etag, out_info, err);
    } else if (result != 0) {
        error_copy(err, &failure);
    } else {
        result = s3_range_check(request, offset, size, out_info, err);
        if (result == 0 && out->size == 0 && body->data) {
            struct buffer empty = *out;
            *out = *body;
            *body = empty;
        } else if (result == 0) {
            buffer_add(out, buffer_text(body), body->size);
        }
    }
    s3_request_destroy(request);
    return result;
}

struct put {
    struct s3_service *service;
    char *url;
    const void *data;
    size_t size;
    object_done_fn done;
    void *arg;
    struct error error;
};

static void end_put(struct put *put, const struct error *err)
{
    put->done(put->arg, err);
    free(put->url);
    free(put);
}

static void on_looked(struct s3_request *request, const struct error *err)
{
    struct put *put = request->arg;
    const struct buffer *body = &request->call.answer_body;
    bool there = !err && body->size == put->size &&
                 memcmp(buffer_text(body), put->data, put->size) == 0;

    s3_request_destroy(request);
    end_put(put, there ? NULL : &put->error);
}

/* What was tried more than once and has failed in the end may have been carried out,
 * and only the answer have been lost: whoever is told that it failed must not find it
 * there. */
static void on_put(struct s3_request *request, const struct error *err)
{
    struct put *put = request->arg;
    bool unsure = err && request->call.attempts > 0 && err->code != ERROR_CANCELLED;

    s3_request_destroy(request);
    if (!unsure) {
        end_put(put, err);
        return;
    }
    put->error = *err;
    struct s3_request *look = s3_request_create(put->service, "GET", put->url);
    look->call.answer_max = put->size + 1;
    look->done = on_looked;
    look->arg = put;
    s3_request_start(look);
}

static void put_start(void *self,
                      const char *url,
                      const void *data,
                      size_t size,
                      const char *content_type,
                      object_done_fn done,
                      void *arg)
{
    if (size >= OBJECT_MULTIPART_SIZE) {
        s3_upload_start(self, url, data, size, content_type, done, arg);
        return;
    }
    struct s3_request *request = s3_request_create(self, "PUT", url);
    struct put *put = memory_zalloc(sizeof(*put));
    *put = (struct put){.service = self,
                        .url = memory_strdup(url),
                        .data = data,
                        .size = size,
                        .done = done,
                        .arg = arg};
    if (content_type) {
        s3_request_add_header(request, "Content-Type", content_type);
    }
    s3_request_set_body(request, data, size);
    request->done = on_put;
    request->arg = put;
    s3_request_start(request);
}

static int put(void *self,
               const char *url,
               const void *data,
               size_t size,
               const char *content_type,
               struct error *err)
{
    struct latch latch = LATCH_INIT;

    put_start(self, url, data, size, content_type, latch_open, &latch);
    return latch_wait(&latch, err);
}

static int remove_object(void *self, const char *url, struct error *err)
{
    struct s3_request *request = s3_request_create(self, "DELETE", url);
    struct error failure = {0};
    int result = s3_request_run(request, &failure);

    if (result != 0 && strcmp(request->code, "NoSuchKey") == 0) {
        result = 0;
    } else if (result != 0) {
        error_copy(err, &failure);
    }
    s3_request_destroy(request);
    return result;
}

static int list_open(void *self,
                     const char *prefix_url,
                     const char *start_after,
                     struct object_list **out_list,
                     struct error *err)
{
    return s3_list_open(self, prefix_url, start_after, out_list, err);
}

static int reader_open(void *self,
                       const char *url,
                       uint64_t offset,
                       struct object_reader **out_reader,
                       struct error *err)
{
    return s3_reader_open(self, url, offset, out_reader, err);
}

const struct object_kind s3_kind = {
    .scheme = "s3://",
    .check = check,
    .stat = stat_kind,
    .get = get,
    .put = put,
    .put_start = put_start,
    .remove = remove_object,
    .list_open = list_open,
    .reader_open = reader_open,
};
