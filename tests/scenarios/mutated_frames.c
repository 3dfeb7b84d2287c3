/* SPDX-License-Identifier: Apache-2.0 */
/* mutated_frames.c - does any frame but what was sealed get through to a handler?
 *
 * The whole way of a frame that comes in, without a socket: nng's message, the seal,
 * the envelope, the method, its message. Frames are real requests of every method with
 * fields of every kind, changed after they were sealed, or before (by one who has a
 * key), or they are hellos, cookies and noise. What was changed under the seal never
 * opens, and no session comes or goes. CORTEX_FULL=1 is the full dose. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nng/nng.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/id.h"
#include "common/rpc_frame.h"
#include "common/session_client.h"
#include "common/session_server.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"
#include "tests/support/fault_row.h"

#define HOST      "192.0.2.7"
#define DEPTH_MAX 3   /* of messages in messages */
#define TEXT_MAX  40  /* bytes of a text or of noise in a field */
#define HELLO_OF  500 /* one in so many frames is a hello, which costs most */

static const ProtobufCServiceDescriptor *const services[] = {
    &cortex__v1__client__descriptor, &cortex__v1__agent_service__descriptor};

static struct session_server *server;
static struct session_client *client;
static uint64_t dice;

static struct {
    uint64_t opened;  // of frames that were sealed as they are
    uint64_t parsed;  // of those, that have an envelope and a message of a method
    uint64_t entered; // that were changed under the seal, and opened nevertheless
    uint64_t lost;    // that were not changed, and did not open
} counts;

/* splitmix64: Steele, Lea & Flood, Fast Splittable Pseudorandom Number Generators. */
static uint64_t draw(void)
{
    uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t draw_below(size_t end)
{
    return (size_t)(draw() % end);
}

static void add_noise(struct buffer *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        buffer_add_char(out, (char)draw());
    }
}

/* --- a message of any type, as it stands on the wire --- */

static void add_varint(struct buffer *out, uint64_t value)
{
    for (; value >= 128; value >>= 7) {
        buffer_add_char(out, (char)(value | 128));
    }
    buffer_add_char(out, (char)value);
}

static void add_sized(struct buffer *out, const struct buffer *what)
{
    add_varint(out, what->size);
    buffer_add(out, what->data, what->size);
}

static void
add_message(struct buffer *out, const ProtobufCMessageDescriptor *type, int depth);

static void
add_field(struct buffer *out, const ProtobufCFieldDescriptor *field, int depth)
{
    struct buffer value = BUFFER_INIT;

    switch (field->type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        add_varint(out, field->id << 3 | 1);
        add_noise(out, 8);
        break;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        add_varint(out, field->id << 3 | 5);
        add_noise(out, 4);
        break;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        add_varint(out, field->id << 3 | 2);
        for (size_t i = draw_below(TEXT_MAX); i > 0; i--) {
            buffer_add_char(&value, (char)(' ' + draw_below(95)));
        }
        add_sized(out, &value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        add_varint(out, field->id << 3 | 2);
        add_message(&value, field->descriptor, depth + 1);
        add_sized(out, &value);
        break;
    default:
        add_varint(out, field->id << 3);
        add_varint(out, draw() >> draw_below(64));
    }
    buffer_fini(&value);
}

static void
add_message(struct buffer *out, const ProtobufCMessageDescriptor *type, int depth)
{
    for (unsigned i = 0; i < type->n_fields && depth < DEPTH_MAX; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        size_t times = field->label == PROTOBUF_C_LABEL_REPEATED ? draw_below(4) : 1;
        for (; times > 0 && draw_below(4) > 0; times--) {
            add_field(out, field, depth);
        }
    }
}

static const ProtobufCMethodDescriptor *draw_method(const char **out_service)
{
    const ProtobufCServiceDescriptor *service =
        services[draw_below(sizeof(services) / sizeof(services[0]))];

    *out_service = service->name;
    return &service->methods[draw_below(service->n_methods)];
}

/* A clear request of any method. */
static void make_request(struct buffer *out)
{
    struct codec_request request = {.timeout_ms = 5000, .release = "0.1.0"};
    struct buffer message = BUFFER_INIT;
    const char *service;
    const ProtobufCMethodDescriptor *method = draw_method(&service);

    add_message(&message, method->input, 0);
    (void)snprintf(
        request.method, sizeof(request.method), "%s/%s", service, method->name);
    id_random_bytes(request.request_id, sizeof(request.request_id));
    ProtobufCMessage *unpacked = codec_unpack_message(
        method->input, (const uint8_t *)message.data, message.size, NULL);
    codec_pack_request(&request, 1, unpacked, HOST, draw_below(sizeof(HOST)), out);
    codec_message_free(unpacked);
    buffer_fini(&message);
}

/* --- changes --- */

// One to eight bytes become others, or the end is cut off or grows.
static bool change(struct buffer *frame)
{
    struct buffer before = BUFFER_INIT;

    buffer_add(&before, frame->data, frame->size);
    switch (draw_below(8)) {
    case 0:
        frame->size = draw_below(frame->size + 1);
        break;
    case 1:
        add_noise(frame, 1 + draw_below(TEXT_MAX));
        break;
    default:
        for (size_t i = 1 + draw_below(8); i > 0; i--) {
            frame->data[draw_below(frame->size)] ^= (char)(1u << draw_below(8));
        }
    }
    bool changed = before.size != frame->size ||
                   memcmp(before.data, frame->data, frame->size) != 0;
    buffer_fini(&before);
    return changed;
}

/* --- the way in: see rpc_server.c --- */

static const ProtobufCMessageDescriptor *input_of(const char *method)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        size_t size = strlen(services[i]->name);
        if (strncmp(method, services[i]->name, size) == 0 && method[size] == '/') {
            const ProtobufCMethodDescriptor *found =
                protobuf_c_service_descriptor_get_method_by_name(services[i],
                                                                 method + size + 1);
            return found ? found->input : NULL;
        }
    }
    return NULL;
}

static void unpack(const struct codec_frame *frame)
{
    struct codec_request request;
    struct error err;

    if (codec_unpack_request(frame, &request, &err) != 0) {
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        return;
    }
    const ProtobufCMessageDescriptor *input = input_of(request.method);
    if (input) {
        ProtobufCMessage *message =
            codec_unpack_message(input, frame->message, frame->message_size, NULL);
        counts.parsed += message != NULL;
        codec_message_free(message);
    }
}

static enum rpc_arrival arrive(const struct buffer *frame)
{
    struct rpc_caller caller;
    struct codec_frame opened;
    nng_msg *message;
    nng_msg *answer = NULL;

    assert_int_equal(nng_msg_alloc(&message, frame->size), 0);
    memcpy(nng_msg_body(message), frame->data, frame->size);
    enum rpc_arrival arrival =
        rpc_frame_arrive(server, HOST, message, &caller, &opened, &answer);
    if (arrival == RPC_ARRIVAL_REQUEST) {
        unpack(&opened);
    }
    nng_msg_free(message);
    rpc_frame_free(answer);
    return arrival;
}

/* --- frames --- */

static void shake_hands(void)
{
    while (!session_client_is_live(client, clock_monotonic_ms())) {
        uint8_t hello[SESSION_GREETING_MAX];
        struct session_arrival arrival;
        struct session_time now = {clock_monotonic_ms(), clock_wall_ms()};
        size_t size = session_client_hello(client, clock_wall_ns(), hello);
        assert_int_equal(session_server_take(server, now, HOST, hello, size, &arrival),
                         SESSION_ANSWER);
        (void)session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL);
    }
}

// A sealed request, changed before or after it is sealed, or not at all.
static void send_request(bool before, bool after)
{
    struct buffer clear = BUFFER_INIT;
    struct buffer frame = BUFFER_INIT;

    make_request(&clear);
    if (before) {
        (void)change(&clear);
    }
    if (clear.size < CODEC_PREFIX_SIZE) {
        add_noise(&clear, CODEC_PREFIX_SIZE - clear.size);
    }
    for (size_t i = 0; i < SESSION_CLEAR_AT; i++) {
        buffer_add_char(&frame, 0);
    }
    buffer_add(&frame, clear.data, clear.size);
    for (size_t i = 0; i < SESSION_OVERHEAD - SESSION_CLEAR_AT; i++) {
        buffer_add_char(&frame, 0);
    }
    session_client_seal(client, (uint8_t *)frame.data, frame.size);
    bool changed = after && change(&frame);
    enum rpc_arrival arrival = arrive(&frame);
    if (changed) {
        counts.entered += arrival == RPC_ARRIVAL_REQUEST;
    } else {
        counts.opened += arrival == RPC_ARRIVAL_REQUEST;
        counts.lost += !before && arrival != RPC_ARRIVAL_REQUEST;
    }
    buffer_fini(&clear);
    buffer_fini(&frame);
}

static void send_hello(void)
{
    struct buffer frame = BUFFER_INIT;
    uint8_t hello[SESSION_GREETING_MAX];
    struct session_client *stranger;
    struct session_client_options options = {.name = "a stranger"};

    key_generate(&options.key);
    memcpy(options.server, options.key.public_key, KEY_SIZE);
    assert_int_equal(session_client_create(&options, &stranger, NULL), 0);
    size_t size = session_client_hello(stranger, clock_wall_ns(), hello);
    buffer_add(&frame, hello, size);
    (void)change(&frame);
    assert_int_not_equal(arrive(&frame), RPC_ARRIVAL_REQUEST);
    session_client_destroy(stranger);
    buffer_fini(&frame);
}

static void send_noise(void)
{
    struct buffer frame = BUFFER_INIT;

    buffer_add(&frame, "CX\1", 3);
    buffer_add_char(&frame, (char)draw_below(8));
    add_noise(&frame, draw_below(300));
    if (draw_below(2)) {
        memset(frame.data + 3, 3, 1); // data
    }
    assert_int_not_equal(arrive(&frame), RPC_ARRIVAL_REQUEST);
    buffer_fini(&frame);
}

static int authorize(void *data,
                     const struct session_claim *claim,
                     enum key_role *out_role,
                     struct error *err)
{
    (void)data;
    (void)err;
    *out_role = claim->role;
    return 0;
}

static int set_up(void **state)
{
    struct session_server_options options = {.authorize = authorize};
    struct session_client_options wants = {.role = KEY_ROLE_AGENT};
    struct session_time now = {clock_monotonic_ms(), clock_wall_ms()};

    (void)state;
    assert_int_equal(id_init(), 0);
    key_generate(&options.key);
    key_generate(&wants.key);
    memcpy(wants.server, options.key.public_key, KEY_SIZE);
    session_server_create(&options, now, &server);
    return session_client_create(&wants, &client, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    session_client_destroy(client);
    session_server_destroy(server);
    return 0;
}

static void nothing_that_was_changed_on_the_way_reaches_a_handler(void **state)
{
    const char *full = getenv("CORTEX_FULL");
    unsigned dose = full && strcmp(full, "1") == 0 ? 10000000 : 100000;

    (void)state;
    shake_hands();
    send_request(false, false);
    assert_int_equal(session_server_count(server).live, 1);
    for (unsigned i = 0; i < dose; i++) {
        shake_hands();
        size_t kind = draw_below(HELLO_OF);
        if (kind == 0) {
            send_hello();
        } else if (kind < HELLO_OF / 10) {
            send_noise();
        } else {
            send_request(kind % 3 == 0, kind % 3 == 1 || kind % 6 == 0);
        }
    }
    struct session_counts sessions = session_server_count(server);
    assert_int_equal(sessions.live, 1);
    assert_int_equal(sessions.pending, 0);
    print_message("%" PRIu64 " were opened, %" PRIu64 " of them had a message\n",
                  counts.opened,
                  counts.parsed);
    assert_true(counts.parsed > dose / 10);
    fault_row_add("mutated frames through the whole receive path",
                  dose,
                  (unsigned)counts.lost,
                  (unsigned)counts.entered);
    assert_int_equal(counts.entered, 0);
    assert_int_equal(counts.lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_was_changed_on_the_way_reaches_a_handler),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
