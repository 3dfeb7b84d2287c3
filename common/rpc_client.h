/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_client.h - how a request goes out over nng and its reply comes back
 *
 * A client is one REQ socket with one connection and at most one request in flight: a
 * program that needs several conversations creates several clients, each used by one
 * thread at a time. Calls are made through protobuf-c's generated stubs on
 * rpc_client_service():
 *
 *   const Cortex__V1__GetJobReply *reply = NULL;
 *   cortex__v1__client__get_job(rpc_client_service(client), &request,
 *                               RPC_CLIENT_KEEP(Cortex__V1__GetJobReply), &reply);
 *   if (rpc_client_result(client, err) != 0) ...   // reply is NULL then
 *
 * A stub blocks until the reply is there or the timeout is over. Until then it retries
 * with the same request id what the transport lost (a connection that broke, nobody
 * listening, UNAVAILABLE), with backoff and jitter; nng's own resending is off. The
 * first connection may come late: a client whose server is not up yet waits for it.
 *
 * With keys (`seal`) every frame is sealed: the client shakes hands before its first
 * request, after an hour, after a reject and when the server was started anew, within
 * the same call and under the same request id, so that the caller notices nothing. A
 * key that the server refuses ends the call with UNAUTHENTICATED or PERMISSION_DENIED
 * at once; so does, after three attempts, a server that is not the one whose key was
 * given. Without keys frames are clear, which a server takes on loopback only.
 *
 * nng 1.5 cannot safely close a socket in a living process: there is no destroy.
 */
#ifndef CORTEX_COMMON_RPC_CLIENT_H
#define CORTEX_COMMON_RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "common/error.h"
#include "common/session_client.h"

#define RPC_CLIENT_TIMEOUT_MS 30000
#define RPC_CLIENT_CONNECT_MS 2000 /* how long a call that is not retried waits */
                                   /* for its connection */
#define RPC_TIMEOUT_MAX_MS 600000

struct rpc_client;

struct rpc_client_options {
    const char *url;                           /* the master's address */
    const char *release;                       /* NULL: this build's */
    size_t frame_size_max;                     /* 0: RPC_FRAME_SIZE_MAX */
    const struct session_client_options *seal; /* copied; NULL: frames are clear */
};

/* Dials in the background; never blocks. -1 only for a malformed URL, a name or token
 * that is no such, or when nng has no memory. */
int rpc_client_create(const struct rpc_client_options *options,
                      struct rpc_client **out_client,
                      struct error *err);

/* The service to pass to the stubs of `descriptor`. Lives as long as the client. */
ProtobufCService *rpc_client_service(struct rpc_client *client,
                                     const ProtobufCServiceDescriptor *descriptor);

/* For the next call only: its timeout in ms (default RPC_CLIENT_TIMEOUT_MS); whether it
 * is retried (default true); and the bytes behind its message (borrowed until the call
 * returns). */
void rpc_client_set_timeout(struct rpc_client *client, int64_t timeout_ms);
void rpc_client_set_retry(struct rpc_client *client, bool retry);
void rpc_client_attach(struct rpc_client *client, const void *data, size_t size);

/* For every later call: it is asked for somebody who may do no more than this (see
 * acting_role in proto/rpc.proto). NULL apis: all. INVALID_ARGUMENT, and nothing set,
 * for apis that are longer than the envelope takes. */
int rpc_client_act_for(struct rpc_client *client,
                       enum key_role role,
                       const char *apis,
                       struct error *err);

/* How the last call ended: 0, or -1 with the master's error or the transport's
 * (UNAVAILABLE, DEADLINE_EXCEEDED; these say the address that was tried). */
int rpc_client_result(const struct rpc_client *client, struct error *err);

/* The last reply's attachment. It and the reply message live until the next call. */
const void *rpc_client_attachment(const struct rpc_client *client, size_t *out_size);

/* The closure for every stub: data is the address of a const reply pointer. */
void rpc_client_keep(const ProtobufCMessage *message, void *data);
#define RPC_CLIENT_KEEP(type)                                                          \
    ((void (*)(const type *, void *))(void (*)(void))rpc_client_keep)

/* From another thread: makes the call in flight, and every later one, end at once with
 * CANCELLED. For leaving. */
void rpc_client_cancel(struct rpc_client *client);

/* Monotonic ms when an answer last came in; the creation's until then. For the
 * agent's watchdog. */
int64_t rpc_client_heard_ms(const struct rpc_client *client);

/* How often nng had to be helped to connect again: see rpc_connection.h. Any thread. */
unsigned rpc_client_redials(const struct rpc_client *client);

#endif
