/* SPDX-License-Identifier: Apache-2.0 */
/* request.h - what a handler is given
 *
 * A handler returns 0 when it has put the answer into the outbox (or keeps the call to
 * answer it later), and -1 with an error that the caller answers with. Everything is
 * borrowed for the time of the call. */
#ifndef CORTEX_MASTER_REQUEST_H
#define CORTEX_MASTER_REQUEST_H

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include "master/caller.h"

struct request {
    struct caller caller;            /* all zero: the one whom nothing is hidden from */
    void *call;                      /* names the caller in the outbox; opaque here */
    const unsigned char *request_id; /* 16 bytes */
    const ProtobufCMessage *message;
    const void *attachment;
    size_t attachment_size;
    void *prepared; /* what a thread of the pool made of it beforehand, or NULL */
};

/* A field of the message by its name: its address; NULL if there is none of that type,
 * or it is a repeated one. */
const void *
request_field(const struct request *request, const char *name, ProtobufCType type);

#endif
