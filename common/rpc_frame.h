/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_frame.h - how a frame stands in a message of nng's, clear or sealed
 *
 * Messages are nng's (nng_msg), named so that no other file needs its headers. Nothing
 * blocks: sealing and opening compute, on the caller's thread, without a lock. */
#ifndef CORTEX_COMMON_RPC_FRAME_H
#define CORTEX_COMMON_RPC_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/codec.h"
#include "common/key.h"
#include "common/session_client.h"
#include "common/session_server.h"

/* A message of nng's is at most so much longer than the clear frame in it: the seal,
 * and nng's own request id. */
#define RPC_FRAME_OVERHEAD 64

struct nng_msg;

/* Who sent a request. */
struct rpc_caller {
    uint64_t session; /* 0: the frame was clear */
    unsigned char key[KEY_SIZE];
    enum key_role role; /* of a clear frame: admin, since it came from this machine */
    char token[SESSION_TOKEN_SIZE]; /* that its session was made with, or "" */
};

/* What a message is to a server. */
enum rpc_arrival {
    RPC_ARRIVAL_GARBAGE, /* hang up */
    RPC_ARRIVAL_ANSWER,  /* part of a handshake: send *out_answer back */
    RPC_ARRIVAL_REQUEST, /* *out_frame points into the message */
};

/* `sessions` NULL: frames are clear; otherwise clear ones are garbage. */
enum rpc_arrival rpc_frame_arrive(struct session_server *sessions,
                                  const char *host,
                                  struct nng_msg *message,
                                  struct rpc_caller *out_caller,
                                  struct codec_frame *out_frame,
                                  struct nng_msg **out_answer);

/* A reply or a request made of all that codec puts in front of its attachment, and the
 * attachment. The reply is NULL if the caller's session has ended. */
struct nng_msg *rpc_frame_reply(struct session_server *sessions,
                                const struct rpc_caller *caller,
                                const struct buffer *head,
                                const void *attachment,
                                size_t attachment_size);
struct nng_msg *rpc_frame_request(struct session_client *session,
                                  const struct buffer *head,
                                  const void *attachment,
                                  size_t attachment_size);

/* A hello; NULL if the server's key is none. */
struct nng_msg *rpc_frame_hello(struct session_client *session);
/* As session_client_take, of a message. */
enum session_greeted rpc_frame_greeted(struct session_client *session,
                                       struct nng_msg *answer,
                                       struct error *err);

/* As session_client_open, of a message; *out_frame points into it. `session` NULL:
 * frames are clear. Garbage sets err. */
enum session_reply rpc_frame_open_reply(struct session_client *session,
                                        struct nng_msg *message,
                                        struct codec_frame *out_frame,
                                        struct error *err);

void rpc_frame_free(struct nng_msg *message); /* NULL is fine */

#endif
