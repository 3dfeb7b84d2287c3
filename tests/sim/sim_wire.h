/* SPDX-License-Identifier: Apache-2.0 */
/* sim_wire.h - what an agent decides, as messages that have gone over a wire */
#ifndef CORTEX_TESTS_SIM_WIRE_H
#define CORTEX_TESTS_SIM_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "tests/sim/sim_agent.h"

/* The caller frees with codec_message_free. */
ProtobufCMessage *sim_wire_sync_request(struct sim_agent *agent,
                                        const struct agent_sync_request *from);
ProtobufCMessage *sim_wire_work_request(struct sim_agent *agent,
                                        const struct agent_work_request *from);

/* Free with agent_sync_reply_fini. */
void sim_wire_sync_reply(const ProtobufCMessage *reply, struct agent_sync_reply *out);

/* Returns the grants, which the caller frees; the rest of *out is borrowed. */
struct agent_grant *sim_wire_work_reply(const ProtobufCMessage *reply,
                                        struct agent_work_reply *out);

#endif
