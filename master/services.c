/* SPDX-License-Identifier: Apache-2.0 */
/* services.c - how the two services of the wire are offered */
#include "master/services.h"

#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

static services_call_fn incoming_call;
static void *incoming_arg;

// closure_data is the call, as rpc_server.h says.
static void invoke(ProtobufCService *service,
                   unsigned method_index,
                   const ProtobufCMessage *input,
                   ProtobufCClosure closure,
                   void *closure_data)
{
    (void)service;
    (void)method_index;
    (void)input;
    (void)closure;
    incoming_call(incoming_arg, closure_data);
}

ProtobufCService **services(services_call_fn incoming, void *arg)
{
    static ProtobufCService client = {.invoke = invoke};
    static ProtobufCService agent = {.invoke = invoke};
    static ProtobufCService *list[] = {&client, &agent, NULL};

    incoming_call = incoming;
    incoming_arg = arg;
    client.descriptor = &cortex__v1__client__descriptor;
    agent.descriptor = &cortex__v1__agent_service__descriptor;
    return list;
}
