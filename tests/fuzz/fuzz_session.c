/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_session.c - does anything but what was said get through the seal?
 *
 * A server and a client with a session, without sockets. An input is a row of moves:
 * hellos, welcomes, requests and replies that are real but for some changed bytes,
 * repeats, bytes of the fuzzer's own, and such bytes properly sealed, which go the way
 * of a request on. What was changed or repeated opens nowhere; what was not, does. */
#include "common/clock.h"
#include "common/codec.h"
#include "common/id.h"
#include "common/session_client.h"
#include "common/session_server.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"
#include "tests/fuzz/fuzz.h"

#define HOST       "192.0.2.7"
#define CLEAR_SIZE 96 /* of a request here */
#define INNER_MAX  4096
#define FRAME_MAX  (INNER_MAX + CODEC_PREFIX_SIZE + SESSION_OVERHEAD)

static struct session_server *server;
static struct session_client *client;
static struct session_time now;
static uint8_t last[FRAME_MAX]; /* the last request that was opened */
static size_t last_size;

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

static enum session_arrival_kind
arrive(const uint8_t *frame, size_t size, struct session_arrival *out, uint8_t *opened)
{
    memcpy(opened, frame, size);
    return session_server_take(server, now, HOST, opened, size, out);
}

static void shake_hands(void)
{
    uint8_t hello[SESSION_GREETING_MAX];
    uint8_t scratch[SESSION_GREETING_MAX];
    struct session_arrival arrival;

    for (int i = 0; i < 8 && !session_client_is_live(client, now.monotonic_ms); i++) {
        size_t size = session_client_hello(client, clock_wall_ns(), hello);
        fuzz_check(arrive(hello, size, &arrival, scratch) == SESSION_ANSWER,
                   "a hello is answered");
        (void)session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL);
    }
    fuzz_check(session_client_is_live(client, now.monotonic_ms), "there is a session");
}

static void start(void)
{
    struct session_server_options server_options = {.authorize = authorize};
    struct session_client_options client_options = {.role = KEY_ROLE_AGENT};

    fuzz_check(id_init() == 0, "there are random numbers");
    now.monotonic_ms = 1000;
    now.wall_ms = clock_wall_ms();
    key_generate(&server_options.key);
    key_generate(&client_options.key);
    memcpy(client_options.server, server_options.key.public_key, KEY_SIZE);
    session_server_create(&server_options, now, &server);
    fuzz_check(session_client_create(&client_options, &client, NULL) == 0, "a client");
}

/* Changes some bytes, as the input says; whether any is another now. */
static bool change(struct fuzz_input *input, uint8_t *frame, size_t size)
{
    unsigned count = fuzz_take_byte(input) % 4;
    uint8_t *before = memory_zalloc(size);

    memcpy(before, frame, size);
    for (unsigned i = 0; i < count; i++) {
        size_t at = fuzz_take_byte(input) | (size_t)fuzz_take_byte(input) << 8;
        frame[at % size] ^= (uint8_t)fuzz_take_byte(input);
    }
    bool changed = memcmp(before, frame, size) != 0;
    free(before);
    return changed;
}

/* A hello or its welcome is changed: no session comes of it that anything opens in. */
static void greet_changed(struct fuzz_input *input, bool answer)
{
    uint8_t hello[SESSION_GREETING_MAX];
    uint8_t scratch[SESSION_GREETING_MAX];
    struct session_arrival arrival;
    size_t live = session_server_count(server).live;
    bool changed = false;
    size_t size = session_client_hello(client, clock_wall_ns(), hello);

    if (!answer) {
        changed = change(input, hello, size);
    }
    if (arrive(hello, size, &arrival, scratch) == SESSION_ANSWER) {
        if (answer) {
            changed = change(input, arrival.answer, arrival.answer_size);
        }
        enum session_greeted greeted = session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL);
        if (changed && greeted == SESSION_GREETED) {
            // The session's id is not under the seal: nothing opens in another.
            size = CLEAR_SIZE + SESSION_OVERHEAD;
            uint8_t frame[CLEAR_SIZE + SESSION_OVERHEAD] = {0};
            uint8_t opened[CLEAR_SIZE + SESSION_OVERHEAD];
            session_client_seal(client, frame, size);
            fuzz_check(arrive(frame, size, &arrival, opened) != SESSION_OPENED,
                       "a changed handshake gives no session");
            (void)session_client_hello(client, clock_wall_ns(), hello); // begins anew
        }
    }
    fuzz_check(session_server_count(server).live <= live, "no session comes alive");
}

/* The way of a request behind the seal: see rpc_server.c. */
static void take_clear(const uint8_t *opened, size_t size)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &cortex__v1__client__descriptor, &cortex__v1__agent_service__descriptor};
    struct codec_frame frame;
    struct codec_request request;
    struct error err;

    if (codec_frame_parse(
            opened + SESSION_CLEAR_AT, size - SESSION_OVERHEAD, &frame, &err) != 0 ||
        codec_unpack_request(&frame, &request, &err) != 0) {
        fuzz_check_error(&err);
    } else {
        const ProtobufCServiceDescriptor *service = services[request.timeout_ms % 2];
        const ProtobufCMethodDescriptor *method =
            &service->methods[request.request_id[0] % service->n_methods];
        codec_message_free(codec_unpack_message(
            method->input, frame.message, frame.message_size, NULL));
    }
}

/* A request whose clear frame is `inner` behind its counter; changed or not. */
static void request(struct fuzz_input *input,
                    const uint8_t *inner,
                    size_t inner_size,
                    bool change_it)
{
    uint8_t frame[FRAME_MAX] = {0};
    uint8_t opened[FRAME_MAX];
    struct session_arrival arrival;
    size_t size = CODEC_PREFIX_SIZE - 8 + inner_size + SESSION_OVERHEAD;

    shake_hands();
    memcpy(frame + SESSION_CLEAR_AT + CODEC_PREFIX_SIZE - 8, inner, inner_size);
    session_client_seal(client, frame, size);
    bool changed = change_it && change(input, frame, size);
    enum session_arrival_kind kind = arrive(frame, size, &arrival, opened);
    fuzz_check((kind == SESSION_OPENED) == !changed, "opened is what was sealed");
    if (!changed) {
        memcpy(last, frame, size);
        last_size = size;
        take_clear(opened, size);
    }
}

/* A reply to a request, changed or not. */
static void reply(struct fuzz_input *input)
{
    uint8_t frame[CLEAR_SIZE + SESSION_OVERHEAD] = {0};
    uint8_t opened[CLEAR_SIZE + SESSION_OVERHEAD];
    struct session_arrival arrival;

    shake_hands();
    session_client_seal(client, frame, sizeof(frame));
    fuzz_check(arrive(frame, sizeof(frame), &arrival, opened) == SESSION_OPENED,
               "a request is opened");
    fuzz_check(
        session_server_seal(server, now, arrival.session, opened, sizeof(opened)) == 0,
        "its session lives");
    bool changed = change(input, opened, sizeof(opened));
    enum session_reply took = session_client_open(client, opened, sizeof(opened));
    fuzz_check((took == SESSION_REPLY_OPENED) == !changed, "opened is what was sealed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nothing[CLEAR_SIZE - CODEC_PREFIX_SIZE + 8];
    struct fuzz_input input = {data, size};
    uint8_t scratch[FRAME_MAX];
    struct session_arrival arrival;

    if (!server) {
        start();
    }
    now.monotonic_ms += 1000; // hellos of another second
    for (int moves = 0; moves < 8 && input.size > 0; moves++) {
        switch (fuzz_take_byte(&input) % 7) {
        case 0:
            greet_changed(&input, false);
            break;
        case 1:
            greet_changed(&input, true);
            break;
        case 2:
            request(&input, nothing, sizeof(nothing), true);
            break;
        case 3:
            reply(&input);
            break;
        case 4:
            if (last_size > 0) {
                fuzz_check(arrive(last, last_size, &arrival, scratch) != SESSION_OPENED,
                           "nothing opens twice");
            }
            break;
        case 5: // bytes of its own, properly sealed
            size = input.size < INNER_MAX ? input.size : INNER_MAX;
            request(&input, input.data, size, false);
            return 0;
        default: // and not sealed
            size = input.size < FRAME_MAX ? input.size : FRAME_MAX;
            fuzz_check(arrive(input.data, size, &arrival, scratch) != SESSION_OPENED,
                       "what nobody sealed does not open");
            return 0;
        }
    }
    return 0;
}
