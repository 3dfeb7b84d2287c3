/* SPDX-License-Identifier: Apache-2.0 */
/* s3_range.c - how bytes of an S3 object are asked for, and whether they all came */
#include "common/s3_range.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct s3_request *s3_range_create(struct s3_service *service,
                                   const char *url,
                                   uint64_t offset,
                                   uint64_t size,
                                   const char *etag)
{
    struct s3_request *request = s3_request_create(service, "GET", url);
    char range[64];

    if (size != UINT64_MAX) {
        uint64_t last = size - 1 < UINT64_MAX - offset ? offset + size - 1 : UINT64_MAX;
        (void)snprintf(
            range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, offset, last);
        s3_request_add_header(request, "Range", range);
    } else if (offset > 0) {
        (void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", offset);
        s3_request_add_header(request, "Range", range);
    }
    if (*etag) {
        s3_request_add_header(request, "If-Match", etag);
    }
    request->call.answer_max = size;
    return request;
}

// "bytes 0-99/1000": false if it is not that.
static bool
parse_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
    char *end = NULL;

    if (strncmp(text, "bytes ", 6) != 0) {
        return false;
    }
    *first = strtoull(text + 6, &end, 10);
    if (*end != '-') {
        return false;
    }
    *last = strtoull(end + 1, &end, 10);
    if (*end != '/') {
        return false;
    }
    *total = strtoull(end + 1, &end, 10);
    return *end == '\0' && *first <= *last && *last < *total;
}

int s3_range_check(const struct s3_request *request,
                   uint64_t offset,
                   uint64_t size,
                   struct object_info *out_info,
                   struct error *err)
{
    const struct aws_answer *answer = &request->call.answer;
    uint64_t got = request->call.answer_body.size;
    uint64_t first = 0;
    uint64_t last = got - 1; // wraps for an empty object
    uint64_t total = got;

    if (answer->status == 206 && !parse_range(answer->range, &first, &last, &total)) {
        first = UINT64_MAX;
    }
    uint64_t left = total - offset; // no use if offset is behind the end
    if (first != offset || last - first + 1 != got ||
        got != (left < size ? left : size)) {
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "%s: expected bytes %" PRIu64
                         " and on, the store sent %" PRIu64
                         " bytes with status %ld and Content-Range '%s'",
                         request->url,
                         offset,
                         got,
                         answer->status,
                         answer->range);
    }
    out_info->size = total;
    memcpy(out_info->etag, answer->etag, sizeof(out_info->etag));
    return 0;
}
