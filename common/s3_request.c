/* SPDX-License-Identifier: Apache-2.0 */
/* s3_request.c - how one request is put to S3, and what its answer means */
#include "common/s3_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/aws_xml.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/latch.h"

#define REQUEST_DETOURS_MAX 4  // to other regions and from HEAD to GET
#define REQUEST_REGIONS     64 // buckets whose region is remembered

struct bucket_region {
    char *bucket;
    char region[AWS_ACCOUNT_REGION_SIZE];
};

struct s3_service {
    struct aws_transfer *transfer;
    struct aws_account *account;

    /* Used on the I/O thread only. */
    struct bucket_region regions[REQUEST_REGIONS]; // a ring
    size_t region_next;
    int64_t clock_ahead_s; // the server's clock against ours
};

static void on_account_changed(void *arg)
{
    struct s3_service *service = arg;

    aws_transfer_kick(service->transfer);
}

int s3_service_create(const struct aws_transfer_options *options,
                      struct pool *pool,
                      struct s3_service **out_service,
                      struct error *err)
{
    struct s3_service *service = memory_zalloc(sizeof(*service));

    if (aws_transfer_create(options, &service->transfer, err) != 0) {
        free(service);
        return -1;
    }
    service->account = aws_account_create(pool, on_account_changed, service);
    *out_service = service;
    return 0;
}

void s3_service_stop(struct s3_service *service)
{
    aws_transfer_stop(service->transfer);
}

void s3_service_destroy(struct s3_service *service)
{
    aws_transfer_destroy(service->transfer);
    aws_account_destroy(service->account);
    for (size_t i = 0; i < REQUEST_REGIONS; i++) {
        free(service->regions[i].bucket);
    }
    free(service);
}

static int64_t now_s(const struct s3_service *service)
{
    return clock_wall_ms() / 1000 + service->clock_ahead_s;
}

static const char *region_of(const struct s3_service *service, const char *bucket)
{
    for (size_t i = 0; i < REQUEST_REGIONS; i++) {
        const struct bucket_region *row = &service->regions[i];
        if (row->bucket && strcmp(row->bucket, bucket) == 0) {
            return row->region;
        }
    }
    return NULL;
}

static void
set_region(struct s3_service *service, const char *bucket, const char *region)
{
    struct bucket_region *row = NULL;

    for (size_t i = 0; i < REQUEST_REGIONS && !row; i++) {
        if (service->regions[i].bucket &&
            strcmp(service->regions[i].bucket, bucket) == 0) {
            row = &service->regions[i];
        }
    }
    if (!row) {
        row = &service->regions[service->region_next++ % REQUEST_REGIONS];
        free(row->bucket);
        row->bucket = memory_strdup(bucket);
    }
    (void)snprintf(row->region, sizeof(row->region), "%s", region);
}

/* Where a request goes. */
struct address {
    bool tls;
    char *host;
    char *path; // not encoded
};

static void address_fini(struct address *address)
{
    free(address->host);
    free(address->path);
}

static int endpoint_address(const char *endpoint,
                            const struct s3_request *request,
                            struct address *out,
                            struct error *err)
{
    bool tls = strncmp(endpoint, "https://", 8) == 0;

    if (!tls && strncmp(endpoint, "http://", 7) != 0) {
        return error_set(
            err,
            ERROR_INVALID_ARGUMENT,
            "the S3 endpoint: expected http://... or https://..., got '%s'",
            endpoint);
    }
    const char *host = endpoint + (tls ? 8 : 7);
    size_t host_size = strcspn(host, "/");
    size_t base_size = strlen(host + host_size);
    while (base_size > 0 && host[host_size + base_size - 1] == '/') {
        base_size--;
    }
    out->tls = tls;
    out->host = memory_strndup(host, host_size);
    out->path = memory_format("%.*s/%s%s%s",
                              (int)base_size,
                              host + host_size,
                              request->bucket,
                              *request->key ? "/" : "",
                              request->key);
    return 0;
}

// A dot in the bucket's name has no place in AWS's certificate: path style then.
static void
aws_address(const char *region, const struct s3_request *request, struct address *out)
{
    const char *suffix = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";

    out->tls = true;
    if (strchr(request->bucket, '.')) {
        out->host = memory_format("s3.%s.amazonaws.com%s", region, suffix);
        out->path = memory_format(
            "/%s%s%s", request->bucket, *request->key ? "/" : "", request->key);
    } else {
        out->host =
            memory_format("%s.s3.%s.amazonaws.com%s", request->bucket, region, suffix);
        out->path = memory_format("/%s", request->key);
    }
}

static int find_address(const struct s3_request *request,
                        const struct aws_settings *settings,
                        struct address *out,
                        struct error *err)
{
    const char *endpoint = aws_settings_endpoint(settings, "S3");

    if (endpoint) {
        return endpoint_address(endpoint, request, out, err);
    }
    aws_address(request->region, request, out);
    return 0;
}

// TLS keeps the body whole; without it the server checks it by its hash.
static void hash_payload(struct s3_request *request, bool tls)
{
    if (*request->payload_hash) {
        return;
    }
    if (tls && request->call.body_size > 0) {
        memcpy(request->payload_hash,
               AWS_SIGN_UNSIGNED_PAYLOAD,
               sizeof(AWS_SIGN_UNSIGNED_PAYLOAD));
    } else {
        aws_sign_hash(request->call.body ? request->call.body : "",
                      request->call.body_size,
                      request->payload_hash);
    }
}

static void sign(struct s3_request *request,
                 const struct address *address,
                 const struct aws_credentials *keys)
{
    struct aws_call *call = &request->call;
    struct aws_sign_pair headers[S3_REQUEST_PAIRS_MAX + 1];
    struct aws_sign_result result = {0};
    const struct aws_sign_key key = {
        keys->access_key, keys->secret_key, keys->session_token};

    headers[0] = (struct aws_sign_pair){"Host", address->host};
    memcpy(&headers[1], request->headers, sizeof(request->headers));
    const struct aws_sign_request sign = {
        .flags = AWS_SIGN_S3,
        .method = request->method,
        .path = address->path,
        .query = request->query,
        .query_count = request->query_count,
        .headers = headers,
        .header_count = request->header_count + 1,
        .payload_hash = request->payload_hash,
        .region = request->region,
        .service = "s3",
        .time_s = now_s(request->service),
    };
    aws_sign_header(&sign, &key, &result);
    buffer_add_format(
        &call->url, "%s://%s", address->tls ? "https" : "http", address->host);
    aws_sign_encode(&call->url, address->path, true);
    if (result.query.size > 0) {
        buffer_add_format(&call->url, "?%s", buffer_text(&result.query));
    }
    for (size_t i = 0; i < sign.header_count; i++) {
        aws_call_add_header(call, headers[i].name, headers[i].value);
    }
    aws_call_add_header(call, "x-amz-date", result.date);
    aws_call_add_header(call, "x-amz-content-sha256", request->payload_hash);
    if (keys->session_token) {
        aws_call_add_header(call, "x-amz-security-token", keys->session_token);
    }
    aws_call_add_header(call, "Authorization", buffer_text(&result.authorization));
    aws_sign_result_fini(&result);
}

static enum aws_ready prepare(struct aws_call *call, struct error *err)
{
    struct s3_request *request = (struct s3_request *)call;
    struct s3_service *service = request->service;
    struct aws_account_view view;
    struct address address = {0};
    int got = aws_account_get(service->account, now_s(service), &view, err);

    if (got <= 0) {
        return got == 0 ? AWS_READY_WAIT : AWS_READY_FAIL;
    }
    const char *region = region_of(service, request->bucket);
    (void)snprintf(
        request->region, sizeof(request->region), "%s", region ? region : view.region);
    free(request->access_key);
    request->access_key = memory_strdup(view.credentials.access_key);
    memcpy(request->source, view.credentials.source, sizeof(request->source));
    int result = find_address(request, view.settings, &address, err);
    if (result == 0) {
        call->method = request->method;
        hash_payload(request, address.tls);
        sign(request, &address, &view.credentials);
        aws_transfer_set_ca(service->transfer, aws_settings_ca_bundle(view.settings));
    }
    address_fini(&address);
    aws_credentials_fini(&view.credentials);
    return result == 0 ? AWS_READY_GO : AWS_READY_FAIL;
}

/* What the body of a refusal says. */
struct refusal {
    struct buffer code;
    struct buffer message;
    struct buffer region;
};

static void on_element(void *arg, const char *path, const char *text)
{
    struct refusal *refusal = arg;
    const struct {
        const char *path;
        struct buffer *out;
    } rows[] = {
        {"Code", &refusal->code},
        {"Message", &refusal->message},
        {"Region", &refusal->region},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (text && strcmp(path, rows[i].path) == 0 && rows[i].out->size == 0) {
            buffer_add_text(rows[i].out, text);
        }
    }
}

static void refusal_fini(struct refusal *refusal)
{
    buffer_fini(&refusal->code);
    buffer_fini(&refusal->message);
    buffer_fini(&refusal->region);
}

// The name of the document's root, which the caller frees; NULL: it is no XML.
static char *read_refusal(const struct aws_call *call, struct refusal *out)
{
    char *root = NULL;

    (void)aws_xml_read(buffer_text(&call->answer_body),
                       call->answer_body.size,
                       on_element,
                       out,
                       &root,
                       NULL);
    return root;
}

// Another region than we signed for: true if it is worth asking there.
static bool turn_region(struct s3_request *request, const struct refusal *refusal)
{
    long status = request->call.answer.status;
    const char *region = *request->call.answer.region ? request->call.answer.region
                                                      : buffer_text(&refusal->region);

    if ((status != 301 && status != 307 && status != 400) || !*region ||
        strcmp(region, request->region) == 0) {
        return false;
    }
    set_region(request->service, request->bucket, region);
    return true;
}

// A HEAD's refusal has no body that says why: the first byte is asked for.
static bool turn_to_get(struct s3_request *request)
{
    long status = request->call.answer.status;

    if (strcmp(request->method, "HEAD") != 0 || status < 400 || status >= 500) {
        return false;
    }
    request->method = "GET";
    s3_request_add_header(request, "Range", "bytes=0-0");
    return true;
}

static bool turn_clock(struct s3_request *request, const char *code)
{
    int64_t date_s = request->call.answer.date_s;

    if (strcmp(code, "RequestTimeTooSkewed") != 0 || request->clock_corrected ||
        date_s < 0) {
        return false;
    }
    request->service->clock_ahead_s = date_s - clock_wall_ms() / 1000;
    request->clock_corrected = true;
    return true;
}

static bool turn_keys(struct s3_request *request, const char *code)
{
    if (strcmp(code, "ExpiredToken") != 0 || request->renewed) {
        return false;
    }
    aws_account_drop(request->service->account, request->access_key);
    request->renewed = true;
    return true;
}

enum refusal_kind {
    REFUSAL_PLAIN,
    REFUSAL_BUCKET,
    REFUSAL_KEY,
    REFUSAL_ACCESS,
    REFUSAL_CHANGED,
};

/* What a refusal means, by its code or else by its status; the first row that fits. */
static const struct {
    const char *code; // "": any
    long status;      // 0: any
    enum error_code error;
    bool retry;
    enum refusal_kind kind;
} meanings[] = {
    {"NoSuchBucket", 0, ERROR_NOT_FOUND, false, REFUSAL_BUCKET},
    {"NoSuchKey", 0, ERROR_NOT_FOUND, false, REFUSAL_KEY},
    {"RequestTimeout", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"RequestTimeTooSkewed", 0, ERROR_FAILED_PRECONDITION, false, REFUSAL_PLAIN},
    {"SlowDown", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"InternalError", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"ServiceUnavailable", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"Throttling", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"RequestLimitExceeded", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"OperationAborted", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"TemporaryRedirect", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"IncompleteBody", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"BadDigest", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"XAmzContentSHA256Mismatch", 0, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"", 401, ERROR_PERMISSION_DENIED, false, REFUSAL_ACCESS},
    {"", 403, ERROR_PERMISSION_DENIED, false, REFUSAL_ACCESS},
    {"", 404, ERROR_NOT_FOUND, false, REFUSAL_PLAIN},
    {"", 408, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"", 412, ERROR_ABORTED, false, REFUSAL_CHANGED},
    {"", 416, ERROR_OUT_OF_RANGE, false, REFUSAL_PLAIN},
    {"", 429, ERROR_UNAVAILABLE, true, REFUSAL_PLAIN},
    {"", 501, ERROR_UNIMPLEMENTED, false, REFUSAL_PLAIN},
    {"", 0, ERROR_INVALID_ARGUMENT, false, REFUSAL_PLAIN},
};

static size_t find_meaning(const char *code, long status)
{
    size_t i = 0;

    while ((*meanings[i].code && strcmp(meanings[i].code, code) != 0) ||
           (meanings[i].status && meanings[i].status != status)) {
        i++;
    }
    return i;
}

static void say(const struct s3_request *request,
                const struct refusal *refusal,
                enum error_code code,
                enum refusal_kind kind,
                struct error *err)
{
    char words[400];

    (void)snprintf(words,
                   sizeof(words),
                   "status %ld%s%s%s%.300s",
                   request->call.answer.status,
                   *request->code ? " " : "",
                   request->code,
                   refusal->message.size ? ": " : "",
                   buffer_text(&refusal->message));
    switch (kind) {
    case REFUSAL_BUCKET:
        error_set(err,
                  code,
                  "the bucket '%s' does not exist, check its name (%s)",
                  request->bucket,
                  words);
        break;
    case REFUSAL_KEY:
        error_set(err,
                  code,
                  "there is no such object in the bucket '%s' (%s)",
                  request->bucket,
                  words);
        break;
    case REFUSAL_CHANGED:
        error_set(err, code, "the object has changed while it was read (%s)", words);
        break;
    case REFUSAL_ACCESS:
        error_set(err,
                  code,
                  "the bucket '%s' refuses access with the credentials from %s, check "
                  "its policy and theirs (%s)",
                  request->bucket,
                  request->source,
                  words);
        break;
    case REFUSAL_PLAIN:
        error_set(err,
                  code,
                  "the store of the bucket '%s' answered %s",
                  request->bucket,
                  words);
        break;
    }
}

static enum aws_verdict
refuse(struct s3_request *request, const struct refusal *refusal, struct error *err)
{
    const char *code = buffer_text(&refusal->code);
    long status = request->call.answer.status;

    (void)snprintf(request->code, sizeof(request->code), "%s", code);
    if (request->detours < REQUEST_DETOURS_MAX &&
        (turn_region(request, refusal) || turn_clock(request, code) ||
         turn_keys(request, code) || turn_to_get(request))) {
        request->detours++;
        return AWS_VERDICT_AGAIN;
    }
    size_t i = find_meaning(code, status);
    bool broken = !*meanings[i].code && status >= 500 && status != 501;
    say(request,
        refusal,
        broken ? ERROR_UNAVAILABLE : meanings[i].error,
        meanings[i].kind,
        err);
    return broken || meanings[i].retry ? AWS_VERDICT_RETRY : AWS_VERDICT_DONE;
}

static enum aws_verdict judge(struct aws_call *call, struct error *err)
{
    struct s3_request *request = (struct s3_request *)call;
    struct refusal refusal = {0};
    bool success = call->answer.status >= 200 && call->answer.status < 300;
    enum aws_verdict verdict = AWS_VERDICT_DONE;

    request->code[0] = '\0';
    if (success && !request->error_in_200) {
        return verdict;
    }
    char *root = read_refusal(call, &refusal);
    if (!success || (root && strcmp(root, "Error") == 0)) {
        verdict = refuse(request, &refusal, err);
    } else if (!root) {
        error_set(err, ERROR_UNAVAILABLE, "expected an XML document, got none");
        verdict = AWS_VERDICT_RETRY;
    }
    free(root);
    refusal_fini(&refusal);
    return verdict;
}

static void on_done(struct aws_call *call, const struct error *err)
{
    struct s3_request *request = (struct s3_request *)call;
    struct error whole = {0};

    if (err) {
        error_copy(&whole, err);
        error_wrap(&whole, "%s", request->subject ? request->subject : request->url);
    }
    request->done(request, err ? &whole : NULL);
}

struct s3_request *
s3_request_create(struct s3_service *service, const char *method, const char *url)
{
    struct s3_request *request = memory_zalloc(sizeof(*request));

    request->service = service;
    request->method = method;
    request->url = memory_strdup(url);
    const char *bucket = request->url + strlen("s3://");
    size_t size = strcspn(bucket, "/");
    request->bucket = memory_strndup(bucket, size);
    request->key = bucket[size] == '/' ? bucket + size + 1 : "";
    request->call.prepare = prepare;
    request->call.judge = judge;
    request->call.done = on_done;
    request->call.answer_max = 16u << 20;
    return request;
}

static void add_pair(struct aws_sign_pair *pairs,
                     size_t *count,
                     const char *name,
                     const char *value)
{
    if (*count < S3_REQUEST_PAIRS_MAX) {
        pairs[(*count)++] =
            (struct aws_sign_pair){memory_strdup(name), memory_strdup(value)};
    }
}

void s3_request_add_query(struct s3_request *request,
                          const char *name,
                          const char *value)
{
    add_pair(request->query, &request->query_count, name, value);
}

void s3_request_add_header(struct s3_request *request,
                           const char *name,
                           const char *value)
{
    add_pair(request->headers, &request->header_count, name, value);
}

void s3_request_set_body(struct s3_request *request, const void *data, size_t size)
{
    request->call.body = data;
    request->call.body_size = size;
}

void s3_request_start(struct s3_request *request)
{
    aws_transfer_start(request->service->transfer, &request->call);
}

static void on_waited(struct s3_request *request, const struct error *err)
{
    latch_open(request->arg, err);
}

int s3_request_run(struct s3_request *request, struct error *err)
{
    struct latch latch = LATCH_INIT;

    request->done = on_waited;
    request->arg = &latch;
    s3_request_start(request);
    int result = latch_wait(&latch, err);
    request->arg = NULL;
    return result;
}

void s3_request_cancel(struct s3_request *request)
{
    aws_transfer_cancel(request->service->transfer, &request->call);
}

static void free_pairs(struct aws_sign_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)pairs[i].name);
        free((char *)pairs[i].value);
    }
}

void s3_request_destroy(struct s3_request *request)
{
    if (!request) {
        return;
    }
    free_pairs(request->query, request->query_count);
    free_pairs(request->headers, request->header_count);
    aws_call_fini(&request->call);
    free(request->access_key);
    free(request->bucket);
    free(request->url);
    free(request);
}

char *s3_service_describe(struct s3_service *service)
{
    struct aws_account_view view;
    struct error err = {0};

    if (aws_account_wait(service->account, clock_wall_ms() / 1000, &view, &err) != 0) {
        return memory_strdup(err.message);
    }
    const char *endpoint = aws_settings_endpoint(view.settings, "S3");
    char *text = endpoint
                     ? memory_format("%s, %s", view.credentials.source, endpoint)
                     : memory_format("%s, https://s3.%s.amazonaws.com%s",
                                     view.credentials.source,
                                     view.region,
                                     strncmp(view.region, "cn-", 3) == 0 ? ".cn" : "");
    aws_credentials_fini(&view.credentials);
    return text;
}
