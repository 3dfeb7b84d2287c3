/* SPDX-License-Identifier: Apache-2.0 */
/* aws_http.c - one small HTTP exchange, waited for */
#include "common/aws_http.h"

#include <string.h>

#include <curl/curl.h>

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct buffer *out = arg;

    if (size * count > AWS_HTTP_ANSWER_SIZE_MAX - out->size) {
        return 0;
    }
    buffer_add(out, data, size * count);
    return size * count;
}

static void set_options(CURL *easy, const struct aws_http *http)
{
    (void)curl_easy_setopt(easy, CURLOPT_URL, http->url);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)http->timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)http->timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    if (strcmp(http->method, "GET") != 0) {
        const char *body = http->body ? http->body : "";
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http->method);
    }
    if (http->no_proxy) {
        (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
    if (http->ca_file) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

int aws_http_run(const struct aws_http *http,
                 long *out_status,
                 struct buffer *out_body,
                 struct error *err)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = NULL;
    struct buffer body = BUFFER_INIT;
    char reason[CURL_ERROR_SIZE] = "";

    if (!easy) {
        return error_set(err, ERROR_INTERNAL, "%s: libcurl does not start", http->url);
    }
    for (size_t i = 0; http->headers && http->headers[i]; i++) {
        headers = curl_slist_append(headers, http->headers[i]);
    }
    set_options(easy, http);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
    CURLcode code = curl_easy_perform(easy);
    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, out_status);
        buffer_add(out_body, buffer_text(&body), body.size);
    } else {
        error_set(err,
                  ERROR_UNAVAILABLE,
                  "%s: no answer: %s",
                  http->url,
                  *reason ? reason : curl_easy_strerror(code));
    }
    buffer_fini(&body);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return code == CURLE_OK ? 0 : -1;
}
