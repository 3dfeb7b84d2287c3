/* SPDX-License-Identifier: Apache-2.0 */
/* error.h - what went wrong, in one sentence a user can act on
 *
 * A fallible function returns 0 or -1 and takes `struct error *err` last. On -1 the
 * error holds a code, a kind and one sentence. `error_set` returns -1, so failing is
 * one statement. All functions accept err == NULL and do nothing then but return.
 * errno is kept by every function here. Nothing here allocates or blocks; a struct
 * error belongs to one thread at a time.
 *
 * The codes are gRPC's canonical ones (grpc.github.io/grpc/core/md_doc_statuscodes)
 * with the same numbers, so that the wire needs no second table.
 */
#ifndef CORTEX_COMMON_ERROR_H
#define CORTEX_COMMON_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

/* X(enum suffix, number, HTTP status, retryable, kind if none was set)
 * The one table of error codes: enum, name, wire value, HTTP status, retryable.
 * A CLI's exit status is 1 whatever the code. */
#define ERROR_CODES(X)                                                                 \
    X(OK, 0, 200, false, "ok")                                                         \
    X(CANCELLED, 1, 503, false, "cancelled")                                           \
    X(UNKNOWN, 2, 500, false, "error")                                                 \
    X(INVALID_ARGUMENT, 3, 400, false, "error")                                        \
    X(DEADLINE_EXCEEDED, 4, 503, true, "deadline_exceeded")                            \
    X(NOT_FOUND, 5, 404, false, "not_found")                                           \
    X(ALREADY_EXISTS, 6, 409, false, "conflict")                                       \
    X(PERMISSION_DENIED, 7, 403, false, "permission_denied")                           \
    X(RESOURCE_EXHAUSTED, 8, 429, true, "resource_exhausted")                          \
    X(FAILED_PRECONDITION, 9, 409, false, "failed_precondition")                       \
    X(ABORTED, 10, 409, true, "aborted")                                               \
    X(OUT_OF_RANGE, 11, 413, false, "too_large")                                       \
    X(UNIMPLEMENTED, 12, 501, false, "unimplemented")                                  \
    X(INTERNAL, 13, 500, false, "internal")                                            \
    X(UNAVAILABLE, 14, 503, true, "unavailable")                                       \
    X(DATA_LOSS, 15, 507, false, "data_loss")                                          \
    X(UNAUTHENTICATED, 16, 401, false, "unauthenticated")

/* OUT_OF_RANGE says that something is larger than its limit (HTTP 413); DATA_LOSS
 * that the disk cannot be trusted or is full (HTTP 507). */
enum error_code {
#define ERROR_ENUM(name, number, http, retryable, kind) ERROR_##name = (number),
    ERROR_CODES(ERROR_ENUM)
#undef ERROR_ENUM
};

#define ERROR_KIND_SIZE    64   /* bytes with NUL; "configreader.too_few_elements" */
#define ERROR_MESSAGE_SIZE 2048 /* bytes with NUL; longer sentences are cut */

struct error {
    enum error_code code;
    char kind[ERROR_KIND_SIZE];       /* dotted name as the Batch API has it, or "" */
    char message[ERROR_MESSAGE_SIZE]; /* one sentence, valid UTF-8, no newline at end */
};

/* Sets code and sentence, with no kind. Returns -1. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a kind such as "batchapi.job_not_found". Returns -1. */
int error_set_kind(struct error *err,
                   enum error_code code,
                   const char *kind,
                   const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* As error_set, with ": " and errno's text behind the sentence. Returns -1. */
int error_set_errno(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " in front of the sentence; code and kind stay. Returns -1. */
int error_wrap(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Back to OK, with no sentence. */
void error_clear(struct error *err);

/* Copies *from to *to; either may be NULL. Returns -1. */
int error_copy(struct error *to, const struct error *from);

/* The kind that was set, else the code's own. Never NULL or "". */
const char *error_kind(const struct error *err);

const char *error_code_name(enum error_code code); /* "NOT_FOUND"; "UNKNOWN" if none */
int error_code_http_status(enum error_code code);
bool error_code_retryable(enum error_code code);

/* The code of a number off the wire; ERROR_UNKNOWN for one that is not in the table. */
enum error_code error_code_from_number(int number);

#endif
