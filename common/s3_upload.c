/* SPDX-License-Identifier: Apache-2.0 */
/* s3_upload.c - how a large object is stored in parts */
#include "common/s3_upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/aws_xml.h"
#include "common/buffer.h"

#define UPLOAD_COMPLETE_PATIENCE 10 // joining the parts takes a while

struct upload {
    struct s3_service *service;
    char *url;
    const char *data;
    size_t size;
    object_done_fn done;
    void *arg;

    struct buffer id;
    size_t part_size;
    unsigned part_count;
    unsigned next_part; // from 0; the first that is not started
    unsigned running;
    char (*etags)[80];      // of the parts
    struct error error;     // the first part's that failed
    struct buffer document; // what completes the upload
};

struct part {
    struct upload *upload;
    unsigned number; // from 0
};

static void end(struct upload *upload, const struct error *err)
{
    upload->done(upload->arg, err);
    buffer_fini(&upload->id);
    buffer_fini(&upload->document);
    free(upload->etags);
    free(upload->url);
    free(upload);
}

static struct s3_request *request_of(struct upload *upload, const char *method)
{
    struct s3_request *request =
        s3_request_create(upload->service, method, upload->url);

    s3_request_add_query(request, "uploadId", buffer_text(&upload->id));
    request->arg = upload;
    return request;
}

static void on_looked(struct s3_request *request, const struct error *err)
{
    struct upload *upload = request->arg;
    const struct aws_answer *answer = &request->call.answer;
    char mark[16];

    (void)snprintf(mark, sizeof(mark), "-%u\"", upload->part_count);
    size_t length = strlen(answer->etag);
    bool ours = !err && answer->length == (int64_t)upload->size &&
                length > strlen(mark) &&
                strcmp(answer->etag + length - strlen(mark), mark) == 0;
    s3_request_destroy(request);
    end(upload, ours ? NULL : &upload->error);
}

// An upload that is unknown may be one whose completion was lost on its way to us.
static void look(struct upload *upload)
{
    struct s3_request *request =
        s3_request_create(upload->service, "HEAD", upload->url);

    request->arg = upload;
    request->done = on_looked;
    s3_request_start(request);
}

static bool is_unknown(const struct s3_request *request)
{
    return strcmp(request->code, "NoSuchUpload") == 0;
}

// What failed first is what is told.
static void on_aborted(struct s3_request *request, const struct error *err)
{
    struct upload *upload = request->arg;
    bool again = err && is_unknown(request);

    s3_request_destroy(request);
    if (again) {
        look(upload);
    } else {
        end(upload, &upload->error);
    }
}

static void abort_upload(struct upload *upload)
{
    struct s3_request *request = request_of(upload, "DELETE");

    request->done = on_aborted;
    s3_request_start(request);
}

static void on_completed(struct s3_request *request, const struct error *err)
{
    struct upload *upload = request->arg;
    bool again = request->call.attempts > 0 && is_unknown(request);

    s3_request_destroy(request);
    if (!err) {
        end(upload, NULL);
        return;
    }
    upload->error = *err;
    if (again) {
        look(upload);
    } else {
        abort_upload(upload);
    }
}

static void complete(struct upload *upload)
{
    struct s3_request *request = request_of(upload, "POST");

    buffer_add_text(&upload->document, "<CompleteMultipartUpload>");
    for (unsigned i = 0; i < upload->part_count; i++) {
        buffer_add_format(
            &upload->document, "<Part><PartNumber>%u</PartNumber><ETag>", i + 1);
        aws_xml_add_text(&upload->document, upload->etags[i]);
        buffer_add_text(&upload->document, "</ETag></Part>");
    }
    buffer_add_text(&upload->document, "</CompleteMultipartUpload>");
    s3_request_add_header(request, "Content-Type", "application/xml");
    s3_request_set_body(request, upload->document.data, upload->document.size);
    request->error_in_200 = true;
    request->call.patience = UPLOAD_COMPLETE_PATIENCE;
    request->done = on_completed;
    s3_request_start(request);
}

static void start_parts(struct upload *upload);

static void on_part(struct s3_request *request, const struct error *err)
{
    struct part *part = request->arg;
    struct upload *upload = part->upload;

    if (!err && !*request->call.answer.etag) {
        error_set(&upload->error,
                  ERROR_INTERNAL,
                  "%s: the store gave no ETag for part %u",
                  upload->url,
                  part->number + 1);
    } else if (!err) {
        memcpy(upload->etags[part->number],
               request->call.answer.etag,
               sizeof(upload->etags[0]));
    } else if (upload->error.code == ERROR_OK) {
        upload->error = *err;
    }
    upload->running--;
    free(part);
    s3_request_destroy(request);
    start_parts(upload);
}

static void start_part(struct upload *upload)
{
    struct s3_request *request = request_of(upload, "PUT");
    struct part *part = memory_zalloc(sizeof(*part));
    size_t offset = upload->next_part * upload->part_size;
    size_t left = upload->size - offset;
    char number[16];

    *part = (struct part){upload, upload->next_part++};
    (void)snprintf(number, sizeof(number), "%u", part->number + 1);
    s3_request_add_query(request, "partNumber", number);
    s3_request_set_body(request,
                        upload->data + offset,
                        left < upload->part_size ? left : upload->part_size);
    request->arg = part;
    request->done = on_part;
    upload->running++;
    s3_request_start(request);
}

static void start_parts(struct upload *upload)
{
    bool failed = upload->error.code != ERROR_OK;

    while (!failed && upload->running < S3_UPLOAD_PARTS_AT_ONCE &&
           upload->next_part < upload->part_count) {
        start_part(upload);
    }
    if (upload->running > 0) {
        return;
    }
    if (failed) {
        abort_upload(upload);
    } else {
        complete(upload);
    }
}

static void on_created(struct s3_request *request, const struct error *err)
{
    struct upload *upload = request->arg;

    if (err) {
        upload->error = *err;
    } else {
        aws_xml_find(buffer_text(&request->call.answer_body),
                     request->call.answer_body.size,
                     "UploadId",
                     &upload->id);
        if (upload->id.size == 0) {
            error_set(&upload->error,
                      ERROR_INTERNAL,
                      "%s: the store gave no UploadId",
                      upload->url);
        }
    }
    s3_request_destroy(request);
    if (upload->error.code != ERROR_OK) {
        end(upload, &upload->error);
    } else {
        start_parts(upload);
    }
}

void s3_upload_start(struct s3_service *service,
                     const char *url,
                     const void *data,
                     size_t size,
                     const char *content_type,
                     object_done_fn done,
                     void *arg)
{
    struct upload *upload = memory_zalloc(sizeof(*upload));
    struct s3_request *request = s3_request_create(service, "POST", url);
    size_t least = (size + S3_UPLOAD_PARTS_MAX - 1) / S3_UPLOAD_PARTS_MAX;

    upload->service = service;
    upload->url = memory_strdup(url);
    upload->data = data;
    upload->size = size;
    upload->done = done;
    upload->arg = arg;
    upload->part_size = least > S3_UPLOAD_PART_SIZE ? least : S3_UPLOAD_PART_SIZE;
    upload->part_count = (unsigned)((size + upload->part_size - 1) / upload->part_size);
    upload->etags = memory_zalloc(upload->part_count * sizeof(upload->etags[0]));
    s3_request_add_query(request, "uploads", "");
    if (content_type) {
        s3_request_add_header(request, "Content-Type", content_type);
    }
    request->error_in_200 = true;
    request->arg = upload;
    request->done = on_created;
    s3_request_start(request);
}
