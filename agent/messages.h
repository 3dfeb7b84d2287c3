/* SPDX-License-Identifier: Apache-2.0 */
/* messages.h - how what the agent says and hears stands in the protocol's messages
 *
 * Between the structs of agent.h and those of proto/agent.proto, the same facts. What a
 * message says of the agent itself, its id and name, is the caller's to add. What was
 * packed borrows the texts of what it was packed from. Pure. */
#ifndef CORTEX_AGENT_MESSAGES_H
#define CORTEX_AGENT_MESSAGES_H

#include <stddef.h>

#include "agent/agent.h"
#include "common/error.h"
#include "proto/agent.pb-c.h"

void messages_sync_pack(const struct agent_sync_request *from,
                        Cortex__V1__SyncRequest *out);
void messages_sync_fini(Cortex__V1__SyncRequest *request);

/* *out is for agent_sync_reply_fini. */
void messages_sync_unpack(const Cortex__V1__SyncReply *from,
                          struct agent_sync_reply *out);

void messages_work_pack(const struct agent_work_request *from,
                        Cortex__V1__WorkRequest *out);
void messages_work_fini(Cortex__V1__WorkRequest *request);

/* *out_grants is the caller's to free, also after an error: *out points into it, into
 * the reply and into the payloads, whose size must be what the reply says. */
int messages_work_unpack(const Cortex__V1__WorkReply *from,
                         const void *payloads,
                         size_t size,
                         struct agent_grant **out_grants,
                         struct agent_work_reply *out,
                         struct error *err);

#endif
