/* SPDX-License-Identifier: Apache-2.0 */
/* aws_sign.c - how a request to AWS is signed (Signature Version 4) */
#include "common/aws_sign.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#define AWS_SIGN_ALGORITHM "AWS4-HMAC-SHA256"

/* A parameter in encoded form, or a header with its name in lower case and its value
 * with spaces collapsed. */
struct pair {
    char *name;
    char *value;
    size_t index; // keeps equal headers in the order given
};

struct pairs {
    struct pair *items;
    size_t count;
};

static void hex(const unsigned char *bytes, size_t size, char *out)
{
    (void)sodium_bin2hex(out, size * 2 + 1, bytes, size);
}

void aws_sign_hash(const void *data, size_t size, char out[AWS_SIGN_HASH_SIZE])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(digest, data, size);
    hex(digest, sizeof(digest), out);
}

static bool unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

void aws_sign_encode(struct buffer *out, const char *text, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (unreserved(c) || (c == '/' && keep_slash)) {
            buffer_add_char(out, (char)c);
        } else {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            buffer_add(out, escape, sizeof(escape));
        }
    }
}

// Where the last segment of out begins, so that ".." can drop it.
static size_t parent_size(const struct buffer *out)
{
    size_t size = out->size;

    while (size > 0 && out->data[size - 1] != '/') {
        size--;
    }
    return size ? size - 1 : 0;
}

// RFC 3986's remove_dot_segments, and several slashes made one.
static char *normalize_path(const char *path)
{
    struct buffer out = BUFFER_INIT;
    bool slash_at_end = true;

    while (*path) {
        size_t length = strcspn(path, "/");
        bool dots = length == 2 && strncmp(path, "..", 2) == 0;
        bool dot = length == 1 && *path == '.';
        if (dots) {
            out.size = parent_size(&out);
        } else if (length > 0 && !dot) {
            buffer_add_char(&out, '/');
            buffer_add(&out, path, length);
        }
        slash_at_end = dots || dot || path[length] == '/';
        path += length + (path[length] == '/');
    }
    if (slash_at_end || out.size == 0) {
        buffer_add_char(&out, '/');
    }
    return buffer_take(&out);
}

static void add_path(const struct aws_sign_request *request, struct buffer *out)
{
    char *normal =
        request->flags & AWS_SIGN_NORMALIZE_PATH ? normalize_path(request->path) : NULL;

    aws_sign_encode(out, normal ? normal : request->path, true);
    free(normal);
}

static void pairs_fini(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].name);
        free(pairs->items[i].value);
    }
    free(pairs->items);
}

static void pairs_add_take(struct pairs *pairs, char *name, char *value)
{
    size_t size = (pairs->count + 1) * sizeof(*pairs->items);

    pairs->items = memory_realloc(pairs->items, size);
    pairs->items[pairs->count] = (struct pair){name, value, pairs->count};
    pairs->count++;
}

static char *encoded(const char *text)
{
    struct buffer out = BUFFER_INIT;

    aws_sign_encode(&out, text, false);
    return buffer_take(&out);
}

static void add_parameter(struct pairs *pairs, const char *name, const char *value)
{
    pairs_add_take(pairs, encoded(name), encoded(value));
}

static char *lower(const char *text)
{
    char *copy = memory_strdup(text);

    for (char *c = copy; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return copy;
}

// No white space at the ends, one space wherever there is some inside.
static char *trimmed(const char *text)
{
    struct buffer out = BUFFER_INIT;
    bool space = false;

    for (; *text; text++) {
        if (isspace((unsigned char)*text)) {
            space = out.size > 0;
            continue;
        }
        if (space) {
            buffer_add_char(&out, ' ');
            space = false;
        }
        buffer_add_char(&out, *text);
    }
    return buffer_take(&out);
}

static void add_header(struct pairs *pairs, const char *name, const char *value)
{
    pairs_add_take(pairs, lower(name), trimmed(value));
}

static int compare_parameters(const void *left, const void *right)
{
    const struct pair *a = left;
    const struct pair *b = right;
    int order = strcmp(a->name, b->name);

    return order ? order : strcmp(a->value, b->value);
}

static int compare_headers(const void *left, const void *right)
{
    const struct pair *a = left;
    const struct pair *b = right;
    int order = strcmp(a->name, b->name);

    return order ? order : (a->index > b->index) - (a->index < b->index);
}

// qsort may not be given NULL, even with nothing to sort.
static void sort(struct pairs *pairs, int (*compare)(const void *, const void *))
{
    if (pairs->count > 1) {
        qsort(pairs->items, pairs->count, sizeof(*pairs->items), compare);
    }
}

static void add_query(struct pairs *query, struct buffer *out)
{
    sort(query, compare_parameters);
    for (size_t i = 0; i < query->count; i++) {
        buffer_add_format(
            out, "%s%s=%s", i ? "&" : "", query->items[i].name, query->items[i].value);
    }
}

static bool repeated(const struct pairs *headers, size_t i)
{
    return i > 0 && strcmp(headers->items[i - 1].name, headers->items[i].name) == 0;
}

// "name:value\n" each; those of one name share a line.
static void add_header_lines(const struct pairs *headers, struct buffer *out)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (repeated(headers, i)) {
            out->size--; // the line goes on
            buffer_add_format(out, ",%s\n", headers->items[i].value);
        } else {
            buffer_add_format(
                out, "%s:%s\n", headers->items[i].name, headers->items[i].value);
        }
    }
}

static char *header_names(const struct pairs *headers)
{
    struct buffer out = BUFFER_INIT;

    for (size_t i = 0; i < headers->count; i++) {
        if (!repeated(headers, i)) {
            buffer_add_format(&out, "%s%s", i ? ";" : "", headers->items[i].name);
        }
    }
    return buffer_take(&out);
}

static void
mac(const unsigned char *key, size_t key_size, const char *text, unsigned char out[32])
{
    crypto_auth_hmacsha256_state state;

    (void)crypto_auth_hmacsha256_init(&state, key, key_size);
    (void)crypto_auth_hmacsha256_update(
        &state, (const unsigned char *)text, strlen(text));
    (void)crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

static void sign_text(const struct aws_sign_request *request,
                      const struct aws_sign_key *key,
                      const char *day,
                      const char *text,
                      char out[AWS_SIGN_HASH_SIZE])
{
    char *secret = memory_format("AWS4%s", key->secret_key);
    const char *steps[] = {
        day, request->region, request->service, "aws4_request", text};
    unsigned char digest[crypto_auth_hmacsha256_BYTES];

    mac((const unsigned char *)secret, strlen(secret), steps[0], digest);
    for (size_t i = 1; i < sizeof(steps) / sizeof(steps[0]); i++) {
        mac(digest, sizeof(digest), steps[i], digest);
    }
    hex(digest, sizeof(digest), out);
    sodium_memzero(secret, strlen(secret));
    free(secret);
}

static char *scope_of(const struct aws_sign_request *request, const char *date)
{
    return memory_format(
        "%.8s/%s/%s/aws4_request", date, request->region, request->service);
}

static void format_date(int64_t time_s, char out[AWS_SIGN_DATE_SIZE])
{
    time_t seconds = (time_t)time_s;
    struct tm utc;

    (void)gmtime_r(&seconds, &utc);
    (void)strftime(out, AWS_SIGN_DATE_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

// Headers are sorted by now; `names` is their list.
static void sign(const struct aws_sign_request *request,
                 const struct aws_sign_key *key,
                 struct pairs *query,
                 const struct pairs *headers,
                 const char *names,
                 struct aws_sign_result *out)
{
    struct buffer *canonical = &out->canonical_request;
    char *scope = scope_of(request, out->date);
    char hash[AWS_SIGN_HASH_SIZE];
    char day[9];

    buffer_add_format(canonical, "%s\n", request->method);
    add_path(request, canonical);
    buffer_add_char(canonical, '\n');
    add_query(query, &out->query);
    buffer_add_format(canonical, "%s\n", buffer_text(&out->query));
    add_header_lines(headers, canonical);
    buffer_add_format(canonical, "\n%s\n%s", names, request->payload_hash);

    aws_sign_hash(canonical->data, canonical->size, hash);
    buffer_add_format(&out->string_to_sign,
                      AWS_SIGN_ALGORITHM "\n%s\n%s\n%s",
                      out->date,
                      scope,
                      hash);
    memcpy(day, out->date, 8);
    day[8] = '\0';
    sign_text(request, key, day, buffer_text(&out->string_to_sign), out->signature);
    free(scope);
}

static void collect(const struct aws_sign_request *request,
                    struct pairs *query,
                    struct pairs *headers)
{
    for (size_t i = 0; i < request->query_count; i++) {
        add_parameter(query, request->query[i].name, request->query[i].value);
    }
    for (size_t i = 0; i < request->header_count; i++) {
        add_header(headers, request->headers[i].name, request->headers[i].value);
    }
}

static bool has_token(const struct aws_sign_key *key)
{
    return key->session_token && key->session_token[0];
}

void aws_sign_header(const struct aws_sign_request *request,
                     const struct aws_sign_key *key,
                     struct aws_sign_result *out)
{
    struct pairs query = {0};
    struct pairs headers = {0};

    format_date(request->time_s, out->date);
    collect(request, &query, &headers);
    add_header(&headers, "x-amz-date", out->date);
    if (request->flags & AWS_SIGN_PAYLOAD_HEADER) {
        add_header(&headers, "x-amz-content-sha256", request->payload_hash);
    }
    if (has_token(key)) {
        add_header(&headers, "x-amz-security-token", key->session_token);
    }
    sort(&headers, compare_headers);
    char *names = header_names(&headers);
    sign(request, key, &query, &headers, names, out);
    char *scope = scope_of(request, out->date);
    buffer_add_format(&out->authorization,
                      AWS_SIGN_ALGORITHM
                      " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                      key->access_key,
                      scope,
                      names,
                      out->signature);
    free(scope);
    free(names);
    pairs_fini(&query);
    pairs_fini(&headers);
}

void aws_sign_query(const struct aws_sign_request *request,
                    const struct aws_sign_key *key,
                    int64_t expires_s,
                    struct aws_sign_result *out)
{
    struct pairs query = {0};
    struct pairs headers = {0};

    format_date(request->time_s, out->date);
    collect(request, &query, &headers);
    sort(&headers, compare_headers);
    char *names = header_names(&headers);
    char *scope = scope_of(request, out->date);
    char *credential = memory_format("%s/%s", key->access_key, scope);
    char *expires = memory_format("%lld", (long long)expires_s);
    add_parameter(&query, "X-Amz-Algorithm", AWS_SIGN_ALGORITHM);
    add_parameter(&query, "X-Amz-Credential", credential);
    add_parameter(&query, "X-Amz-Date", out->date);
    add_parameter(&query, "X-Amz-Expires", expires);
    add_parameter(&query, "X-Amz-SignedHeaders", names);
    if (has_token(key)) {
        add_parameter(&query, "X-Amz-Security-Token", key->session_token);
    }
    sign(request, key, &query, &headers, names, out);
    buffer_add_format(&out->query, "&X-Amz-Signature=%s", out->signature);
    free(expires);
    free(credential);
    free(scope);
    free(names);
    pairs_fini(&query);
    pairs_fini(&headers);
}

void aws_sign_result_fini(struct aws_sign_result *result)
{
    buffer_fini(&result->query);
    buffer_fini(&result->authorization);
    buffer_fini(&result->canonical_request);
    buffer_fini(&result->string_to_sign);
}
