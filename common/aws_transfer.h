/* SPDX-License-Identifier: Apache-2.0 */
/* aws_transfer.h - how HTTP requests are carried, many at a time, till each is answered
 *
 * One I/O thread runs all calls side by side over kept-alive connections. At most
 * calls_max have a place at a time; the rest waits in the order it came. A call keeps
 * its place while it waits for its next attempt, so that a server that asks to slow
 * down gets fewer requests, not others.
 *
 * What a call sends is made anew before each attempt (its signature has a time in it),
 * and what an answer means is the caller's to say. Broken transfers and those that
 * stall are tried again here. Retries wait between nothing and backoff_ms * 2^n, at
 * most AWS_TRANSFER_BACKOFF_MAX_MS.
 *
 * Source: libcurl's manual; "Exponential Backoff And Jitter", AWS Architecture Blog.
 */
#ifndef CORTEX_COMMON_AWS_TRANSFER_H
#define CORTEX_COMMON_AWS_TRANSFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

#define AWS_TRANSFER_BACKOFF_MAX_MS 20000
#define AWS_TRANSFER_CONNECT_MS     5000
#define AWS_TRANSFER_SPEED_MIN      1024       /* bytes/s; below it a transfer stalls */
#define AWS_TRANSFER_REFUSAL_MAX    (1u << 16) /* bytes of an answer that is no 2xx */

struct aws_transfer;
struct aws_call;

enum aws_ready {
    AWS_READY_GO,
    AWS_READY_WAIT, /* ask again after aws_transfer_kick */
    AWS_READY_FAIL, /* err says why; tried again if its code is retryable */
};

enum aws_verdict {
    AWS_VERDICT_DONE,  /* err is set if it failed */
    AWS_VERDICT_AGAIN, /* now, and not counted */
    AWS_VERDICT_RETRY, /* after a backoff; the last attempt ends with err */
};

/* What came besides the body. "" and -1: not sent. */
struct aws_answer {
    long status;
    int64_t length; /* of Content-Length; the body was that long, unless to a HEAD */
    int64_t date_s;
    char etag[80];
    char range[80]; /* Content-Range */
    char region[40];
};

/* One call. All callbacks are made on the I/O thread and must not block. */
struct aws_call {
    /* Set by the caller. */
    enum aws_ready (*prepare)(struct aws_call *call, struct error *err);
    enum aws_verdict (*judge)(struct aws_call *call, struct error *err);
    void (*done)(struct aws_call *call, const struct error *err); /* may free it */
    const void *body; /* of a PUT or POST; borrowed */
    size_t body_size;
    uint64_t answer_max; /* bytes of a 2xx body; more: OUT_OF_RANGE */
    unsigned patience;   /* times the usual time without progress; 0: 1 */

    /* Filled by prepare; emptied before it. */
    const char *method;
    struct buffer url;
    struct buffer headers; /* aws_call_add_header */

    /* For judge and done. */
    struct aws_answer answer;
    struct buffer answer_body;
    unsigned attempts;

    /* aws_transfer's own. */
    struct aws_call *next;
    atomic_bool cancelled;
};

struct aws_transfer_options {
    unsigned calls_max;
    unsigned attempts_max;
    int64_t backoff_ms;
    unsigned
        stall_s; /* a transfer that is slower than the least speed for so long ends */
};

int aws_transfer_create(const struct aws_transfer_options *options,
                        struct aws_transfer **out_transfer,
                        struct error *err);
/* Ends all calls with CANCELLED, and the thread; later calls end so at once. */
void aws_transfer_stop(struct aws_transfer *transfer);
/* After stop. NULL is fine. */
void aws_transfer_destroy(struct aws_transfer *transfer);

/* Any thread, callbacks included. The call belongs to the transfer until done. */
void aws_transfer_start(struct aws_transfer *transfer, struct aws_call *call);
/* Any thread: the call, which must be under way, soon ends with CANCELLED. */
void aws_transfer_cancel(struct aws_transfer *transfer, struct aws_call *call);
/* Any thread: those that wait are asked again. */
void aws_transfer_kick(struct aws_transfer *transfer);
/* Certificates to trust in place of the system's, a PEM file; I/O thread only, in
 * prepare. Borrowed; NULL: the system's. */
void aws_transfer_set_ca(struct aws_transfer *transfer, const char *ca_file);

void aws_call_add_header(struct aws_call *call, const char *name, const char *value);
/* Frees what the buffers hold, not the call. */
void aws_call_fini(struct aws_call *call);

#endif
