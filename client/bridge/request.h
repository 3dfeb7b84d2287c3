/* SPDX-License-Identifier: Apache-2.0 */
/* request.h - an HTTP request that has been read, and the answer to it
 *
 * Plain data between the server, which reads and answers, and the routes, which know
 * what it means. It belongs to one thread at a time: the server's, then a pool's while
 * the master is asked, then the server's again.
 */
#ifndef CORTEX_CLIENT_BRIDGE_REQUEST_H
#define CORTEX_CLIENT_BRIDGE_REQUEST_H

#include <stdbool.h>

#include "client/bridge/target.h"
#include "client/bridge/tokens.h"
#include "common/buffer.h"

struct stream;

#define REQUEST_METHOD_SIZE 16 /* bytes with NUL; longer ones are no method of ours */
#define REQUEST_ALLOW_SIZE  64

struct reply {
    unsigned status;                /* HTTP's */
    const char *content_type;       /* static */
    char allow[REQUEST_ALLOW_SIZE]; /* value of Allow, "" for none */
    unsigned retry_after_s;         /* 0: none */
    struct buffer body;             /* owned */
    struct stream *stream;          /* owned; if set, the body comes out of it */
};

struct request {
    char method[REQUEST_METHOD_SIZE];
    struct target target;
    struct token token;        /* of who asks; nobody's until it is checked */
    struct error target_error; /* code OK, or why `target` could not be read */
    char *idempotency_key;     /* NULL: none */
    bool wants_json;           /* Accept names application/json */
    bool unfit_media;          /* its Content-Type or -Encoding cannot be JSON text */
    bool foreign_origin;       /* a browser sends it for a page of another site */
    struct buffer body;
    struct reply reply;
};

/* Fills a reply with {"kind", "message"} and the error's status. */
void reply_fail(struct reply *reply, const struct error *err);

/* The same where HTTP has a status of its own. Returns 0: the reply stands. */
int reply_refuse(struct reply *reply,
                 unsigned status,
                 const char *kind,
                 const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

void request_fini(struct request *request);

#endif
