/* SPDX-License-Identifier: Apache-2.0 */
/* aws_curl.c - how one call stands in libcurl */
#include "common/aws_curl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TRANSFER_BUFFER (256L << 10)

static size_t on_send(char *out, size_t size, size_t count, void *arg)
{
    struct aws_curl *curl = arg;
    size_t left = curl->call->body_size - curl->sent;
    size_t part = size * count < left ? size * count : left;

    if (part > 0) {
        memcpy(out, (const char *)curl->call->body + curl->sent, part);
    }
    curl->sent += part;
    return part;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct aws_curl *curl = arg;

    if (origin != SEEK_SET || (size_t)offset > curl->call->body_size) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    curl->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool success(long status)
{
    return status >= 200 && status < 300;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct aws_curl *curl = arg;
    struct aws_call *call = curl->call;
    size_t more = size * count;
    long status = 0;

    (void)curl_easy_getinfo(curl->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!success(status)) {
        size_t room = AWS_TRANSFER_REFUSAL_MAX - call->answer_body.size;
        buffer_add(&call->answer_body, data, more < room ? more : room);
        return more;
    }
    uint64_t length = call->answer.length > 0 ? (uint64_t)call->answer.length : 0;
    if (length > call->answer_max || more > call->answer_max - call->answer_body.size) {
        curl->too_large = true;
        return 0;
    }
    if (call->answer_body.size == 0 && length > more) {
        (void)buffer_reserve(&call->answer_body, (size_t)length);
    }
    buffer_add(&call->answer_body, data, more);
    return more;
}

static void copy_value(const char *text, size_t size, char *out, size_t out_size)
{
    while (size > 0 && strchr(" \t\r\n", text[size - 1])) {
        size--;
    }
    while (size > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        size--;
    }
    (void)snprintf(out, out_size, "%.*s", (int)size, text);
}

// Keeps the headers that matter; a second status line (after 100 Continue) begins anew.
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct aws_curl *curl = arg;
    struct aws_answer *answer = &curl->call->answer;
    size_t length = size * count;
    char text[48];
    const struct {
        const char *name;
        char *out;
        size_t size;
    } rows[] = {
        {"etag:", answer->etag, sizeof(answer->etag)},
        {"content-range:", answer->range, sizeof(answer->range)},
        {"x-amz-bucket-region:", answer->region, sizeof(answer->region)},
        {"date:", text, sizeof(text)},
        {"content-length:", text, sizeof(text)},
    };

    if (length > 5 && strncmp(line, "HTTP/", 5) == 0) {
        *answer = (struct aws_answer){.length = -1, .date_s = -1};
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t name = strlen(rows[i].name);
        if (length > name && strncasecmp(line, rows[i].name, name) == 0) {
            copy_value(line + name, length - name, rows[i].out, rows[i].size);
            if (*rows[i].name == 'd') {
                answer->date_s = (int64_t)curl_getdate(text, NULL);
            } else if (rows[i].out == text) {
                answer->length = strtoll(text, NULL, 10);
            }
        }
    }
    return length;
}

static void set_method(struct aws_curl *curl)
{
    const struct aws_call *call = curl->call;
    CURL *easy = curl->easy;

    if (strcmp(call->method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (strcmp(call->method, "PUT") == 0 || strcmp(call->method, "POST") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
        (void)curl_easy_setopt(easy, CURLOPT_READDATA, curl);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, curl);
        (void)curl_easy_setopt(
            easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_size);
    }
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_limits(struct aws_curl *curl, const struct aws_curl_options *options)
{
    unsigned patience = curl->call->patience ? curl->call->patience : 1;
    CURL *easy = curl->easy;

    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(
        easy, CURLOPT_CONNECTTIMEOUT_MS, (long)AWS_TRANSFER_CONNECT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)AWS_TRANSFER_SPEED_MIN);
    (void)curl_easy_setopt(
        easy, CURLOPT_LOW_SPEED_TIME, (long)(options->stall_s * patience));
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, TRANSFER_BUFFER);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER);
    if (options->ca_file) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

void aws_curl_set(struct aws_curl *curl,
                  struct aws_call *call,
                  const struct aws_curl_options *options)
{
    CURL *easy = curl->easy;

    curl->call = call;
    curl->sent = 0;
    curl->too_large = false;
    curl->reason[0] = '\0';
    buffer_clear(&call->answer_body);
    call->answer = (struct aws_answer){.length = -1, .date_s = -1};
    curl_easy_reset(easy);
    set_limits(curl, options);
    set_method(curl);
    for (size_t at = 0; at < call->headers.size;) {
        const char *line = call->headers.data + at;
        curl->headers = curl_slist_append(curl->headers, line);
        at += strlen(line) + 1;
    }
    (void)curl_easy_setopt(easy, CURLOPT_URL, buffer_text(&call->url));
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, curl->headers);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, curl);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, curl);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, curl->reason);
}

void aws_curl_clear(struct aws_curl *curl)
{
    curl_slist_free_all(curl->headers);
    curl->headers = NULL;
}
