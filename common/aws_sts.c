/* SPDX-License-Identifier: Apache-2.0 */
/* aws_sts.c - how keys for a role are asked for */
#include "common/aws_sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/aws_http.h"
#include "common/aws_sign.h"
#include "common/aws_xml.h"
#include "common/buffer.h"
#include "common/clock.h"

#define STS_CONTENT_TYPE   "application/x-www-form-urlencoded; charset=utf-8"
#define STS_CONTENT_HEADER ("Content-Type: " STS_CONTENT_TYPE)

int64_t aws_sts_time(const char *text)
{
    struct tm tm = {0};

    return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : 0;
}

static void add_field(struct buffer *form, const char *name, const char *value)
{
    if (value) {
        buffer_add_format(form, "&%s=", name);
        aws_sign_encode(form, value, false);
    }
}

static char *form_of(const struct aws_sts_request *request)
{
    struct buffer form = BUFFER_INIT;

    buffer_add_format(&form,
                      "Action=%s&Version=2011-06-15",
                      request->caller ? "AssumeRole" : "AssumeRoleWithWebIdentity");
    add_field(&form, "RoleArn", request->role_arn);
    add_field(&form,
              "RoleSessionName",
              request->session_name ? request->session_name : "cortex");
    add_field(&form, "ExternalId", request->external_id);
    add_field(&form, "DurationSeconds", request->duration_s);
    add_field(&form, "WebIdentityToken", request->web_identity_token);
    return buffer_take(&form);
}

// Where the service is: "https://sts.eu-west-1.amazonaws.com/" and its host.
static char *url_of(const struct aws_settings *settings, const char *region)
{
    const char *endpoint = aws_settings_endpoint(settings, "STS");

    if (endpoint) {
        size_t length = strlen(endpoint);
        bool slash = endpoint[length - 1] == '/';
        return memory_format("%s%s", endpoint, slash ? "" : "/");
    }
    return memory_format("https://sts.%s.amazonaws.com%s/",
                         region,
                         strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

// The headers that sign the form; the caller frees them up to the NULL.
static void sign(const char *url,
                 const char *region,
                 const char *form,
                 const struct aws_credentials *caller,
                 char *out[5])
{
    const char *authority = strstr(url, "://");
    char *host = memory_strdup(authority ? authority + 3 : url);
    char hash[AWS_SIGN_HASH_SIZE];
    struct aws_sign_result result = {0};
    const struct aws_sign_key key = {
        caller->access_key, caller->secret_key, caller->session_token};

    host[strcspn(host, "/")] = '\0';
    aws_sign_hash(form, strlen(form), hash);
    const struct aws_sign_pair headers[] = {
        {"Host", host},
        {"Content-Type", STS_CONTENT_TYPE},
    };
    const char *path = authority ? strchr(authority + 3, '/') : NULL;
    const struct aws_sign_request request = {
        .flags = AWS_SIGN_GENERIC,
        .method = "POST",
        .path = path ? path : "/",
        .headers = headers,
        .header_count = 2,
        .payload_hash = hash,
        .region = region,
        .service = "sts",
        .time_s = clock_wall_ms() / 1000,
    };
    aws_sign_header(&request, &key, &result);
    out[0] = memory_format("Host: %s", host);
    out[1] = memory_format("X-Amz-Date: %s", result.date);
    out[2] = memory_format("Authorization: %s", buffer_text(&result.authorization));
    out[3] = caller->session_token
                 ? memory_format("X-Amz-Security-Token: %s", caller->session_token)
                 : NULL;
    aws_sign_result_fini(&result);
    free(host);
}

struct answer {
    struct aws_credentials *out;
    struct buffer code;
    struct buffer message;
};

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path);
    size_t size = strlen(end);

    return size <= length && strcmp(path + length - size, end) == 0;
}

static void keep(char **target, const char *text)
{
    free(*target);
    *target = memory_strdup(text);
}

static void on_element(void *arg, const char *path, const char *text)
{
    struct answer *answer = arg;

    if (!text) {
        return;
    }
    if (ends_with(path, "Credentials/AccessKeyId")) {
        keep(&answer->out->access_key, text);
    } else if (ends_with(path, "Credentials/SecretAccessKey")) {
        keep(&answer->out->secret_key, text);
    } else if (ends_with(path, "Credentials/SessionToken")) {
        keep(&answer->out->session_token, text);
    } else if (ends_with(path, "Credentials/Expiration")) {
        answer->out->expires_s = aws_sts_time(text);
    } else if (strcmp(path, "Error/Code") == 0) {
        buffer_add_text(&answer->code, text);
    } else if (strcmp(path, "Error/Message") == 0) {
        buffer_add_text(&answer->message, text);
    }
}

static int take(const struct aws_sts_request *request,
                long status,
                const struct buffer *body,
                struct aws_credentials *out,
                struct error *err)
{
    struct aws_credentials got = {0};
    struct answer answer = {.out = &got};
    int result = 0;

    (void)aws_xml_read(
        buffer_text(body), body->size, on_element, &answer, NULL, NULL); // told below
    if (status == 200 && got.access_key && got.secret_key && got.session_token) {
        (void)snprintf(got.source, sizeof(got.source), "role %s", request->role_arn);
        *out = got;
    } else {
        result = error_set(err,
                           status >= 500 || status == 429 ? ERROR_UNAVAILABLE
                                                          : ERROR_UNAUTHENTICATED,
                           "the role %s was not given: status %ld %s: %s",
                           request->role_arn,
                           status,
                           buffer_text(&answer.code),
                           buffer_text(&answer.message));
        aws_credentials_fini(&got);
    }
    buffer_fini(&answer.code);
    buffer_fini(&answer.message);
    return result;
}

int aws_sts_assume(const struct aws_settings *settings,
                   const struct aws_sts_request *request,
                   struct aws_credentials *out,
                   struct error *err)
{
    const char *region = aws_settings_region(settings);
    region = region ? region : "us-east-1";
    char *url = url_of(settings, region);
    char *form = form_of(request);
    char *signs[5] = {NULL};
    struct buffer body = BUFFER_INIT;
    long status = 0;

    if (request->caller) {
        sign(url, region, form, request->caller, signs);
    }
    const char *const headers[] = {
        STS_CONTENT_HEADER, signs[0], signs[1], signs[2], signs[3], NULL};
    const struct aws_http http = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = form,
        .ca_file = aws_settings_ca_bundle(settings),
        .timeout_ms = AWS_STS_TIMEOUT_MS,
    };
    int result = aws_http_run(&http, &status, &body, err);
    if (result == 0) {
        result = take(request, status, &body, out, err);
    }
    for (size_t i = 0; i < 4; i++) {
        free(signs[i]);
    }
    buffer_fini(&body);
    free(form);
    free(url);
    return result;
}
