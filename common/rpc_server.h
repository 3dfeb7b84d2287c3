/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_server.h - how requests come in over nng and replies go out
 *
 * Listens with a raw-context REP socket, checks each frame (proto/rpc.proto), unpacks
 * its message with a capped allocator, and hands the call to the protobuf-c service it
 * names. A call may be answered at once or later, from any thread: a call that waits is
 * how things are pushed. The server holds at least RPC_SERVER_RECEIVING contexts that
 * receive and opens more as calls are parked, up to contexts_max; beyond it a call is
 * answered UNAVAILABLE with a retry_after.
 *
 * With a key (`seal`) the server may listen anywhere: every frame is sealed, clear ones
 * are hung up on, and each call has a caller whose key was accepted within the last
 * second. Without one, frames are clear and it listens for this machine only.
 *
 * nng 1.5 cannot safely close a socket in a living process, so there is no destroy: to
 * leave, answer what is in flight (rpc_server_drain) and end the process.
 * See also: nng_rep(7), nng_ctx(5).
 */
#ifndef CORTEX_COMMON_RPC_SERVER_H
#define CORTEX_COMMON_RPC_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "common/error.h"
#include "common/session_server.h"

#define RPC_SERVER_RECEIVING 8     /* contexts that are always receiving */
#define RPC_REPLY_TIMEOUT_MS 2000  /* a peer that takes longer to read is cut */
#define RPC_PARK_MAX_MS      25000 /* longest time a call may wait for its answer */
#define RPC_FRAME_SIZE_MAX   (24u << 20)  /* bytes of a frame, attachment included */
#define RPC_UNPACK_SIZE_MAX  (64u << 20)  /* bytes an unpacked message may take */
#define RPC_HELD_SIZE_MAX    (512u << 20) /* bytes of all frames not yet answered */

struct rpc_server;
struct rpc_call;

struct rpc_server_options {
    const char *url;                      /* "tcp://127.0.0.1:8790", "ipc:///path" */
    size_t frame_size_max;                /* 0: RPC_FRAME_SIZE_MAX */
    unsigned contexts_max;                /* 0: 4,096 */
    unsigned connections_max;             /* 0: 8,192; refused in nng's ADD_PRE */
    unsigned connections_per_address_max; /* 0: no limit of its own */
    /* NULL-terminated. For a request of a method of services[i], on one of nng's
     * threads: services[i]->invoke(services[i], method_index, message, NULL, call).
     * invoke must not block; it owns `call` from then on and answers it exactly once
     * by rpc_call_reply or rpc_call_fail. `message` lives as long as the call. */
    ProtobufCService **services;
    /* Copied; NULL: frames are clear. Its callbacks run on nng's threads and must not
     * block; its frame_size_max is the server's. */
    const struct session_server_options *seal;
};

/* Starts to listen. The server lives as long as the process. */
int rpc_server_start(const struct rpc_server_options *options,
                     struct rpc_server **out_server,
                     struct error *err);

/* With a seal: see session_server_rekey. Any thread. */
void rpc_server_rekey(struct rpc_server *server,
                      const struct key_pair *key,
                      const struct key_pair *next);

/* The URL it listens on, with the port the system chose if 0 was asked for. */
const char *rpc_server_url(const struct rpc_server *server);

/* Takes no new call (they are answered UNAVAILABLE) and waits at most timeout_ms until
 * the replies of all others have been sent. Returns how many have not. */
unsigned rpc_server_drain(struct rpc_server *server, int64_t timeout_ms);

/* Watchdog for nng's wedge (nng #1636): how many descriptors of this server's
 * connections are still open though their other side has hung up. nng closes such at
 * once; more than RPC_DRIFT_MAX for RPC_DRIFT_MS means that its reaper is stuck and the
 * process should execute itself anew. Asks the kernel, since a stuck reaper no longer
 * reports that a pipe ended; two system calls a descriptor, so once a second at most.
 */
#define RPC_DRIFT_MAX 32
#define RPC_DRIFT_MS  5000
int rpc_server_descriptor_drift(struct rpc_server *server);

/* What a call brought. All borrowed, valid until it is answered. */
const char *
rpc_call_method(const struct rpc_call *call); /* "cortex.v1.Client/GetJob" */
const unsigned char *rpc_call_request_id(const struct rpc_call *call); /* 16 bytes */
const ProtobufCMessage *rpc_call_message(const struct rpc_call *call);
const void *rpc_call_attachment(const struct rpc_call *call, size_t *out_size);
uint32_t
rpc_call_timeout_ms(const struct rpc_call *call); /* as sent, not what is left */
const char *rpc_call_release(const struct rpc_call *call); /* the caller's */
const char *rpc_call_peer(const struct rpc_call *call);    /* address, for logs */
/* The caller's public key, KEY_SIZE bytes; NULL if frames are clear. */
const unsigned char *rpc_call_key(const struct rpc_call *call);
/* What it may do. Of a clear frame KEY_ROLE_ADMIN: it came from this machine. */
enum key_role rpc_call_role(const struct rpc_call *call);

/* For whom the caller asks; NONE if for himself. "" : apis are not limited. */
enum key_role rpc_call_acting_role(const struct rpc_call *call);
const char *rpc_call_acting_apis(const struct rpc_call *call);
/* The id of the join token that the caller's session was made with, or "". */
const char *rpc_call_token(const struct rpc_call *call);

/* Answers and frees the call. Any thread; never blocks. The message and attachment are
 * copied, and sealed, before it returns. A reply over frame_size_max is sent as
 * INTERNAL. If the caller's session has ended meanwhile (its key was revoked, say), the
 * connection is closed instead. */
void rpc_call_reply(struct rpc_call *call,
                    const ProtobufCMessage *message,
                    const void *attachment,
                    size_t attachment_size);
void rpc_call_fail(struct rpc_call *call,
                   const struct error *err,
                   uint32_t retry_after_ms);

#endif
