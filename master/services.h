/* SPDX-License-Identifier: Apache-2.0 */
/* services.h - how the two services of the wire are offered
 *
 * Both of protobuf-c's service objects lead to one function: what a method does is
 * said in routes.c alone. */
#ifndef CORTEX_MASTER_SERVICES_H
#define CORTEX_MASTER_SERVICES_H

#include <protobuf-c/protobuf-c.h>

#include "common/rpc_server.h"

typedef void (*services_call_fn)(void *arg, struct rpc_call *call);

/* A NULL-terminated list for rpc_server_options; static. Call once. `incoming` is
 * called on nng's threads and owns the call. */
ProtobufCService **services(services_call_fn incoming, void *arg);

#endif
