/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_codec.c - what does a frame do on its way from the wire to a handler?
 *
 * Goes the way of rpc_server.c: frame, envelope, method, message; and of a client with
 * a reply. What got through is packed again. */
#include "common/codec.h"
#include "master/routes.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &cortex__v1__client__descriptor, &cortex__v1__agent_service__descriptor};

static const ProtobufCMethodDescriptor *find_method(const char *name)
{
    const char *slash = strchr(name, '/');

    for (size_t i = 0; slash && i < 2; i++) {
        size_t size = strlen(services[i]->name);
        if (size == (size_t)(slash - name) &&
            memcmp(services[i]->name, name, size) == 0) {
            return protobuf_c_service_descriptor_get_method_by_name(services[i],
                                                                    slash + 1);
        }
    }
    return NULL;
}

static void
take_message(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size)
{
    struct error err = {0};
    ProtobufCMessage *message = codec_unpack_message(type, data, size, &err);

    if (!message) {
        fuzz_check_error(&err);
        return;
    }
    size_t packed_size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = memory_zalloc(packed_size + 1);
    fuzz_check(protobuf_c_message_pack(message, packed) == packed_size, "its size");
    ProtobufCMessage *again = codec_unpack_message(type, packed, packed_size, &err);
    fuzz_check(again != NULL, "what was taken can be sent on");
    fuzz_check(protobuf_c_message_get_packed_size(again) == packed_size, "as it was");
    codec_message_free(again);
    codec_message_free(message);
    free(packed);
}

/* The message under a type of the fuzzer's choice, so that each is tried without its
 * name being guessed. */
static void take_any(const struct codec_frame *frame)
{
    const ProtobufCServiceDescriptor *service = services[frame->counter & 1];
    const ProtobufCMethodDescriptor *method =
        &service->methods[(frame->counter >> 1) % service->n_methods];

    take_message(frame->counter >> 8 & 1 ? method->output : method->input,
                 frame->message,
                 frame->message_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct codec_frame frame;
    struct codec_request request;
    struct codec_reply reply;
    struct error err = {0};

    if (codec_frame_parse(data, size, &frame, &err) != 0) {
        fuzz_check_error(&err);
        return 0;
    }
    fuzz_check(frame.envelope_size + frame.message_size + frame.attachment_size +
                       CODEC_PREFIX_SIZE ==
                   size,
               "a frame's parts are all of it");
    if (codec_unpack_request(&frame, &request, &err) == 0) {
        const ProtobufCMethodDescriptor *method = find_method(request.method);
        if (method) {
            fuzz_check(route_find(request.method) != NULL, "a method has a route");
            take_message(method->input, frame.message, frame.message_size);
        }
    } else {
        fuzz_check_error(&err);
    }
    if (codec_unpack_reply(&frame, &reply, &err) != 0) {
        fuzz_check_error(&err);
    }
    take_any(&frame);
    return 0;
}
