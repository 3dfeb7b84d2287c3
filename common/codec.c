/* SPDX-License-Identifier: Apache-2.0 */
/* codec.c - how a call is laid out in a frame, and read from a hostile one */
#include "common/codec.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "proto/rpc.pb-c.h"

#define FRAME_VERSION    1
#define FRAME_SESSION_AT 8
#define FRAME_COUNTER_AT 16
#define FRAME_SIZES_AT   24

/* What malloc adds to an allocation, so that many small ones cost what they do. */
#define ALLOCATION_OVERHEAD 16

#define FIELD_NUMBER_MAX ((1u << 29) - 1)

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* Bytes still to be read. */
struct wire {
    const uint8_t *at;
    const uint8_t *end;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    struct wire value; /* of WIRE_BYTES */
};

/* What unpacking one message may still allocate. */
struct allowance {
    size_t left;
};

static bool is_continuation(const uint8_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return false;
        }
    }
    return true;
}

/* Bytes of the character that stands at *at, 0 if none does: RFC 3629, without NUL. */
static size_t utf8_character_size(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    if (lead == 0 || (lead >= 0x80 && lead < 0xC2) || lead > 0xF4 || size > left ||
        !is_continuation(at + 1, size - 1)) {
        return 0;
    }
    bool overlong = (lead == 0xE0 && at[1] < 0xA0) || (lead == 0xF0 && at[1] < 0x90);
    bool surrogate = lead == 0xED && at[1] >= 0xA0;
    bool beyond = lead == 0xF4 && at[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : size;
}

static bool is_text(struct wire text)
{
    while (text.at < text.end) {
        size_t size = utf8_character_size(text.at, (size_t)(text.end - text.at));
        if (size == 0) {
            return false;
        }
        text.at += size;
    }
    return true;
}

/* A sentence may quote bytes that are no text; what goes out is text all the same. */
static void make_text(char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t size = utf8_character_size((const uint8_t *)text, left);
        if (size == 0) {
            *text = '?';
            size = 1;
        }
        text += size;
        left -= size;
    }
}

static bool wire_take(struct wire *wire, uint64_t size, struct wire *out)
{
    if (size > (uint64_t)(wire->end - wire->at)) {
        return false;
    }
    out->at = wire->at;
    wire->at += size;
    out->end = wire->at;
    return true;
}

static bool wire_take_varint(struct wire *wire, uint64_t *out)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        uint8_t byte = *wire->at++;
        number |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out = number;
            return true;
        }
    }
    return false;
}

static bool wire_take_field(struct wire *wire, struct wire_field *out)
{
    uint64_t tag;
    uint64_t number;

    if (!wire_take_varint(wire, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX) {
        return false;
    }
    out->number = (uint32_t)(tag >> 3);
    out->type = (enum wire_type)(tag & 7);
    switch (out->type) {
    case WIRE_VARINT:
        return wire_take_varint(wire, &number);
    case WIRE_FIXED64:
        return wire_take(wire, 8, &out->value);
    case WIRE_BYTES:
        return wire_take_varint(wire, &number) && wire_take(wire, number, &out->value);
    case WIRE_FIXED32:
        return wire_take(wire, 4, &out->value);
    }
    return false;
}

/* Every string of a packed message is text, at every depth (which the schema bounds:
 * no message contains itself). On the packed form, since unpacked strings end at their
 * first NUL. */
static int
check_text(const ProtobufCMessageDescriptor *type, struct wire wire, struct error *err)
{
    struct wire_field part;

    while (wire.at < wire.end) {
        if (!wire_take_field(&wire, &part)) {
            return error_set(err,
                             ERROR_INVALID_ARGUMENT,
                             "%s is not a protobuf message",
                             type->name);
        }
        if (part.type != WIRE_BYTES) {
            continue;
        }
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, part.number);
        if (field && field->type == PROTOBUF_C_TYPE_STRING && !is_text(part.value)) {
            return error_set(err,
                             ERROR_INVALID_ARGUMENT,
                             "%s.%s is not text: expected UTF-8 without NUL",
                             type->name,
                             field->name);
        }
        if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            check_text(field->descriptor, part.value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void *allowance_alloc(void *data, size_t size)
{
    struct allowance *allowance = data;

    if (size > RPC_UNPACK_SIZE_MAX || size + ALLOCATION_OVERHEAD > allowance->left) {
        return NULL;
    }
    allowance->left -= size + ALLOCATION_OVERHEAD;
    return malloc(size);
}

static void allowance_free(void *data, void *memory)
{
    (void)data;
    free(memory);
}

/* All of a frame that stands in front of the attachment. */
static void pack_head(const ProtobufCMessage *envelope,
                      uint64_t counter,
                      const ProtobufCMessage *message,
                      struct buffer *out)
{
    size_t envelope_size = protobuf_c_message_get_packed_size(envelope);
    size_t message_size = message ? protobuf_c_message_get_packed_size(message) : 0;
    size_t size = CODEC_PREFIX_SIZE + envelope_size + message_size;
    uint8_t *at = (uint8_t *)buffer_reserve(out, size);

    memset(at, 0, CODEC_PREFIX_SIZE);
    at[0] = 'C';
    at[1] = 'X';
    at[2] = FRAME_VERSION;
    at[3] = CODEC_CLEAR;
    bytes_put_u64(at + FRAME_COUNTER_AT, counter);
    bytes_put_u32(at + FRAME_SIZES_AT, (uint32_t)envelope_size);
    bytes_put_u32(at + FRAME_SIZES_AT + 4, (uint32_t)message_size);
    (void)protobuf_c_message_pack(envelope, at + CODEC_PREFIX_SIZE);
    if (message) {
        (void)protobuf_c_message_pack(message, at + CODEC_PREFIX_SIZE + envelope_size);
    }
    out->size += size;
}

/* Copies the id and text of an envelope; false if it does not fit what is ours. */
static bool take_request_id(const ProtobufCBinaryData *id,
                            unsigned char out[ID_REQUEST_SIZE])
{
    if (id->len != ID_REQUEST_SIZE) {
        return false;
    }
    memcpy(out, id->data, ID_REQUEST_SIZE);
    return true;
}

static bool take_text(const char *text, char *out, size_t out_size)
{
    size_t size = strlen(text);

    if (size >= out_size) {
        return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

static int check_prefix(const uint8_t *bytes, size_t size, struct error *err)
{
    static const uint8_t header[8] = {'C', 'X', FRAME_VERSION, CODEC_CLEAR};

    if (size < CODEC_PREFIX_SIZE) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "frame of %zu bytes is shorter than the %d of its prefix",
                         size,
                         CODEC_PREFIX_SIZE);
    }
    if (memcmp(bytes, header, sizeof(header)) != 0) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "frame begins with %02x %02x %02x %02x, expected a clear "
                         "frame of version %d",
                         bytes[0],
                         bytes[1],
                         bytes[2],
                         bytes[3],
                         FRAME_VERSION);
    }
    if (bytes_get_u64(bytes + FRAME_SESSION_AT) != 0) {
        return error_set(
            err, ERROR_INVALID_ARGUMENT, "clear frame names a session, expected 0");
    }
    return 0;
}

int codec_frame_parse(const void *data,
                      size_t size,
                      struct codec_frame *out,
                      struct error *err)
{
    const uint8_t *bytes = data;

    if (check_prefix(bytes, size, err) != 0) {
        return -1;
    }
    uint64_t envelope_size = bytes_get_u32(bytes + FRAME_SIZES_AT);
    uint64_t message_size = bytes_get_u32(bytes + FRAME_SIZES_AT + 4);
    uint64_t rest = size - CODEC_PREFIX_SIZE;
    if (envelope_size + message_size > rest) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "frame says %llu bytes of envelope and %llu of message, but "
                         "has %llu",
                         (unsigned long long)envelope_size,
                         (unsigned long long)message_size,
                         (unsigned long long)rest);
    }
    const uint8_t *envelope = bytes + CODEC_PREFIX_SIZE;
    *out = (struct codec_frame){
        .type = CODEC_CLEAR,
        .session = 0,
        .counter = bytes_get_u64(bytes + FRAME_COUNTER_AT),
        .envelope = envelope,
        .envelope_size = (size_t)envelope_size,
        .message = envelope + envelope_size,
        .message_size = (size_t)message_size,
        .attachment = envelope + envelope_size + message_size,
        .attachment_size = (size_t)(rest - envelope_size - message_size),
    };
    return 0;
}

void codec_pack_request_head(const struct codec_request *request,
                             uint64_t counter,
                             const ProtobufCMessage *message,
                             struct buffer *out)
{
    Cortex__V1__RequestHeader header = CORTEX__V1__REQUEST_HEADER__INIT;

    header.request_id.len = sizeof(request->request_id);
    header.request_id.data = (uint8_t *)request->request_id;
    header.method = (char *)request->method;
    header.timeout_ms = request->timeout_ms;
    header.release = (char *)request->release;
    header.acting_role = (uint32_t)request->acting_role;
    header.acting_apis = (char *)request->acting_apis;
    pack_head(&header.base, counter, message, out);
}

void codec_pack_reply_head(const struct codec_reply *reply,
                           uint64_t counter,
                           const ProtobufCMessage *message,
                           struct buffer *out)
{
    Cortex__V1__ReplyHeader header = CORTEX__V1__REPLY_HEADER__INIT;
    char sentence[ERROR_MESSAGE_SIZE];

    memcpy(sentence, reply->error.message, sizeof(sentence));
    sentence[sizeof(sentence) - 1] = '\0';
    make_text(sentence);
    header.request_id.len = sizeof(reply->request_id);
    header.request_id.data = (uint8_t *)reply->request_id;
    header.code = (uint32_t)reply->error.code;
    header.kind = (char *)reply->error.kind;
    header.message = sentence;
    header.retry_after_ms = reply->retry_after_ms;
    pack_head(&header.base, counter, message, out);
}

void codec_pack_request(const struct codec_request *request,
                        uint64_t counter,
                        const ProtobufCMessage *message,
                        const void *attachment,
                        size_t attachment_size,
                        struct buffer *out)
{
    codec_pack_request_head(request, counter, message, out);
    buffer_add(out, attachment, attachment_size);
}

void codec_pack_reply(const struct codec_reply *reply,
                      uint64_t counter,
                      const ProtobufCMessage *message,
                      const void *attachment,
                      size_t attachment_size,
                      struct buffer *out)
{
    codec_pack_reply_head(reply, counter, message, out);
    buffer_add(out, attachment, attachment_size);
}

int codec_unpack_request(const struct codec_frame *frame,
                         struct codec_request *out,
                         struct error *err)
{
    struct codec_request request = {.timeout_ms = 0};
    ProtobufCMessage *message =
        codec_unpack_message(&cortex__v1__request_header__descriptor,
                             frame->envelope,
                             frame->envelope_size,
                             err);

    if (!message) {
        return -1;
    }
    const Cortex__V1__RequestHeader *header = (const void *)message;
    bool fits = take_request_id(&header->request_id, request.request_id) &&
                take_text(header->method, request.method, sizeof(request.method)) &&
                take_text(header->release, request.release, sizeof(request.release)) &&
                take_text(header->acting_apis,
                          request.acting_apis,
                          sizeof(request.acting_apis)) &&
                header->acting_role < KEY_ROLE_COUNT;
    request.timeout_ms = header->timeout_ms;
    request.acting_role = fits ? (enum key_role)header->acting_role : KEY_ROLE_NONE;
    codec_message_free(message);
    if (!fits || request.timeout_ms < 1 || request.timeout_ms > RPC_TIMEOUT_MAX_MS) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "request header needs an id of %d bytes, a method and release "
                         "of less than %zu and %zu, and a timeout of 1 to %d ms",
                         ID_REQUEST_SIZE,
                         sizeof(request.method),
                         sizeof(request.release),
                         RPC_TIMEOUT_MAX_MS);
    }
    *out = request;
    return 0;
}

int codec_unpack_reply(const struct codec_frame *frame,
                       struct codec_reply *out,
                       struct error *err)
{
    struct codec_reply reply = {.retry_after_ms = 0};
    ProtobufCMessage *message =
        codec_unpack_message(&cortex__v1__reply_header__descriptor,
                             frame->envelope,
                             frame->envelope_size,
                             err);

    if (!message) {
        return -1;
    }
    const Cortex__V1__ReplyHeader *header = (const void *)message;
    bool fits = take_request_id(&header->request_id, reply.request_id);
    reply.retry_after_ms = header->retry_after_ms;
    if (header->code != ERROR_OK) {
        int code = header->code > INT32_MAX ? -1 : (int)header->code;
        (void)error_set_kind(&reply.error,
                             error_code_from_number(code),
                             header->kind,
                             "%s",
                             header->message);
    }
    codec_message_free(message);
    if (!fits) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "reply header needs an id of %d bytes",
                         ID_REQUEST_SIZE);
    }
    *out = reply;
    return 0;
}

ProtobufCMessage *codec_unpack_message(const ProtobufCMessageDescriptor *type,
                                       const uint8_t *data,
                                       size_t size,
                                       struct error *err)
{
    struct allowance allowance = {.left = RPC_UNPACK_SIZE_MAX};
    ProtobufCAllocator allocator = {
        .alloc = allowance_alloc,
        .free = allowance_free,
        .allocator_data = &allowance,
    };

    if (check_text(type, (struct wire){data, data + size}, err) != 0) {
        return NULL;
    }
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, size, data);
    if (!message) {
        (void)error_set(err,
                        ERROR_INVALID_ARGUMENT,
                        "%s cannot be unpacked: it is malformed, or takes more than %u "
                        "bytes of memory",
                        type->name,
                        RPC_UNPACK_SIZE_MAX);
    }
    return message;
}

void codec_message_free(ProtobufCMessage *message)
{
    if (message) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
}
