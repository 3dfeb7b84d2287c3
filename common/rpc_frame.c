/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_frame.c - how a frame stands in a message of nng's, clear or sealed */
#include "common/rpc_frame.h"

#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

#include "common/clock.h"

static nng_msg *allocate(size_t size)
{
    nng_msg *message;

    if (nng_msg_alloc(&message, size) != 0) {
        abort(); // out of memory ends the process, as in common/buffer.h
    }
    return message;
}

static nng_msg *copy_of(const void *bytes, size_t size)
{
    nng_msg *message = allocate(size);

    memcpy(nng_msg_body(message), bytes, size);
    return message;
}

/* The clear frame, with room to seal it in place if that is wanted. */
static nng_msg *lay_out(const struct buffer *head,
                        const void *attachment,
                        size_t attachment_size,
                        bool sealed)
{
    size_t clear_size = head->size + attachment_size;
    nng_msg *message = allocate(clear_size + (sealed ? SESSION_OVERHEAD : 0));
    uint8_t *at = (uint8_t *)nng_msg_body(message) + (sealed ? SESSION_CLEAR_AT : 0);

    memcpy(at, head->data, head->size);
    if (attachment_size > 0) {
        memcpy(at + head->size, attachment, attachment_size);
    }
    return message;
}

/* The clear frame in a message that was opened in place. */
static int parse_opened(nng_msg *message, struct codec_frame *out, struct error *err)
{
    return codec_frame_parse((uint8_t *)nng_msg_body(message) + SESSION_CLEAR_AT,
                             nng_msg_len(message) - SESSION_OVERHEAD,
                             out,
                             err);
}

static struct session_time now(void)
{
    return (struct session_time){
        .monotonic_ms = clock_monotonic_ms(),
        .wall_ms = clock_wall_ms(),
    };
}

/* --- the server's side --- */

static enum rpc_arrival arrive_sealed(struct session_server *sessions,
                                      const char *host,
                                      nng_msg *message,
                                      struct rpc_caller *out_caller,
                                      struct codec_frame *out_frame,
                                      nng_msg **out_answer)
{
    struct session_arrival arrival;

    switch (session_server_take(
        sessions, now(), host, nng_msg_body(message), nng_msg_len(message), &arrival)) {
    case SESSION_GARBAGE:
        break;
    case SESSION_ANSWER:
        *out_answer = copy_of(arrival.answer, arrival.answer_size);
        return RPC_ARRIVAL_ANSWER;
    case SESSION_OPENED:
        if (parse_opened(message, out_frame, NULL) == 0) {
            out_caller->session = arrival.session;
            memcpy(out_caller->key, arrival.key, KEY_SIZE);
            out_caller->role = arrival.role;
            memcpy(out_caller->token, arrival.token, sizeof(out_caller->token));
            return RPC_ARRIVAL_REQUEST;
        }
    }
    return RPC_ARRIVAL_GARBAGE;
}

enum rpc_arrival rpc_frame_arrive(struct session_server *sessions,
                                  const char *host,
                                  struct nng_msg *message,
                                  struct rpc_caller *out_caller,
                                  struct codec_frame *out_frame,
                                  struct nng_msg **out_answer)
{
    if (sessions) {
        return arrive_sealed(
            sessions, host, message, out_caller, out_frame, out_answer);
    }
    if (codec_frame_parse(
            nng_msg_body(message), nng_msg_len(message), out_frame, NULL) != 0) {
        return RPC_ARRIVAL_GARBAGE;
    }
    *out_caller = (struct rpc_caller){.session = 0, .role = KEY_ROLE_ADMIN};
    return RPC_ARRIVAL_REQUEST;
}

struct nng_msg *rpc_frame_reply(struct session_server *sessions,
                                const struct rpc_caller *caller,
                                const struct buffer *head,
                                const void *attachment,
                                size_t attachment_size)
{
    bool sealed = sessions != NULL;
    nng_msg *message = lay_out(head, attachment, attachment_size, sealed);

    if (sealed && session_server_seal(sessions,
                                      now(),
                                      caller->session,
                                      nng_msg_body(message),
                                      nng_msg_len(message)) != 0) {
        nng_msg_free(message);
        return NULL;
    }
    return message;
}

/* --- the client's side --- */

struct nng_msg *rpc_frame_request(struct session_client *session,
                                  const struct buffer *head,
                                  const void *attachment,
                                  size_t attachment_size)
{
    nng_msg *message = lay_out(head, attachment, attachment_size, session != NULL);

    if (session) {
        session_client_seal(session, nng_msg_body(message), nng_msg_len(message));
    }
    return message;
}

struct nng_msg *rpc_frame_hello(struct session_client *session)
{
    uint8_t hello[SESSION_GREETING_MAX];
    size_t size = session_client_hello(session, clock_wall_ns(), hello);

    return size > 0 ? copy_of(hello, size) : NULL;
}

enum session_greeted rpc_frame_greeted(struct session_client *session,
                                       struct nng_msg *answer,
                                       struct error *err)
{
    return session_client_take(
        session, clock_monotonic_ms(), nng_msg_body(answer), nng_msg_len(answer), err);
}

enum session_reply rpc_frame_open_reply(struct session_client *session,
                                        struct nng_msg *message,
                                        struct codec_frame *out_frame,
                                        struct error *err)
{
    uint8_t *body = nng_msg_body(message);
    size_t size = nng_msg_len(message);

    if (!session) {
        return codec_frame_parse(body, size, out_frame, err) == 0
                   ? SESSION_REPLY_OPENED
                   : SESSION_REPLY_GARBAGE;
    }
    enum session_reply reply = session_client_open(session, body, size);
    if (reply == SESSION_REPLY_GARBAGE) {
        (void)error_set(
            err, ERROR_INVALID_ARGUMENT, "it is not sealed as it should be");
    } else if (reply == SESSION_REPLY_OPENED &&
               parse_opened(message, out_frame, err) != 0) {
        reply = SESSION_REPLY_GARBAGE;
    }
    return reply;
}

void rpc_frame_free(struct nng_msg *message)
{
    nng_msg_free(message);
}
