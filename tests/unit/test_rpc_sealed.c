/* SPDX-License-Identifier: Apache-2.0 */
/* test_rpc_sealed.c - are calls between holders of keys private, genuine and unbroken?
 *
 * Real clients and servers over TCP, with a relay between them that keeps all that
 * passes, and can send it again. A server that must be started anew is this program
 * again, as "test_rpc_sealed serve URL SECRET". */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/id.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "proto/client.pb-c.h"

#define NET_MS        20000 /* a safety net: nothing here takes nearly so long */
#define SP_HELLO_SIZE 8
#define SECRET_TEXT   "a sentence that nobody else should read"

/* --- the server --- */

static atomic_int calls;                  /* that reached a service */
static _Atomic enum error_code authority; /* OK: every key is accepted */
static struct rpc_call *_Atomic parked;
static struct key_pair server_key;
static unsigned char cluster[KEY_CLUSTER_SIZE] = "test_rpc_sealed";

static int authorize(void *data,
                     const struct session_claim *claim,
                     enum key_role *out_role,
                     struct error *err)
{
    (void)data;
    if (atomic_load(&authority) != ERROR_OK) {
        return error_set(err, atomic_load(&authority), "this key has been revoked");
    }
    *out_role = claim->role == KEY_ROLE_NONE ? KEY_ROLE_READ : claim->role;
    return 0;
}

/* Sends back what was attached, says who called, or waits. */
static void invoke(ProtobufCService *service,
                   unsigned method_index,
                   const ProtobufCMessage *message,
                   ProtobufCClosure closure,
                   void *closure_data)
{
    struct rpc_call *call = closure_data;
    Cortex__V1__PutProjectReply echo = CORTEX__V1__PUT_PROJECT_REPLY__INIT;
    Cortex__V1__InfoReply info = CORTEX__V1__INFO_REPLY__INIT;
    char key[KEY_TEXT_SIZE] = "none";
    size_t size;
    const void *data = rpc_call_attachment(call, &size);

    (void)service;
    (void)method_index;
    (void)message;
    (void)closure;
    atomic_fetch_add(&calls, 1);
    if (strcmp(rpc_call_method(call), "cortex.v1.Client/PutProject") == 0) {
        rpc_call_reply(call, &echo.base, data, size);
    } else if (strcmp(rpc_call_method(call), "cortex.v1.Client/GetJob") == 0) {
        atomic_store(&parked, call);
    } else {
        if (rpc_call_key(call)) {
            key_public_format(rpc_call_key(call), key);
        }
        info.release = key;
        info.bridge_url = (char *)key_role_name(rpc_call_role(call));
        rpc_call_reply(call, &info.base, NULL, 0);
    }
}

static ProtobufCService client_service = {
    .descriptor = &cortex__v1__client__descriptor,
    .invoke = invoke,
};

static struct rpc_server *start_at(const char *url,
                                   const struct session_server_options *seal)
{
    ProtobufCService *services[] = {&client_service, NULL};
    struct rpc_server_options options = {
        .url = url,
        .services = services,
        .seal = seal,
    };
    struct rpc_server *server = NULL;
    struct error err = {.code = ERROR_OK};

    if (rpc_server_start(&options, &server, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return server;
}

static struct session_server_options seal_of_server(void)
{
    struct session_server_options seal = {.key = server_key, .authorize = authorize};

    memcpy(seal.cluster, cluster, sizeof(cluster));
    return seal;
}

static struct rpc_server *start(void)
{
    struct session_server_options seal = seal_of_server();

    return start_at("tcp://127.0.0.1:0", &seal);
}

static int set_up(void **state)
{
    (void)state;
    atomic_store(&authority, ERROR_OK);
    atomic_store(&parked, NULL);
    return 0;
}

/* --- clients --- */

static struct session_client_options seal_of(const struct key_pair *key)
{
    struct session_client_options seal = {.key = *key, .name = "a test"};

    memcpy(seal.server, server_key.public_key, KEY_SIZE);
    memcpy(seal.cluster, cluster, sizeof(cluster));
    return seal;
}

static struct rpc_client *dial_with(const char *url,
                                    const struct session_client_options *seal)
{
    struct rpc_client_options options = {.url = url, .seal = seal};
    struct rpc_client *client = NULL;

    assert_int_equal(rpc_client_create(&options, &client, NULL), 0);
    return client;
}

static struct rpc_client *dial_as(const char *url, const struct key_pair *key)
{
    struct session_client_options seal = seal_of(key);

    return dial_with(url, &seal);
}

static struct rpc_client *dial(const char *url)
{
    struct key_pair key;

    key_generate(&key);
    return dial_as(url, &key);
}

static int call_info(struct rpc_client *client,
                     const Cortex__V1__InfoReply **out_reply,
                     struct error *err)
{
    Cortex__V1__InfoRequest request = CORTEX__V1__INFO_REQUEST__INIT;
    const Cortex__V1__InfoReply *reply = NULL;

    cortex__v1__client__info(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__InfoReply),
        &reply);
    if (out_reply) {
        *out_reply = reply;
    }
    return rpc_client_result(client, err);
}

static int call_get_job(struct rpc_client *client, struct error *err)
{
    Cortex__V1__GetJobRequest request = CORTEX__V1__GET_JOB_REQUEST__INIT;
    const Cortex__V1__GetJobReply *reply = NULL;

    cortex__v1__client__get_job(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__GetJobReply),
        &reply);
    return rpc_client_result(client, err);
}

static void echoes(struct rpc_client *client, const void *data, size_t size)
{
    Cortex__V1__PutProjectRequest request = CORTEX__V1__PUT_PROJECT_REQUEST__INIT;
    const Cortex__V1__PutProjectReply *reply = NULL;
    struct error err;
    size_t got_size;

    rpc_client_attach(client, data, size);
    cortex__v1__client__put_project(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__PutProjectReply),
        &reply);
    if (rpc_client_result(client, &err) != 0) {
        fail_msg("%s", err.message);
    }
    const void *got = rpc_client_attachment(client, &got_size);
    assert_int_equal(got_size, size);
    assert_memory_equal(got, data, size);
}

static void sleep_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static struct rpc_call *wait_for_parked(void)
{
    int64_t until_ms = clock_monotonic_ms() + NET_MS;
    struct rpc_call *call;

    while (!(call = atomic_exchange(&parked, NULL))) {
        assert_true(clock_monotonic_ms() < until_ms);
        sleep_ms(2);
    }
    return call;
}

/* --- the relay: what is between client and server --- */

/* One direction of one connection. */
struct stream {
    int from;
    int to;
    bool to_server;
};

/* Where it listens, and for whom. */
struct way {
    int listener;
    int server_port;
};

static struct {
    pthread_mutex_t lock;
    struct buffer seen;      /* all bytes, both directions */
    struct buffer to_server; /* those of the first connection, its SP hello included */
    struct buffer reply;     /* the last one, with its length in front */
    bool repeats;            /* that reply instead of each new one */
} relay = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int port_of(const char *url)
{
    return (int)strtoul(strrchr(url, ':') + 1, NULL, 10);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)port),
    };
}

static int connect_to(int port)
{
    struct sockaddr_in address = loopback(port);
    struct timeval patience = {.tv_sec = NET_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

/* Keeps the reply, or puts the one kept in its place, under the nng id of the new one.
 */
static void take_reply(char *bytes, size_t size)
{
    const size_t before = sizeof(uint64_t) + 4; // the length and nng's id

    if (!relay.repeats) {
        buffer_clear(&relay.reply);
        buffer_add(&relay.reply, bytes, size);
    } else if (size == relay.reply.size) {
        memcpy(bytes + before, relay.reply.data + before, size - before);
    }
}

static void *carry(void *arg)
{
    struct stream stream = *(struct stream *)arg;
    char bytes[16384];
    ssize_t got;

    free(arg);
    while ((got = recv(stream.from, bytes, sizeof(bytes), 0)) > 0) {
        pthread_mutex_lock(&relay.lock);
        buffer_add(&relay.seen, bytes, (size_t)got);
        if (stream.to_server) {
            buffer_add(&relay.to_server, bytes, (size_t)got);
        } else {
            take_reply(bytes, (size_t)got);
        }
        pthread_mutex_unlock(&relay.lock);
        (void)send(stream.to, bytes, (size_t)got, MSG_NOSIGNAL);
    }
    (void)shutdown(stream.to, SHUT_WR);
    return NULL;
}

static void carry_on(int from, int to, bool to_server)
{
    struct stream *stream = memory_zalloc(sizeof(*stream));
    pthread_t thread;

    *stream = (struct stream){.from = from, .to = to, .to_server = to_server};
    assert_int_equal(pthread_create(&thread, NULL, carry, stream), 0);
    assert_int_equal(pthread_detach(thread), 0);
}

static void *accept_all(void *arg)
{
    const struct way *way = arg;
    int fd;

    while ((fd = accept(way->listener, NULL, NULL)) >= 0) {
        int server = connect_to(way->server_port);
        carry_on(fd, server, true);
        carry_on(server, fd, false);
    }
    return NULL;
}

/* The address to dial in place of the server's; the caller frees. */
static char *relay_to(const char *url)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    struct way *way = memory_zalloc(sizeof(*way));
    pthread_t thread;

    way->server_port = port_of(url);
    way->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(way->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(way->listener, 16), 0);
    assert_int_equal(getsockname(way->listener, (struct sockaddr *)&address, &size), 0);
    pthread_mutex_lock(&relay.lock);
    buffer_clear(&relay.seen);
    buffer_clear(&relay.to_server);
    pthread_mutex_unlock(&relay.lock);
    assert_int_equal(pthread_create(&thread, NULL, accept_all, way), 0);
    assert_int_equal(pthread_detach(thread), 0);
    return memory_format("tcp://127.0.0.1:%d", ntohs(address.sin_port));
}

static bool has_passed(const void *what, size_t size)
{
    pthread_mutex_lock(&relay.lock);
    bool found = memmem(relay.seen.data, relay.seen.size, what, size) != NULL;
    pthread_mutex_unlock(&relay.lock);
    return found;
}

/* --- what passes --- */

static void calls_and_replies_get_through_whatever_their_size(void **state)
{
    (void)state;
    struct rpc_client *client = dial(rpc_server_url(start()));
    static const size_t sizes[] = {0, 1, 1000, 5u << 20, 23u << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *data = memory_zalloc(sizes[i] + 1);
        id_random_bytes(data, sizes[i]);
        echoes(client, data, sizes[i]);
        free(data);
    }
}

static void a_request_larger_than_the_server_takes_is_not_sent(void **state)
{
    (void)state;
    ProtobufCService *services[] = {&client_service, NULL};
    struct session_server_options seal = seal_of_server();
    struct rpc_server_options options = {
        .url = "tcp://127.0.0.1:0",
        .services = services,
        .frame_size_max = 100000,
        .seal = &seal,
    };
    struct rpc_server *server;
    Cortex__V1__PutProjectRequest request = CORTEX__V1__PUT_PROJECT_REQUEST__INIT;
    const Cortex__V1__PutProjectReply *reply = NULL;
    char *data = memory_zalloc(100000);
    struct error err;

    assert_int_equal(rpc_server_start(&options, &server, NULL), 0);
    struct rpc_client *client = dial(rpc_server_url(server));
    echoes(client, data, 99000);
    rpc_client_attach(client, data, 100000);
    cortex__v1__client__put_project(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__PutProjectReply),
        &reply);
    assert_int_equal(rpc_client_result(client, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_non_null(strstr(err.message, "larger than the 100000"));
    free(data);
}

static void a_call_knows_its_callers_key_and_role(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    const Cortex__V1__InfoReply *reply;
    struct key_pair key;
    char text[KEY_TEXT_SIZE];

    key_generate(&key);
    key_public_format(key.public_key, text);
    struct session_client_options seal = seal_of(&key);
    seal.role = KEY_ROLE_AGENT;
    struct rpc_client *client = dial_with(rpc_server_url(server), &seal);
    assert_int_equal(call_info(client, &reply, NULL), 0);
    assert_string_equal(reply->release, text);
    assert_string_equal(reply->bridge_url, "agent");

    client = dial_as(rpc_server_url(server), &key);
    assert_int_equal(call_info(client, &reply, NULL), 0);
    assert_string_equal(reply->bridge_url, "read");
}

static void without_keys_a_caller_is_an_admin_of_this_machine(void **state)
{
    (void)state;
    struct rpc_server *server = start_at("tcp://127.0.0.1:0", NULL);
    const Cortex__V1__InfoReply *reply;

    assert_int_equal(call_info(dial_with(rpc_server_url(server), NULL), &reply, NULL),
                     0);
    assert_string_equal(reply->release, "none");
    assert_string_equal(reply->bridge_url, "admin");
}

static void with_a_key_a_server_may_listen_anywhere(void **state)
{
    (void)state;
    struct session_server_options seal = seal_of_server();
    struct rpc_server *server = start_at("tcp://0.0.0.0:0", &seal);
    char *url = memory_format("tcp://127.0.0.1:%d", port_of(rpc_server_url(server)));
    ProtobufCService *services[] = {&client_service, NULL};
    struct rpc_server_options options = {
        .url = "ws://127.0.0.1:0/", .services = services, .seal = &seal};
    struct error err;

    assert_int_equal(call_info(dial(url), NULL, NULL), 0);
    assert_int_equal(rpc_server_start(&options, &server, &err), -1);
    assert_non_null(strstr(err.message, "ws://127.0.0.1:0/"));
    free(url);
}

static void nothing_of_a_call_passes_in_the_clear(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    char *url = relay_to(rpc_server_url(server));
    struct key_pair key;

    key_generate(&key);
    struct rpc_client *client = dial_as(url, &key);
    echoes(client, SECRET_TEXT, strlen(SECRET_TEXT));
    assert_int_equal(call_info(client, NULL, NULL), 0);
    assert_true(has_passed("CX\1\1", 4)); // the hello did, so the relay works
    assert_true(has_passed("CX\1\3", 4));
    assert_false(has_passed("CX\1\6", 4));
    assert_false(has_passed(SECRET_TEXT, 8));
    assert_false(has_passed("cortex", 6)); // nor does a method's name
    assert_false(has_passed("PutProject", 10));
    assert_false(has_passed("a test", 6));
    assert_false(has_passed(key.public_key, KEY_SIZE));
    free(url);

    server = start_at("tcp://127.0.0.1:0", NULL);
    url = relay_to(rpc_server_url(server));
    echoes(dial_with(url, NULL), SECRET_TEXT, strlen(SECRET_TEXT));
    assert_true(has_passed(SECRET_TEXT, 8)); // as without keys it does
    assert_true(has_passed("PutProject", 10));
    free(url);
}

/* --- strangers --- */

/* Sends bytes as one who was recorded did; true if a service was reached. */
static bool replay(int port, const void *bytes, size_t size)
{
    int before = atomic_load(&calls);
    int fd = connect_to(port);
    struct timeval quiet = {.tv_usec = 100000};
    char rest[4096];

    (void)send(fd, bytes, size, MSG_NOSIGNAL);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet)), 0);
    while (recv(fd, rest, sizeof(rest), 0) > 0) {
        continue;
    }
    (void)close(fd);
    return atomic_load(&calls) != before;
}

/* The messages of a stream, each with its length in front, one a connection: a stranger
 * who sends several at once and leaves may wedge nng 1.5. */
static void replay_each(int port, const char *bytes, size_t size)
{
    size_t count = 0;

    for (size_t at = SP_HELLO_SIZE; at < size; count++) {
        uint64_t length;
        struct buffer alone = BUFFER_INIT;
        memcpy(&length, bytes + at, sizeof(length));
        size_t whole = sizeof(length) + be64toh(length);
        buffer_add(&alone, bytes, SP_HELLO_SIZE);
        buffer_add(&alone, bytes + at, whole);
        assert_false(replay(port, alone.data, alone.size));
        buffer_fini(&alone);
        at += whole;
    }
    assert_int_equal(count, 4); // hello and three requests
}

static void all_that_passed_sent_again_changes_nothing(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    struct rpc_server *another = start(); // with the same key: as if started anew
    char *url = relay_to(rpc_server_url(server));
    struct rpc_client *client = dial(url);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(call_info(client, NULL, NULL), 0);
    }
    pthread_mutex_lock(&relay.lock);
    size_t size = relay.to_server.size;
    char *bytes = buffer_take(&relay.to_server);
    pthread_mutex_unlock(&relay.lock);
    int before = atomic_load(&calls);
    for (int i = 0; i < 2; i++) {
        replay_each(port_of(rpc_server_url(server)), bytes, size);
        replay_each(port_of(rpc_server_url(another)), bytes, size);
    }
    assert_int_equal(call_info(client, NULL, NULL), 0); // who goes on as before
    assert_int_equal(atomic_load(&calls), before + 1);
    free(bytes);
    free(url);
}

static void relay_repeats(bool repeats)
{
    pthread_mutex_lock(&relay.lock);
    relay.repeats = repeats;
    pthread_mutex_unlock(&relay.lock);
}

static void an_earlier_reply_is_no_answer_to_a_later_request(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    char *url = relay_to(rpc_server_url(server));
    struct rpc_client *client = dial(url);
    int before = atomic_load(&calls);
    struct error err;

    assert_int_equal(call_info(client, NULL, NULL), 0);
    relay_repeats(true);
    rpc_client_set_retry(client, false);
    assert_int_equal(call_info(client, NULL, &err), -1);
    relay_repeats(false);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "answers another request"));
    assert_int_equal(atomic_load(&calls), before + 2);
    assert_int_equal(call_info(client, NULL, NULL), 0);
    free(url);
}

static void a_clear_call_to_a_sealed_server_is_hung_up_on(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    struct rpc_client *client = dial_with(rpc_server_url(server), NULL);
    int before = atomic_load(&calls);
    struct error err;

    rpc_client_set_retry(client, false);
    assert_int_equal(call_info(client, NULL, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "broke"));
    assert_int_equal(atomic_load(&calls), before);
}

static void a_sealed_call_to_a_clear_server_says_nothing_and_fails(void **state)
{
    (void)state;
    struct rpc_server *server = start_at("tcp://127.0.0.1:0", NULL);
    struct rpc_client *client = dial(rpc_server_url(server));
    int before = atomic_load(&calls);
    struct error err;

    rpc_client_set_retry(client, false);
    assert_int_equal(call_info(client, NULL, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_int_equal(atomic_load(&calls), before);
}

static void a_server_that_is_not_the_expected_one_is_refused_soon(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    struct key_pair key;
    struct key_pair expected;
    struct error err;
    int before = atomic_load(&calls);
    int64_t start_ms = clock_monotonic_ms();

    key_generate(&key);
    key_generate(&expected);
    struct session_client_options seal = seal_of(&key);
    memcpy(seal.server, expected.public_key, KEY_SIZE);
    assert_int_equal(call_info(dial_with(rpc_server_url(server), &seal), NULL, &err),
                     -1);
    assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, rpc_server_url(server)));
    assert_non_null(strstr(err.message, "join string"));

    seal = seal_of(&key);
    seal.cluster[0] ^= 1;
    assert_int_equal(call_info(dial_with(rpc_server_url(server), &seal), NULL, &err),
                     -1);
    assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
    assert_true(clock_monotonic_ms() - start_ms < RPC_CLIENT_TIMEOUT_MS);

    memset(seal.server, 0, sizeof(seal.server));
    assert_int_equal(call_info(dial_with(rpc_server_url(server), &seal), NULL, &err),
                     -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_int_equal(atomic_load(&calls), before);
}

static void a_name_that_does_not_fit_is_an_error_before_anything_is_sent(void **state)
{
    (void)state;
    struct key_pair key;
    struct rpc_client *client;
    struct error err;

    key_generate(&key);
    struct session_client_options seal = seal_of(&key);
    seal.name = "a\nb";
    struct rpc_client_options options = {.url = "tcp://127.0.0.1:1", .seal = &seal};
    assert_int_equal(rpc_client_create(&options, &client, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
}

/* --- sessions that end --- */

static void many_clients_with_one_key_all_get_in(void **state)
{
    (void)state;
    enum { COUNT = 24 };
    struct rpc_server *server = start();
    struct rpc_client *clients[COUNT];
    struct key_pair key;

    key_generate(&key);
    for (int i = 0; i < COUNT; i++) {
        clients[i] = dial_as(rpc_server_url(server), &key);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(call_info(clients[i], NULL, NULL), 0);
        }
    }
}

static void a_session_that_wears_out_is_replaced_unseen(void **state)
{
    (void)state;
    struct session_server_options seal = seal_of_server();

    seal.messages_max = 5;
    struct rpc_server *server = start_at("tcp://127.0.0.1:0", &seal);
    struct rpc_client *client = dial(rpc_server_url(server));
    int before = atomic_load(&calls);
    for (int i = 0; i < 23; i++) {
        rpc_client_set_retry(client, false);
        assert_int_equal(call_info(client, NULL, NULL), 0);
    }
    assert_int_equal(atomic_load(&calls) - before, 23);
}

static void a_session_that_the_server_has_forgotten_is_replaced_unseen(void **state)
{
    (void)state;
    struct session_server_options seal = seal_of_server();

    seal.sessions_max = 1; // so each forgets the other's
    struct rpc_server *server = start_at("tcp://127.0.0.1:0", &seal);
    struct rpc_client *one = dial(rpc_server_url(server));
    struct rpc_client *two = dial(rpc_server_url(server));
    int before = atomic_load(&calls);

    for (int i = 0; i < 5; i++) {
        rpc_client_set_retry(one, false);
        assert_int_equal(call_info(one, NULL, NULL), 0);
        rpc_client_set_retry(two, false);
        assert_int_equal(call_info(two, NULL, NULL), 0);
    }
    assert_int_equal(atomic_load(&calls) - before, 10);
}

static void under_load_clients_bring_the_cookie_back_unseen(void **state)
{
    (void)state;
    struct session_server_options seal = seal_of_server();

    seal.hellos_free = 1;
    struct rpc_server *server = start_at("tcp://127.0.0.1:0", &seal);
    char *url = relay_to(rpc_server_url(server));
    for (int i = 0; i < 6; i++) {
        assert_int_equal(call_info(dial(url), NULL, NULL), 0);
    }
    assert_true(has_passed("CX\1\4", 4));
    free(url);
}

static int free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static pid_t spawn_server(const char *url)
{
    char secret[2 * KEY_SIZE + 1];
    pid_t pid;

    for (int i = 0; i < KEY_SIZE; i++) {
        (void)snprintf(secret + 2 * i, 3, "%02x", server_key.secret_key[i]);
    }
    char *const argv[] = {
        (char *)"test_rpc_sealed", (char *)"serve", (char *)url, secret, NULL};
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

static void end_server(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void a_restarted_server_is_taken_up_unseen(void **state)
{
    (void)state;
    char *url = memory_format("tcp://127.0.0.1:%d", free_port());
    struct rpc_client *client = dial(url);
    struct error err;

    for (int i = 0; i < 3; i++) {
        pid_t pid = spawn_server(url);
        for (int j = 0; j < 3; j++) {
            if (call_info(client, NULL, &err) != 0) {
                fail_msg("%s", err.message);
            }
        }
        end_server(pid);
    }
    free(url);
}

/* --- keys that are refused --- */

static void a_refused_key_is_told_why_at_once(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    struct rpc_client *client = dial(rpc_server_url(server));
    int before = atomic_load(&calls);
    struct error err;

    atomic_store(&authority, ERROR_PERMISSION_DENIED);
    assert_int_equal(call_info(client, NULL, &err), -1);
    assert_int_equal(err.code, ERROR_PERMISSION_DENIED);
    assert_non_null(strstr(err.message, "this key has been revoked"));
    assert_non_null(strstr(err.message, rpc_server_url(server)));
    assert_int_equal(atomic_load(&calls), before);

    atomic_store(&authority, ERROR_OK); // and is taken up when it is accepted
    assert_int_equal(call_info(client, NULL, NULL), 0);
}

static void a_revoked_key_loses_its_sessions_within_five_seconds(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    struct rpc_client *client = dial(rpc_server_url(server));
    struct error err = {.code = ERROR_OK};

    assert_int_equal(call_info(client, NULL, NULL), 0);
    int64_t revoked_ms = clock_monotonic_ms();
    atomic_store(&authority, ERROR_UNAUTHENTICATED);
    while (call_info(client, NULL, &err) == 0) {
        assert_true(clock_monotonic_ms() - revoked_ms < 5000);
        sleep_ms(20);
    }
    assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, "this key has been revoked"));
}

struct waiting {
    struct rpc_client *client;
    int result;
    struct error error;
};

static void *wait_for_job(void *arg)
{
    struct waiting *waiting = arg;

    waiting->result = call_get_job(waiting->client, &waiting->error);
    return NULL;
}

static void what_a_revoked_key_waited_for_is_not_told(void **state)
{
    (void)state;
    struct rpc_server *server = start();
    char *url = relay_to(rpc_server_url(server));
    struct waiting waiting = {.client = dial(url)};
    Cortex__V1__GetJobReply reply = CORTEX__V1__GET_JOB_REPLY__INIT;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wait_for_job, &waiting), 0);
    struct rpc_call *call = wait_for_parked();
    atomic_store(&authority, ERROR_UNAUTHENTICATED);
    sleep_ms(SESSION_RECHECK_MS + 50);
    rpc_call_reply(call, &reply.base, SECRET_TEXT, strlen(SECRET_TEXT));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiting.result, -1);
    if (waiting.error.code != ERROR_UNAUTHENTICATED) {
        fail_msg("%s", waiting.error.message);
    }
    assert_false(has_passed(SECRET_TEXT, 8));
    free(url);
}

static int serve(const char *url, const char *secret)
{
    unsigned char bytes[KEY_SIZE];
    char digits[3] = "";

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < KEY_SIZE; i++) {
        memcpy(digits, secret + 2 * i, 2);
        bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    key_pair_of_secret(bytes, &server_key);
    struct session_server_options seal = seal_of_server();
    (void)start_at(url, &seal);
    return pause();
}

#define test(name) cmocka_unit_test_setup(name, set_up)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(calls_and_replies_get_through_whatever_their_size),
        test(a_request_larger_than_the_server_takes_is_not_sent),
        test(a_call_knows_its_callers_key_and_role),
        test(without_keys_a_caller_is_an_admin_of_this_machine),
        test(with_a_key_a_server_may_listen_anywhere),
        test(nothing_of_a_call_passes_in_the_clear),
        test(all_that_passed_sent_again_changes_nothing),
        test(an_earlier_reply_is_no_answer_to_a_later_request),
        test(a_clear_call_to_a_sealed_server_is_hung_up_on),
        test(a_sealed_call_to_a_clear_server_says_nothing_and_fails),
        test(a_server_that_is_not_the_expected_one_is_refused_soon),
        test(a_name_that_does_not_fit_is_an_error_before_anything_is_sent),
        test(many_clients_with_one_key_all_get_in),
        test(a_session_that_wears_out_is_replaced_unseen),
        test(a_session_that_the_server_has_forgotten_is_replaced_unseen),
        test(under_load_clients_bring_the_cookie_back_unseen),
        test(a_restarted_server_is_taken_up_unseen),
        test(a_refused_key_is_told_why_at_once),
        test(a_revoked_key_loses_its_sessions_within_five_seconds),
        test(what_a_revoked_key_waited_for_is_not_told),
    };

    assert_int_equal(id_init(), 0);
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return serve(argv[2], argv[3]);
    }
    key_generate(&server_key);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
