/* SPDX-License-Identifier: Apache-2.0 */
/* sim_wire.c - what an agent decides, as messages that have gone over a wire */
#include "tests/sim/sim_wire.h"

#include "agent/messages.h"
#include "proto/agent.pb-c.h"

static ProtobufCBinaryData agent_id(struct sim_agent *agent)
{
    return (ProtobufCBinaryData){sizeof(agent->agent_id), agent->agent_id};
}

ProtobufCMessage *sim_wire_sync_request(struct sim_agent *agent,
                                        const struct agent_sync_request *from)
{
    char release[] = "sim";
    Cortex__V1__SyncRequest request;

    messages_sync_pack(from, &request);
    request.agent_id = agent_id(agent);
    request.incarnation = agent->incarnation;
    request.name = agent->name;
    request.release = release;
    ProtobufCMessage *sent = sim_message_copy(&request.base);
    messages_sync_fini(&request);
    return sent;
}

ProtobufCMessage *sim_wire_work_request(struct sim_agent *agent,
                                        const struct agent_work_request *from)
{
    Cortex__V1__WorkRequest request;

    messages_work_pack(from, &request);
    request.agent_id = agent_id(agent);
    request.incarnation = agent->incarnation;
    ProtobufCMessage *sent = sim_message_copy(&request.base);
    messages_work_fini(&request);
    return sent;
}

void sim_wire_sync_reply(const ProtobufCMessage *reply, struct agent_sync_reply *out)
{
    *out = (struct agent_sync_reply){0};
    messages_sync_unpack((const Cortex__V1__SyncReply *)reply, out);
}

struct agent_grant *sim_wire_work_reply(const ProtobufCMessage *reply,
                                        struct agent_work_reply *out)
{
    const Cortex__V1__WorkReply *from = (const Cortex__V1__WorkReply *)reply;
    static const char payloads[1 << 16];
    struct agent_grant *grants;
    struct error err;
    size_t size = 0;

    for (size_t i = 0; i < from->n_grants; i++) {
        for (size_t k = 0; k < from->grants[i]->n_sizes; k++) {
            size += from->grants[i]->sizes[k];
        }
    }
    (void)messages_work_unpack(from, payloads, size, &grants, out, &err);
    return grants;
}
