/* SPDX-License-Identifier: Apache-2.0 */
/* aws_sign.h - how a request to AWS is signed (Signature Version 4)
 *
 * Pure: time and keys are arguments, nothing blocks or fails; thread-safe. What is
 * signed must be what is sent: the path through aws_sign_encode, the query as
 * aws_sign_result.query has it, the headers given plus those named below.
 *
 * Source: AWS IAM User Guide, "Create a signed AWS API request"; Amazon S3 API
 * Reference, "Authenticating Requests (AWS Signature Version 4)".
 */
#ifndef CORTEX_COMMON_AWS_SIGN_H
#define CORTEX_COMMON_AWS_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

#define AWS_SIGN_HASH_SIZE 65 /* SHA-256 in hex and NUL */
#define AWS_SIGN_DATE_SIZE 17 /* "20150830T123600Z" and NUL */

#define AWS_SIGN_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

/* A query parameter, not encoded yet, or a header. */
struct aws_sign_pair {
    const char *name;
    const char *value;
};

struct aws_sign_key {
    const char *access_key;
    const char *secret_key;
    const char *session_token; /* NULL or "": none */
};

enum aws_sign_flags {
    AWS_SIGN_NORMALIZE_PATH = 1, /* resolve "." and "..", join slashes */
    AWS_SIGN_PAYLOAD_HEADER = 2, /* x-amz-content-sha256 is sent and signed */
    AWS_SIGN_GENERIC = AWS_SIGN_NORMALIZE_PATH,
    AWS_SIGN_S3 = AWS_SIGN_PAYLOAD_HEADER, /* an S3 key is never normalised */
};

struct aws_sign_request {
    unsigned flags;
    const char *method;
    /* Begins with "/"; encoded once here. For S3 the plain bytes of the key; for other
     * services the path as it is sent, already encoded. */
    const char *path;
    const struct aws_sign_pair *query;
    size_t query_count;
    const struct aws_sign_pair *headers; /* all that are to be signed; Host is a must */
    size_t header_count;
    const char *payload_hash; /* of aws_sign_hash, or AWS_SIGN_UNSIGNED_PAYLOAD */
    const char *region;
    const char *service;
    int64_t time_s; /* wall clock, since 1970 */
};

/* What to send, and the steps on the way for tests and for reading a server's refusal.
 * Zero it before, aws_sign_result_fini after use. */
struct aws_sign_result {
    char date[AWS_SIGN_DATE_SIZE]; /* x-amz-date */
    char signature[AWS_SIGN_HASH_SIZE];
    struct buffer query;         /* sorted and encoded; "" if none */
    struct buffer authorization; /* of aws_sign_header only */
    struct buffer canonical_request;
    struct buffer string_to_sign;
};

/* Signs with headers. Besides those of the request the caller must send x-amz-date,
 * authorization, x-amz-security-token if the key has one, and x-amz-content-sha256 with
 * AWS_SIGN_PAYLOAD_HEADER. */
void aws_sign_header(const struct aws_sign_request *request,
                     const struct aws_sign_key *key,
                     struct aws_sign_result *out);

/* Signs with query parameters, for a URL that is good for expires_s; out->query then
 * ends with the signature. */
void aws_sign_query(const struct aws_sign_request *request,
                    const struct aws_sign_key *key,
                    int64_t expires_s,
                    struct aws_sign_result *out);

void aws_sign_result_fini(struct aws_sign_result *result);

/* SHA-256 in lower-case hex. */
void aws_sign_hash(const void *data, size_t size, char out[AWS_SIGN_HASH_SIZE]);

/* Adds the text with all but A-Z a-z 0-9 - . _ ~ as %XX; with keep_slash "/" stays. */
void aws_sign_encode(struct buffer *out, const char *text, bool keep_slash);

#endif
