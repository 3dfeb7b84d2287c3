/* SPDX-License-Identifier: Apache-2.0 */
/* bench_session.c - how long a handshake takes a side, and how fast is sealing?
 *
 * One thread, no sockets; processor time, so that other programs do not count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/session_client.h"
#include "common/session_server.h"

#define HANDSHAKES 2000
#define RUN_MS     1000

static struct session_time now;

static int64_t spent_ns(void)
{
    struct timespec spent;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * 1000000000 + spent.tv_nsec;
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

/* One handshake; adds what each side took. */
static void shake_hands(struct session_server *server,
                        struct session_client *client,
                        int64_t *client_ns,
                        int64_t *server_ns)
{
    uint8_t hello[SESSION_GREETING_MAX];
    struct session_arrival arrival;

    now.monotonic_ms += 1000; // the next second, which has cookies of its own
    int64_t begin_ns = spent_ns();
    size_t size = session_client_hello(client, clock_wall_ns(), hello);
    int64_t sent_ns = spent_ns();
    (void)session_server_take(server, now, "127.0.0.1", hello, size, &arrival);
    int64_t answered_ns = spent_ns();
    if (session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL) !=
        SESSION_GREETED) {
        abort();
    }
    *client_ns += sent_ns - begin_ns + spent_ns() - answered_ns;
    *server_ns += answered_ns - sent_ns;
}

static void measure_handshakes(struct session_server *server,
                               struct session_client *client)
{
    int64_t client_ns = 0;
    int64_t server_ns = 0;

    for (int i = 0; i < HANDSHAKES; i++) {
        shake_hands(server, client, &client_ns, &server_ns);
    }
    (void)printf("handshake: client %.3f ms, server %.3f ms\n",
                 (double)client_ns / HANDSHAKES / 1e6,
                 (double)server_ns / HANDSHAKES / 1e6);
}

/* Sealed by the client and opened by the server, one after the other. */
static void measure_data(struct session_server *server,
                         struct session_client *client,
                         size_t clear_size)
{
    size_t size = clear_size + SESSION_OVERHEAD;
    uint8_t *frame = memory_zalloc(size);
    struct session_arrival arrival;
    int64_t seal_ns = 0;
    int64_t open_ns = 0;
    long count = 0;

    while (seal_ns + open_ns < RUN_MS * INT64_C(1000000)) {
        int64_t begin_ns = spent_ns();
        session_client_seal(client, frame, size);
        int64_t sealed_ns = spent_ns();
        if (session_server_take(server, now, "127.0.0.1", frame, size, &arrival) !=
            SESSION_OPENED) {
            abort();
        }
        open_ns += spent_ns() - sealed_ns;
        seal_ns += sealed_ns - begin_ns;
        count++;
    }
    double bytes = (double)count * (double)clear_size;
    (void)printf("%8zu bytes: sealed %9.0f/s %7.1f MB/s, opened %9.0f/s %7.1f MB/s\n",
                 clear_size,
                 (double)count * 1e9 / (double)seal_ns,
                 bytes * 1e3 / (double)seal_ns,
                 (double)count * 1e9 / (double)open_ns,
                 bytes * 1e3 / (double)open_ns);
    free(frame);
}

int main(void)
{
    static const size_t sizes[] = {64, 200, 1024, 64u << 10, 1u << 20, 16u << 20};
    struct session_server_options server_options = {.authorize = authorize};
    struct session_client_options client_options = {.role = KEY_ROLE_AGENT};
    struct session_server *server;
    struct session_client *client;

    if (id_init() != 0) {
        return 1;
    }
    now.wall_ms = clock_wall_ms();
    now.monotonic_ms = clock_monotonic_ms();
    key_generate(&server_options.key);
    key_generate(&client_options.key);
    memcpy(client_options.server, server_options.key.public_key, KEY_SIZE);
    session_server_create(&server_options, now, &server);
    if (session_client_create(&client_options, &client, NULL) != 0) {
        return 1;
    }
    measure_handshakes(server, client);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        measure_data(server, client, sizes[i]);
    }
    session_client_destroy(client);
    session_server_destroy(server);
    return 0;
}
