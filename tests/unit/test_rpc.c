/* SPDX-License-Identifier: Apache-2.0 */
/* test_rpc.c - whether calls get through, whatever server, client or stranger do
 *
 * Real clients and servers over TCP and Unix sockets. What must die is this program
 * again, started as "test_rpc serve URL FILE". */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

#define PARKED_MAX    256
#define NET_MS        20000 /* a safety net: nothing here takes nearly so long */
#define FRAME_MAX     (8u << 20)
#define SP_REQ        48
#define SP_HELLO_SIZE 8

/* --- the service under test: a Client service with a behaviour per method --- */

static pthread_mutex_t parked_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rpc_call *parked[PARKED_MAX];
static size_t parked_count;
static atomic_int unavailable_left;
static const char *record_path; /* of a serving child: where request ids are noted */

static void echo(struct rpc_call *call)
{
    Cortex__V1__PutProjectReply reply = CORTEX__V1__PUT_PROJECT_REPLY__INIT;
    size_t size;
    const void *data = rpc_call_attachment(call, &size);

    reply.next_offset = size;
    rpc_call_reply(call, &reply.base, data, size);
}

static void introduce(struct rpc_call *call)
{
    Cortex__V1__InfoReply reply = CORTEX__V1__INFO_REPLY__INIT;

    reply.release = (char *)rpc_call_release(call);
    reply.bridge_url = (char *)rpc_call_peer(call);
    reply.boot = rpc_call_timeout_ms(call);
    rpc_call_reply(call, &reply.base, NULL, 0);
}

static void refuse(struct rpc_call *call)
{
    const Cortex__V1__GetApiRequest *request = (const void *)rpc_call_message(call);
    struct error err;

    (void)error_set_kind(&err,
                         ERROR_NOT_FOUND,
                         "resources.api_not_deployed",
                         "%s is not deployed",
                         request->api_name);
    rpc_call_fail(call, &err, 0);
}

static void park(struct rpc_call *call)
{
    pthread_mutex_lock(&parked_lock);
    parked[parked_count++] = call;
    pthread_mutex_unlock(&parked_lock);
}

static void be_busy_for_a_while(struct rpc_call *call)
{
    Cortex__V1__ReadLogReply reply = CORTEX__V1__READ_LOG_REPLY__INIT;
    struct error err;

    if (atomic_fetch_sub(&unavailable_left, 1) > 0) {
        (void)error_set(&err, ERROR_UNAVAILABLE, "not yet");
        rpc_call_fail(call, &err, 30);
        return;
    }
    rpc_call_reply(call, &reply.base, NULL, 0);
}

static void answer_with_more_than_fits(struct rpc_call *call)
{
    Cortex__V1__DryRunReply reply = CORTEX__V1__DRY_RUN_REPLY__INIT;
    char *much = memory_zalloc(FRAME_MAX);

    rpc_call_reply(call, &reply.base, much, FRAME_MAX);
    free(much);
}

/* In a serving child: dies at the first call there ever was, answers the second. */
static void die_once(struct rpc_call *call)
{
    Cortex__V1__StopJobReply reply = CORTEX__V1__STOP_JOB_REPLY__INIT;
    const unsigned char *id = rpc_call_request_id(call);
    struct buffer ids = BUFFER_INIT;

    (void)fs_read(record_path, 4096, &ids, NULL);
    bool first = ids.size == 0;
    buffer_add(&ids, id, ID_REQUEST_SIZE);
    (void)fs_write_durable(record_path, ids.data, ids.size, 0600, NULL);
    buffer_fini(&ids);
    if (first) {
        _exit(0);
    }
    rpc_call_reply(call, &reply.base, NULL, 0);
}

static const struct {
    const char *method;
    void (*handle)(struct rpc_call *call);
} behaviours[] = {
    {"cortex.v1.Client/PutProject", echo},
    {"cortex.v1.Client/Info", introduce},
    {"cortex.v1.Client/GetApi", refuse},
    {"cortex.v1.Client/GetJob", park},
    {"cortex.v1.Client/ReadLog", be_busy_for_a_while},
    {"cortex.v1.Client/DryRun", answer_with_more_than_fits},
    {"cortex.v1.Client/StopJob", die_once},
};

static void invoke(ProtobufCService *service,
                   unsigned method_index,
                   const ProtobufCMessage *message,
                   ProtobufCClosure closure,
                   void *closure_data)
{
    struct rpc_call *call = closure_data;

    (void)service;
    (void)method_index;
    assert_null(closure);
    assert_ptr_equal(message, rpc_call_message(call));
    for (size_t i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); i++) {
        if (strcmp(behaviours[i].method, rpc_call_method(call)) == 0) {
            behaviours[i].handle(call);
        }
    }
}

static ProtobufCService client_service = {
    .descriptor = &cortex__v1__client__descriptor,
    .invoke = invoke,
};

static struct rpc_server *start(struct rpc_server_options options)
{
    ProtobufCService *services[] = {&client_service, NULL};
    struct rpc_server *server = NULL;
    struct error err = {.code = ERROR_OK};

    options.services = services;
    options.url = options.url ? options.url : "tcp://127.0.0.1:0";
    options.frame_size_max = FRAME_MAX;
    if (rpc_server_start(&options, &server, &err) != 0) {
        print_error("%s\n", err.message);
    }
    assert_non_null(server);
    return server;
}

static struct rpc_client *dial(const char *url)
{
    struct rpc_client_options options = {.url = url};
    struct rpc_client *client = NULL;

    assert_int_equal(rpc_client_create(&options, &client, NULL), 0);
    return client;
}

/* A folder of this test's own, and a Unix socket's address in it. */
static char *make_folder(void)
{
    char template[] = "/tmp/test_rpc.XXXXXX";
    char *path = mkdtemp(template);

    assert_non_null(path);
    return memory_strdup(path);
}

static int free_port(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void sleep_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static int call_info(struct rpc_client *client, struct error *err)
{
    Cortex__V1__InfoRequest request = CORTEX__V1__INFO_REQUEST__INIT;
    const Cortex__V1__InfoReply *reply = NULL;

    cortex__v1__client__info(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__InfoReply),
        &reply);
    int result = rpc_client_result(client, err);
    assert_true((result == 0) == (reply != NULL));
    return result;
}

static int call_get_job(struct rpc_client *client, uint64_t job_id, struct error *err)
{
    Cortex__V1__GetJobRequest request = CORTEX__V1__GET_JOB_REQUEST__INIT;
    const Cortex__V1__GetJobReply *reply = NULL;

    request.job_id = job_id;
    cortex__v1__client__get_job(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__GetJobReply),
        &reply);
    return rpc_client_result(client, err);
}

/* A call in a thread of its own. */
struct background {
    pthread_t thread;
    struct rpc_client *client;
    int (*call)(struct rpc_client *client, uint64_t job_id, struct error *err);
    uint64_t job_id;
    int result;
    struct error error;
    int64_t took_ms;
};

static void *background_run(void *arg)
{
    struct background *background = arg;
    int64_t start_ms = clock_monotonic_ms();

    background->result =
        background->call(background->client, background->job_id, &background->error);
    background->took_ms = clock_monotonic_ms() - start_ms;
    return NULL;
}

static void background_start(struct background *background)
{
    assert_int_equal(
        pthread_create(&background->thread, NULL, background_run, background), 0);
}

static void background_join(struct background *background)
{
    assert_int_equal(pthread_join(background->thread, NULL), 0);
}

static size_t count_parked(void)
{
    pthread_mutex_lock(&parked_lock);
    size_t count = parked_count;
    pthread_mutex_unlock(&parked_lock);
    return count;
}

static void wait_for_parked(size_t count)
{
    int64_t until_ms = clock_monotonic_ms() + NET_MS;

    while (count_parked() < count) {
        assert_true(clock_monotonic_ms() < until_ms);
        sleep_ms(2);
    }
}

static void answer_parked(void)
{
    Cortex__V1__GetJobReply reply = CORTEX__V1__GET_JOB_REPLY__INIT;

    pthread_mutex_lock(&parked_lock);
    for (size_t i = 0; i < parked_count; i++) {
        rpc_call_reply(parked[i], &reply.base, "late", 4);
    }
    parked_count = 0;
    pthread_mutex_unlock(&parked_lock);
}

/* --- calls --- */

static void echoes_an_attachment(const char *url, size_t size)
{
    Cortex__V1__PutProjectRequest request = CORTEX__V1__PUT_PROJECT_REQUEST__INIT;
    const Cortex__V1__PutProjectReply *reply = NULL;
    struct rpc_client *client = dial(url);
    char *sent = memory_zalloc(size);

    id_random_bytes(sent, size);
    rpc_client_attach(client, sent, size);
    cortex__v1__client__put_project(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__PutProjectReply),
        &reply);
    assert_int_equal(rpc_client_result(client, NULL), 0);
    assert_non_null(reply);
    assert_true(reply->next_offset == size);
    size_t got_size;
    const void *got = rpc_client_attachment(client, &got_size);
    assert_int_equal(got_size, size);
    assert_memory_equal(got, sent, size);
    free(sent);

    // An attachment is for one call.
    assert_int_equal(call_info(client, NULL), 0);
    (void)rpc_client_attachment(client, &got_size);
    assert_int_equal(got_size, 0);
}

static void a_call_over_tcp_brings_back_what_was_attached(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});

    assert_true(strncmp(rpc_server_url(server), "tcp://127.0.0.1:", 16) == 0);
    assert_string_not_equal(rpc_server_url(server), "tcp://127.0.0.1:0");
    echoes_an_attachment(rpc_server_url(server), 1);
    echoes_an_attachment(rpc_server_url(server), 5u << 20);
}

static void
a_call_over_a_unix_socket_does_too_and_the_socket_is_the_owners(void **state)
{
    (void)state;
    char *folder = make_folder();
    char *url = memory_format("ipc://%s/socket", folder);
    char *path = fs_join(folder, "socket");
    struct stat info;

    struct rpc_server *server = start((struct rpc_server_options){.url = url});
    assert_string_equal(rpc_server_url(server), url);
    echoes_an_attachment(url, 3u << 20);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(fs_remove_tree(folder, NULL), 0);
    free(path);
    free(url);
    free(folder);
}

static void a_server_learns_who_calls_and_how_long_he_waits(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client_options options = {
        .url = rpc_server_url(server),
        .release = "9.9.9",
    };
    struct rpc_client *client;
    Cortex__V1__InfoRequest request = CORTEX__V1__INFO_REQUEST__INIT;
    const Cortex__V1__InfoReply *reply = NULL;

    assert_int_equal(rpc_client_create(&options, &client, NULL), 0);
    int64_t before_ms = rpc_client_heard_ms(client);
    sleep_ms(5);
    rpc_client_set_timeout(client, 12345);
    cortex__v1__client__info(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__InfoReply),
        &reply);
    assert_int_equal(rpc_client_result(client, NULL), 0);
    assert_string_equal(reply->release, "9.9.9");
    assert_true(strncmp(reply->bridge_url, "127.0.0.1:", 10) == 0);
    assert_true(reply->boot > 0 && reply->boot <= 12345);
    assert_true(rpc_client_heard_ms(client) > before_ms);
}

static void an_error_travels_with_its_code_kind_and_sentence(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    Cortex__V1__GetApiRequest request = CORTEX__V1__GET_API_REQUEST__INIT;
    const Cortex__V1__GetApiReply *reply = (const void *)"not NULL";
    struct error err;

    request.api_name = (char *)"image-classifier";
    cortex__v1__client__get_api(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__GetApiReply),
        &reply);
    assert_null(reply);
    assert_int_equal(rpc_client_result(client, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_string_equal(err.kind, "resources.api_not_deployed");
    assert_string_equal(err.message, "image-classifier is not deployed");
    assert_int_equal(call_info(client, &err), 0); // the next is a call like any other
}

static void a_parked_call_is_answered_later_by_another_thread(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct background call = {
        .client = dial(rpc_server_url(server)),
        .call = call_get_job,
    };

    background_start(&call);
    wait_for_parked(1);
    sleep_ms(30);
    answer_parked();
    background_join(&call);
    assert_int_equal(call.result, 0);
    assert_true(call.took_ms >= 30);
    size_t size;
    assert_memory_equal(rpc_client_attachment(call.client, &size), "late", 4);
}

static void two_hundred_parked_calls_hinder_nobody(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct background *calls = memory_zalloc(COUNT * sizeof(*calls));

    for (int i = 0; i < COUNT; i++) {
        calls[i].client = dial(rpc_server_url(server));
        calls[i].call = call_get_job;
        background_start(&calls[i]);
    }
    wait_for_parked(COUNT);
    assert_int_equal(call_info(dial(rpc_server_url(server)), NULL), 0);
    answer_parked();
    for (int i = 0; i < COUNT; i++) {
        background_join(&calls[i]);
        assert_int_equal(calls[i].result, 0);
    }
    free(calls);
}

static void a_call_beyond_the_contexts_is_told_to_come_back(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    unsigned contexts = RPC_SERVER_RECEIVING + COUNT;
    struct rpc_server *server =
        start((struct rpc_server_options){.contexts_max = contexts});
    struct rpc_client *client = dial(rpc_server_url(server));
    struct background calls[COUNT];
    struct error err;

    for (int i = 0; i < COUNT; i++) {
        calls[i] = (struct background){
            .client = dial(rpc_server_url(server)),
            .call = call_get_job,
        };
        background_start(&calls[i]);
    }
    wait_for_parked(COUNT);
    rpc_client_set_retry(client, false);
    assert_int_equal(call_info(client, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_string_equal(err.message, "the server is busy: 5 requests are waiting");

    struct background late = {.client = client, .call = call_get_job};
    background_start(&late); // this one comes back until there is room
    sleep_ms(50);
    assert_int_equal(count_parked(), COUNT);
    answer_parked();
    wait_for_parked(1);
    answer_parked();
    background_join(&late);
    assert_int_equal(late.result, 0);
    for (int i = 0; i < COUNT; i++) {
        background_join(&calls[i]);
    }
}

static void a_method_that_is_not_served_is_unimplemented(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    Cortex__V1__SyncRequest request = CORTEX__V1__SYNC_REQUEST__INIT;
    const Cortex__V1__SyncReply *reply = NULL;
    struct error err;

    cortex__v1__agent_service__sync(
        rpc_client_service(client, &cortex__v1__agent_service__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__SyncReply),
        &reply);
    assert_int_equal(rpc_client_result(client, &err), -1);
    assert_int_equal(err.code, ERROR_UNIMPLEMENTED);
    assert_string_equal(err.message,
                        "this server has no method \"cortex.v1.AgentService/Sync\"");
}

static void a_message_that_is_not_text_is_refused_with_its_field(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    Cortex__V1__GetApiRequest request = CORTEX__V1__GET_API_REQUEST__INIT;
    const Cortex__V1__GetApiReply *reply = NULL;
    struct error err;

    request.api_name = (char *)"\xFF";
    cortex__v1__client__get_api(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__GetApiReply),
        &reply);
    assert_int_equal(rpc_client_result(client, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "GetApiRequest.api_name"));
}

static void a_request_larger_than_a_frame_is_not_sent(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    struct error err;
    char *much = memory_zalloc(RPC_FRAME_SIZE_MAX);

    rpc_client_attach(client, much, RPC_FRAME_SIZE_MAX);
    assert_int_equal(call_info(client, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_non_null(strstr(err.message, "25165824"));
    assert_int_equal(call_info(client, &err), 0);
    free(much);
}

static void
a_request_larger_than_the_server_takes_ends_only_its_connection(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    struct error err;
    char *much = memory_zalloc(FRAME_MAX);

    rpc_client_attach(client, much, FRAME_MAX); // the client's own limit is larger
    rpc_client_set_retry(client, false);
    assert_int_equal(call_info(client, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, rpc_server_url(server)));
    assert_int_equal(call_info(client, &err), 0);
    free(much);
}

static void a_reply_larger_than_a_frame_is_an_internal_error(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    Cortex__V1__DryRunRequest request = CORTEX__V1__DRY_RUN_REQUEST__INIT;
    const Cortex__V1__DryRunReply *reply = NULL;
    struct error err;

    cortex__v1__client__dry_run(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__DryRunReply),
        &reply);
    assert_int_equal(rpc_client_result(client, &err), -1);
    assert_int_equal(err.code, ERROR_INTERNAL);
    assert_non_null(strstr(err.message, "8388608"));
}

/* --- time --- */

static void a_call_that_is_not_answered_ends_at_its_deadline(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    int64_t start_ms = clock_monotonic_ms();
    struct error err;

    rpc_client_set_timeout(client, 150);
    assert_int_equal(call_get_job(client, 1, &err), -1);
    assert_int_equal(err.code, ERROR_DEADLINE_EXCEEDED);
    assert_non_null(strstr(err.message, rpc_server_url(server)));
    assert_non_null(strstr(err.message, "cortex.v1.Client/GetJob"));
    assert_true(clock_monotonic_ms() - start_ms >= 150);

    wait_for_parked(1);
    answer_parked(); // too late, and taken for no other call's answer
    Cortex__V1__PutProjectRequest request = CORTEX__V1__PUT_PROJECT_REQUEST__INIT;
    const Cortex__V1__PutProjectReply *reply = NULL;
    cortex__v1__client__put_project(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__PutProjectReply),
        &reply);
    assert_int_equal(rpc_client_result(client, &err), 0);
}

static void when_nobody_listens_the_error_says_where(void **state)
{
    (void)state;
    char *url = memory_format("tcp://127.0.0.1:%d", free_port());
    struct rpc_client *client = dial(url);
    struct error err;

    rpc_client_set_timeout(client, 100);
    assert_int_equal(call_info(client, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "nobody listens on tcp://127.0.0.1:"));
    assert_non_null(strstr(err.message, url));
    free(url);
}

static void a_client_waits_for_a_server_that_starts_late(void **state)
{
    (void)state;
    char *url = memory_format("tcp://127.0.0.1:%d", free_port());
    struct background call = {.client = dial(url), .call = call_get_job};

    background_start(&call);
    sleep_ms(200);
    (void)start((struct rpc_server_options){.url = url});
    wait_for_parked(1);
    answer_parked();
    background_join(&call);
    assert_int_equal(call.result, 0);
    free(url);
}

static void an_unavailable_server_is_asked_again_when_it_said(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    Cortex__V1__ReadLogRequest request = CORTEX__V1__READ_LOG_REQUEST__INIT;
    const Cortex__V1__ReadLogReply *reply = NULL;
    int64_t start_ms = clock_monotonic_ms();

    atomic_store(&unavailable_left, 3);
    cortex__v1__client__read_log(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__ReadLogReply),
        &reply);
    assert_int_equal(rpc_client_result(client, NULL), 0);
    assert_int_equal(atomic_load(&unavailable_left), -1);
    assert_true(clock_monotonic_ms() - start_ms >= 90);
}

// nng 1.5 tells of no timeout any more, but of success without a message, once the same
// aio has slept.
static void a_deadline_ends_a_call_on_a_client_that_has_paused_before(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    Cortex__V1__ReadLogRequest request = CORTEX__V1__READ_LOG_REQUEST__INIT;
    const Cortex__V1__ReadLogReply *reply = NULL;
    struct error err;

    atomic_store(&unavailable_left, 1);
    cortex__v1__client__read_log(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__ReadLogReply),
        &reply);
    assert_int_equal(rpc_client_result(client, NULL), 0);
    rpc_client_set_timeout(client, 100);
    assert_int_equal(call_get_job(client, 1, &err), -1);
    assert_int_equal(err.code, ERROR_DEADLINE_EXCEEDED);
    wait_for_parked(1);
    answer_parked();
}

static void a_call_can_be_cancelled_while_it_waits_for_anything(void **state)
{
    (void)state;
    char *nowhere = memory_format("tcp://127.0.0.1:%d", free_port());
    struct rpc_server *server = start((struct rpc_server_options){0});
    const char *urls[] = {nowhere, rpc_server_url(server)};

    for (int i = 0; i < 2; i++) {
        struct background call = {.client = dial(urls[i]), .call = call_get_job};
        background_start(&call);
        sleep_ms(50);
        rpc_client_cancel(call.client);
        background_join(&call);
        assert_int_equal(call.result, -1);
        assert_int_equal(call.error.code, ERROR_CANCELLED);
        assert_true(call.took_ms < NET_MS);
        assert_int_equal(call_get_job(call.client, 1, &call.error), -1);
        assert_int_equal(call.error.code, ERROR_CANCELLED);
    }
    wait_for_parked(1);
    answer_parked();
    free(nowhere);
}

static void a_draining_server_takes_no_call_and_waits_for_the_others(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct background call = {
        .client = dial(rpc_server_url(server)),
        .call = call_get_job,
    };
    struct rpc_client *other = dial(rpc_server_url(server));
    int64_t start_ms = clock_monotonic_ms();
    struct error err;

    background_start(&call);
    wait_for_parked(1);
    assert_int_equal(rpc_server_drain(server, 60), 1); // the parked one
    assert_true(clock_monotonic_ms() - start_ms >= 60);
    rpc_client_set_retry(other, false);
    assert_int_equal(call_info(other, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_string_equal(err.message, "the server is shutting down");
    answer_parked();
    assert_int_equal(rpc_server_drain(server, 2 * NET_MS), 0);
    assert_true(clock_monotonic_ms() - start_ms < 2 * NET_MS);
    background_join(&call);
    assert_int_equal(call.result, 0);
}

/* --- a server that dies --- */

static pid_t spawn_server(const char *url, const char *record)
{
    char *const argv[] = {
        (char *)"test_rpc", (char *)"serve", (char *)url, (char *)record, NULL};
    pid_t pid;

    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

static int call_stop_job(struct rpc_client *client, uint64_t job_id, struct error *err)
{
    Cortex__V1__StopJobRequest request = CORTEX__V1__STOP_JOB_REQUEST__INIT;
    const Cortex__V1__StopJobReply *reply = NULL;

    request.job_id = job_id;
    cortex__v1__client__stop_job(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__StopJobReply),
        &reply);
    return rpc_client_result(client, err);
}

static void a_retry_after_the_servers_death_keeps_the_request_id(void **state)
{
    (void)state;
    char *folder = make_folder();
    char *record = fs_join(folder, "ids");
    char *url = memory_format("tcp://127.0.0.1:%d", free_port());
    struct background call = {.client = dial(url), .call = call_stop_job};
    struct buffer ids = BUFFER_INIT;
    int status;

    pid_t first = spawn_server(url, record);
    background_start(&call);
    assert_int_equal(waitpid(first, &status, 0), first);
    pid_t second = spawn_server(url, record);
    background_join(&call);
    assert_int_equal(call.result, 0);
    assert_int_equal(fs_read(record, 4096, &ids, NULL), 0);
    assert_int_equal(ids.size, 2 * ID_REQUEST_SIZE);
    assert_memory_equal(ids.data, ids.data + ID_REQUEST_SIZE, ID_REQUEST_SIZE);

    assert_int_equal(kill(second, SIGKILL), 0);
    assert_int_equal(waitpid(second, &status, 0), second);
    assert_int_equal(fs_remove_tree(folder, NULL), 0);
    buffer_fini(&ids);
    free(url);
    free(record);
    free(folder);
}

static void a_lost_connection_is_noticed_long_before_the_deadline(void **state)
{
    (void)state;
    char *folder = make_folder();
    char *record = fs_join(folder, "ids");
    char *url = memory_format("ipc://%s/socket", folder);
    struct rpc_client *client = dial(url);
    int64_t start_ms = clock_monotonic_ms();
    struct error err;
    int status;

    pid_t server = spawn_server(url, record);
    assert_int_equal(call_info(client, &err), 0); // it is up
    rpc_client_set_timeout(client, 10 * NET_MS);
    rpc_client_set_retry(client, false);
    assert_int_equal(call_stop_job(client, 1, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "broke"));
    assert_non_null(strstr(err.message, url));
    assert_true(clock_monotonic_ms() - start_ms < 10 * NET_MS);
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(fs_remove_tree(folder, NULL), 0);
    free(url);
    free(record);
    free(folder);
}

/* --- strangers: SP over TCP by hand --- */

static int connect_to(const char *url)
{
    struct timeval patience = {.tv_sec = NET_MS / 1000};
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10)),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

/* Connected as nng's REQ would be. */
static int connect_as_req(const char *url)
{
    static const uint8_t hello[SP_HELLO_SIZE] = {0, 'S', 'P', 0, 0, SP_REQ, 0, 0};
    uint8_t theirs[SP_HELLO_SIZE];
    int fd = connect_to(url);

    assert_int_equal(send(fd, hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
    assert_int_equal(recv(fd, theirs, sizeof(theirs), MSG_WAITALL), sizeof(theirs));
    return fd;
}

/* An SP message of the size it claims, or not; false once nobody listens any more. */
static bool send_sp(int fd, uint64_t claimed_size, const void *body, size_t size)
{
    uint64_t length = htobe64(claimed_size);

    return send(fd, &length, sizeof(length), MSG_NOSIGNAL) == sizeof(length) &&
           send(fd, body, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Waits for the other side to hang up; false if it does not. */
static bool is_hung_up(int fd)
{
    char rest[4096];
    ssize_t got;

    do {
        got = recv(fd, rest, sizeof(rest), 0);
    } while (got > 0);
    return got == 0 || errno == ECONNRESET;
}

/* The same for one who does not read. */
static bool is_hung_up_unread(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};

    return poll(&poll_fd, 1, NET_MS) == 1;
}

static void garbage_is_hung_up_on_and_harms_nobody(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    struct rpc_client *client = dial(rpc_server_url(server));
    uint8_t garbage[256];

    for (int i = 0; i < 20; i++) {
        id_random_bytes(garbage, sizeof(garbage));
        int fd = connect_to(rpc_server_url(server)); // not even SP
        (void)send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
        assert_true(is_hung_up(fd));
        (void)close(fd);

        fd = connect_as_req(rpc_server_url(server)); // SP, but no frame of ours
        garbage[0] |= 0x80;                          // a request id of nng's
        assert_true(send_sp(fd, sizeof(garbage), garbage, sizeof(garbage)));
        assert_true(is_hung_up(fd));
        (void)close(fd);

        fd = connect_as_req(rpc_server_url(server)); // and more than we take
        (void)send_sp(fd, (uint64_t)1 << (24 + i), garbage, sizeof(garbage));
        assert_true(is_hung_up(fd));
        (void)close(fd);
        assert_int_equal(call_info(client, NULL), 0);
    }
}

/* A call of PutProject as it is on the wire, behind nng's request id. */
static void pack_put(struct buffer *out, size_t attachment_size)
{
    static const uint8_t nng_id[4] = {0x80, 0, 0, 1};
    struct codec_request request = {
        .method = "cortex.v1.Client/PutProject",
        .timeout_ms = 1000,
    };
    Cortex__V1__PutProjectRequest message = CORTEX__V1__PUT_PROJECT_REQUEST__INIT;
    char *attachment = memory_zalloc(attachment_size);

    buffer_add(out, nng_id, sizeof(nng_id));
    codec_pack_request(&request, 1, &message.base, attachment, attachment_size, out);
    free(attachment);
}

static void a_peer_that_never_reads_is_cut_and_starves_nobody(void **state)
{
    (void)state;
    struct rpc_server *server =
        start((struct rpc_server_options){.contexts_max = RPC_SERVER_RECEIVING + 8});
    struct rpc_client *client = dial(rpc_server_url(server));
    struct timeval patience = {.tv_sec = 1};
    int little = 64 << 10; // bytes the kernel takes for it
    struct buffer request = BUFFER_INIT;
    int fd = connect_as_req(rpc_server_url(server));

    pack_put(&request, 4u << 20);
    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
    for (int i = 0; i < 30; i++) {
        if (!send_sp(fd, request.size, request.data, request.size)) {
            break; // its requests are not read any more
        }
    }
    assert_int_equal(call_info(client, NULL), 0); // while it blocks what it can
    assert_true(is_hung_up_unread(fd));
    (void)close(fd);
    buffer_fini(&request);
}

static void connections_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    struct rpc_server *server =
        start((struct rpc_server_options){.connections_per_address_max = 3});
    struct rpc_client *client = dial(rpc_server_url(server));
    struct pollfd fds[3];
    int cut = -1;

    assert_int_equal(call_info(client, NULL), 0);
    for (int i = 0; i < 3; i++) {
        fds[i] = (struct pollfd){.fd = connect_as_req(rpc_server_url(server)),
                                 .events = POLLRDHUP};
    }
    // Whichever nng comes to last is the fourth.
    assert_int_equal(poll(fds, 3, NET_MS), 1);
    for (int i = 0; i < 3; i++) {
        cut = fds[i].revents ? i : cut;
    }
    assert_int_equal(call_info(client, NULL), 0);
    (void)close(fds[(cut + 1) % 3].fd); // makes room for another
    struct rpc_client *another = dial(rpc_server_url(server));
    assert_int_equal(call_info(another, NULL), 0);
    (void)close(fds[cut].fd);
    (void)close(fds[(cut + 2) % 3].fd);
}

/* --- addresses --- */

static void a_server_listens_for_this_machine_only(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "tcp://0.0.0.0:0",
        "tcp://:0",
        "tcp://*:0",
        "tcp://192.0.2.1:8790",
        "tcp://[::]:0",
        "tcp://example.com:0",
        "ws://127.0.0.1:0/",
        "127.0.0.1:8790",
        "",
    };
    ProtobufCService *services[] = {&client_service, NULL};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct rpc_server_options options = {.url = urls[i], .services = services};
        struct rpc_server *server;
        struct error err;
        assert_int_equal(rpc_server_start(&options, &server, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, urls[i]));
        assert_non_null(strstr(err.message, "tcp://127.0.0.1:8790"));
    }
}

static void an_address_that_is_taken_or_malformed_is_an_error(void **state)
{
    (void)state;
    struct rpc_server *server = start((struct rpc_server_options){0});
    ProtobufCService *services[] = {&client_service, NULL};
    struct rpc_server_options options = {
        .url = rpc_server_url(server),
        .services = services,
    };
    struct rpc_client_options client_options = {.url = "localhost:8790"};
    struct rpc_server *second;
    struct rpc_client *client;
    struct error err;

    assert_int_equal(rpc_server_start(&options, &second, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, rpc_server_url(server)));
    assert_int_equal(rpc_client_create(&client_options, &client, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "\"localhost:8790\""));
}

static int serve(const char *url, const char *record)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    record_path = record;
    (void)start((struct rpc_server_options){.url = url});
    return pause();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_over_tcp_brings_back_what_was_attached),
        cmocka_unit_test(
            a_call_over_a_unix_socket_does_too_and_the_socket_is_the_owners),
        cmocka_unit_test(a_server_learns_who_calls_and_how_long_he_waits),
        cmocka_unit_test(an_error_travels_with_its_code_kind_and_sentence),
        cmocka_unit_test(a_parked_call_is_answered_later_by_another_thread),
        cmocka_unit_test(two_hundred_parked_calls_hinder_nobody),
        cmocka_unit_test(a_call_beyond_the_contexts_is_told_to_come_back),
        cmocka_unit_test(a_method_that_is_not_served_is_unimplemented),
        cmocka_unit_test(a_message_that_is_not_text_is_refused_with_its_field),
        cmocka_unit_test(a_request_larger_than_a_frame_is_not_sent),
        cmocka_unit_test(
            a_request_larger_than_the_server_takes_ends_only_its_connection),
        cmocka_unit_test(a_reply_larger_than_a_frame_is_an_internal_error),
        cmocka_unit_test(a_call_that_is_not_answered_ends_at_its_deadline),
        cmocka_unit_test(when_nobody_listens_the_error_says_where),
        cmocka_unit_test(a_client_waits_for_a_server_that_starts_late),
        cmocka_unit_test(an_unavailable_server_is_asked_again_when_it_said),
        cmocka_unit_test(a_deadline_ends_a_call_on_a_client_that_has_paused_before),
        cmocka_unit_test(a_call_can_be_cancelled_while_it_waits_for_anything),
        cmocka_unit_test(a_draining_server_takes_no_call_and_waits_for_the_others),
        cmocka_unit_test(a_retry_after_the_servers_death_keeps_the_request_id),
        cmocka_unit_test(a_lost_connection_is_noticed_long_before_the_deadline),
        cmocka_unit_test(garbage_is_hung_up_on_and_harms_nobody),
        cmocka_unit_test(connections_beyond_the_limits_are_refused),
        cmocka_unit_test(a_server_listens_for_this_machine_only),
        cmocka_unit_test(an_address_that_is_taken_or_malformed_is_an_error),
        // The last, since who pipelines and is cut may wedge nng 1.5's reaper.
        cmocka_unit_test(a_peer_that_never_reads_is_cut_and_starves_nobody),
    };

    assert_int_equal(id_init(), 0);
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return serve(argv[2], argv[3]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
