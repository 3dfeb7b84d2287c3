/* SPDX-License-Identifier: Apache-2.0 */
/* bench_rpc.c - how many calls a second go through
 *
 * Server and clients in one process, over TCP on loopback: so both sides' work is in
 * the number. Once in the clear, and once sealed, with a key a client. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "proto/client.pb-c.h"

#define RUN_MS 3000

struct run {
    const char *url;
    const struct key_pair *server_key; /* NULL: in the clear */
    size_t attachment_size;
    atomic_int failures;
    atomic_long calls;
};

static void invoke(ProtobufCService *service,
                   unsigned method_index,
                   const ProtobufCMessage *message,
                   ProtobufCClosure closure,
                   void *closure_data)
{
    struct rpc_call *call = closure_data;
    Cortex__V1__PutProjectReply reply = CORTEX__V1__PUT_PROJECT_REPLY__INIT;
    size_t size;
    const void *attachment = rpc_call_attachment(call, &size);

    (void)service;
    (void)method_index;
    (void)message;
    (void)closure;
    rpc_call_reply(call, &reply.base, attachment, size);
}

static int authorize(void *data,
                     const struct session_claim *claim,
                     enum key_role *out_role,
                     struct error *err)
{
    (void)data;
    (void)claim;
    (void)err;
    *out_role = KEY_ROLE_AGENT;
    return 0;
}

static void *run_client(void *arg)
{
    struct run *run = arg;
    struct session_client_options seal = {.role = KEY_ROLE_AGENT};
    struct rpc_client_options options = {.url = run->url};
    struct rpc_client *client;
    Cortex__V1__PutProjectRequest request = CORTEX__V1__PUT_PROJECT_REQUEST__INIT;
    char *attachment = memory_zalloc(run->attachment_size);
    int64_t end_ms = clock_monotonic_ms() + RUN_MS;
    long calls = 0;

    if (run->server_key) {
        key_generate(&seal.key);
        memcpy(seal.server, run->server_key->public_key, KEY_SIZE);
        options.seal = &seal;
    }
    if (rpc_client_create(&options, &client, NULL) != 0) {
        atomic_fetch_add(&run->failures, 1);
        end_ms = 0;
    }
    while (clock_monotonic_ms() < end_ms) {
        const Cortex__V1__PutProjectReply *reply = NULL;
        rpc_client_attach(client, attachment, run->attachment_size);
        cortex__v1__client__put_project(
            rpc_client_service(client, &cortex__v1__client__descriptor),
            &request,
            RPC_CLIENT_KEEP(Cortex__V1__PutProjectReply),
            &reply);
        calls++;
        if (!reply) {
            atomic_fetch_add(&run->failures, 1);
        }
    }
    atomic_fetch_add(&run->calls, calls);
    free(attachment);
    return NULL;
}

static void measure(const char *url,
                    const struct key_pair *server_key,
                    unsigned clients,
                    size_t attachment_size)
{
    struct run run = {
        .url = url,
        .server_key = server_key,
        .attachment_size = attachment_size,
    };
    pthread_t *threads = memory_zalloc(clients * sizeof(*threads));
    int64_t start_ms = clock_monotonic_ms();

    for (unsigned i = 0; i < clients; i++) {
        if (pthread_create(&threads[i], NULL, run_client, &run) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < clients; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    double seconds = (double)(clock_monotonic_ms() - start_ms) / 1000;
    double calls = (double)atomic_load(&run.calls);
    (void)printf(
        "%s %3u clients, %8zu bytes each way: %8.0f calls/s %8.1f MB/s each way"
        ", %d failed\n",
        server_key ? "sealed" : "clear ",
        clients,
        attachment_size,
        calls / seconds,
        calls * (double)attachment_size / seconds / 1e6,
        atomic_load(&run.failures));
    free(threads);
}

static int run_all(const struct key_pair *server_key)
{
    static const size_t sizes[] = {0, 200, 64u << 10, 4u << 20};
    static const unsigned clients[] = {1, 16, 64};
    static ProtobufCService service = {
        // servers live as long as the process
        .descriptor = &cortex__v1__client__descriptor,
        .invoke = invoke,
    };
    ProtobufCService *services[] = {&service, NULL};
    struct session_server_options seal = {.authorize = authorize};
    struct rpc_server_options options = {
        .url = "tcp://127.0.0.1:0",
        .services = services,
    };
    struct rpc_server *server;
    struct error err;

    if (server_key) {
        seal.key = *server_key;
        options.seal = &seal;
    }
    if (rpc_server_start(&options, &server, &err) != 0) {
        (void)fprintf(stderr, "cannot start a server: %s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(clients) / sizeof(clients[0]); j++) {
            measure(rpc_server_url(server), server_key, clients[j], sizes[i]);
        }
    }
    return 0;
}

int main(void)
{
    struct key_pair server_key;

    if (id_init() != 0) {
        return 1;
    }
    key_generate(&server_key);
    return run_all(NULL) != 0 || run_all(&server_key) != 0;
}
