/* SPDX-License-Identifier: Apache-2.0 */
/* s3_request.h - how one request is put to S3, and what its answer means
 *
 * A request is addressed, signed, and tried until it succeeds or has failed for good: a
 * bucket of another region is asked there, a clock that is wrong is corrected, keys
 * that have expired are fetched anew, a HEAD that is refused is asked again as a GET,
 * whose refusal says why. Errors begin with the request's URL or subject.
 *
 * Source: Amazon S3 API Reference, "Error responses", "Virtual hosting of buckets".
 */
#ifndef CORTEX_COMMON_S3_REQUEST_H
#define CORTEX_COMMON_S3_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/aws_account.h"
#include "common/aws_sign.h"
#include "common/aws_transfer.h"
#include "common/error.h"
#include "common/pool.h"

#define S3_REQUEST_PAIRS_MAX 8

struct s3_service;

/* The pool, borrowed, is where keys are fetched. */
int s3_service_create(const struct aws_transfer_options *options,
                      struct pool *pool,
                      struct s3_service **out_service,
                      struct error *err);
/* Ends all requests with CANCELLED. */
void s3_service_stop(struct s3_service *service);
/* After stop, and after the pool has ended. */
void s3_service_destroy(struct s3_service *service);
/* "environment, https://s3.eu-west-1.amazonaws.com"; the caller frees. */
char *s3_service_describe(struct s3_service *service);

struct s3_request {
    struct aws_call call; /* its answer and answer_body say what came */
    struct s3_service *service;
    char *url;           /* "s3://bucket/key" */
    const char *subject; /* what errors begin with; borrowed; NULL: the URL */
    char *bucket;
    const char *key; /* in url; "" for the bucket itself */
    const char *method;
    struct aws_sign_pair query[S3_REQUEST_PAIRS_MAX];
    size_t query_count;
    struct aws_sign_pair headers[S3_REQUEST_PAIRS_MAX];
    size_t header_count;
    bool error_in_200; /* the body of a success may be an error */
    char code[48];     /* of a refusal: "NoSuchKey" */

    void (*done)(struct s3_request *request, const struct error *err);
    void *arg;

    /* s3_request's own. */
    char region[AWS_ACCOUNT_REGION_SIZE];  /* it was last signed for */
    char *access_key;                      /* and with, */
    char source[128];                      /* which came from there */
    char payload_hash[AWS_SIGN_HASH_SIZE]; /* "" until it is known */
    unsigned detours;
    bool clock_corrected;
    bool renewed;
};

/* The URL must be well formed. */
struct s3_request *
s3_request_create(struct s3_service *service, const char *method, const char *url);
/* Copies both. */
void s3_request_add_query(struct s3_request *request,
                          const char *name,
                          const char *value);
void s3_request_add_header(struct s3_request *request,
                           const char *name,
                           const char *value);
/* Borrows the data until done. */
void s3_request_set_body(struct s3_request *request, const void *data, size_t size);

/* Calls request->done once, on the I/O thread; the request is the caller's again then.
 */
void s3_request_start(struct s3_request *request);
/* Waits for it. Not on the I/O thread. */
int s3_request_run(struct s3_request *request, struct error *err);
void s3_request_cancel(struct s3_request *request);
void s3_request_destroy(struct s3_request *request);

#endif
