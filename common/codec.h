/* SPDX-License-Identifier: Apache-2.0 */
/* codec.h - how a call is laid out in a frame, and read from a hostile one
 *
 * The layout is proto/rpc.proto's. Packing allocates; unpacking never reads outside the
 * frame, spends at most RPC_UNPACK_SIZE_MAX bytes a message, and refuses text that is
 * not UTF-8 or holds a NUL. Pure: no socket, no clock. Thread-safe. */
#ifndef CORTEX_COMMON_CODEC_H
#define CORTEX_COMMON_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/id.h"
#include "common/key.h"

#define CODEC_PREFIX_SIZE 32 /* header, session, counter and sizes */
#define CODEC_APIS_SIZE   2048

enum codec_frame_type {
    CODEC_HELLO = 1,
    CODEC_WELCOME = 2,
    CODEC_DATA = 3,
    CODEC_COOKIE = 4,
    CODEC_REJECT = 5,
    CODEC_CLEAR = 6,
};

/* A frame taken apart. The pointers point into the frame. */
struct codec_frame {
    enum codec_frame_type type;
    uint64_t session;
    uint64_t counter;
    const uint8_t *envelope;
    size_t envelope_size;
    const uint8_t *message;
    size_t message_size;
    const uint8_t *attachment;
    size_t attachment_size;
};

struct codec_request {
    unsigned char request_id[ID_REQUEST_SIZE];
    char method[96];
    uint32_t timeout_ms;
    char release[32];
    enum key_role acting_role; /* of whom a bridge asks for; NONE: of nobody */
    char acting_apis[CODEC_APIS_SIZE];
};

struct codec_reply {
    unsigned char request_id[ID_REQUEST_SIZE];
    struct error error; /* code OK when it went well */
    uint32_t retry_after_ms;
};

/* Takes a clear frame apart; INVALID_ARGUMENT for anything that is not one. */
int codec_frame_parse(const void *data,
                      size_t size,
                      struct codec_frame *out,
                      struct error *err);

/* Writes a whole frame to *out. message may be NULL (an error reply). */
void codec_pack_request(const struct codec_request *request,
                        uint64_t counter,
                        const ProtobufCMessage *message,
                        const void *attachment,
                        size_t attachment_size,
                        struct buffer *out);
void codec_pack_reply(const struct codec_reply *reply,
                      uint64_t counter,
                      const ProtobufCMessage *message,
                      const void *attachment,
                      size_t attachment_size,
                      struct buffer *out);

/* The same without the attachment: all that stands in front of it, for who puts it
 * behind himself (the transport, so that it is copied once). The sizes in a frame do
 * not count it. */
void codec_pack_request_head(const struct codec_request *request,
                             uint64_t counter,
                             const ProtobufCMessage *message,
                             struct buffer *out);
void codec_pack_reply_head(const struct codec_reply *reply,
                           uint64_t counter,
                           const ProtobufCMessage *message,
                           struct buffer *out);

int codec_unpack_request(const struct codec_frame *frame,
                         struct codec_request *out,
                         struct error *err);
int codec_unpack_reply(const struct codec_frame *frame,
                       struct codec_reply *out,
                       struct error *err);

/* A message of the given type, or NULL with INVALID_ARGUMENT. Free with
 * codec_message_free. */
ProtobufCMessage *codec_unpack_message(const ProtobufCMessageDescriptor *type,
                                       const uint8_t *data,
                                       size_t size,
                                       struct error *err);
void codec_message_free(ProtobufCMessage *message);

#endif
