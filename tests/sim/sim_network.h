/* SPDX-License-Identifier: Apache-2.0 */
/* sim_network.h - what becomes of a call on its way
 *
 * Does what common/rpc_client and nng can do to a call, and no more: a request or reply
 * may be late, or be lost with or without its caller noticing; a call whose connection
 * broke is repeated with the same request id; the request of an earlier attempt, or of
 * a caller that has died, may still arrive, later than what was sent after it; a reply
 * reaches only the newest attempt of a caller that lives. What was sent to a master
 * that died never reaches the next one; what it sent may arrive at once, is lost, or
 * comes when its successor is long there, by a connection that seemed well. */
#ifndef CORTEX_TESTS_SIM_NETWORK_H
#define CORTEX_TESTS_SIM_NETWORK_H

#include <protobuf-c/protobuf-c.h>

#include "common/error.h"
#include "common/id.h"
#include "master/routes.h"
#include "tests/sim/sim.h"

struct sim_call;

/* reply NULL: err says why. Both are borrowed. */
typedef void (*sim_done_fn)(struct sim *sim,
                            struct sim_call *call,
                            const ProtobufCMessage *reply,
                            const struct error *err);

/* A direction of an agent's link to the master is closed until then; the agent itself
 * is stopped (SIGSTOP), and takes in nothing, until then. */
struct sim_link {
    int64_t stopped_until_ms;
    int64_t to_until_ms;
    int64_t from_until_ms;
};

struct sim_call {
    const struct route *route;
    unsigned char request_id[ID_REQUEST_SIZE];
    ProtobufCMessage *message; /* the run's */
    void *plan;                /* what stands for the attachment */
    const struct sim_link *link;
    const uint32_t *epoch; /* the caller lives while it is `seen` */
    uint32_t seen;
    int64_t deadline_ms;
    bool retry;
    bool over;
    uint32_t attempt;
    uint32_t held_up; /* the attempt whose connection delivers late and seems well */
    int64_t connect_until_ms;
    sim_done_fn done;
    void *owner;
    struct sim_call *next; /* open ones */
};

/* A request as the master has it: what its handlers know as `call`. */
struct sim_frame {
    struct sim_call *call;
    uint32_t attempt;
    uint32_t master_epoch;
    bool answered;
};

struct sim_call_options {
    const char *method;
    ProtobufCMessage *message; /* taken */
    void *plan;
    const struct sim_link *link; /* NULL: a link that is never closed */
    const uint32_t *epoch;
    int64_t timeout_ms;
    bool retry;
    sim_done_fn done;
    void *owner;
};
struct sim_call *sim_call_start(struct sim *sim,
                                const struct sim_call_options *options);

/* A message as its receiver unpacks it, so that what is not on the wire is not seen.
 * The caller frees with codec_message_free. */
ProtobufCMessage *sim_message_copy(const ProtobufCMessage *message);

/* The master answers. message (may be NULL) is borrowed and copied. */
void sim_reply(struct sim *sim,
               struct sim_frame *frame,
               const ProtobufCMessage *message,
               const struct error *err);

/* The master is dead: who waits for it notices, sooner or later. */
void sim_network_master_died(struct sim *sim);

#endif
