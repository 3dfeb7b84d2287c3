/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_killed_peers.c - whether the death of many peers leaves anything behind
 *
 * nng 1.5 leaks a descriptor of each later client once its reaper is stuck (nng
 * #1636). Peers are this program again, started with a role ("client" or "server") and
 * an address, and killed by SIGKILL. */
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "proto/client.pb-c.h"

#ifdef CORTEX_SANITIZED
#define CLIENTS_KILLED 120
#define SERVERS_KILLED 12
#else
#define CLIENTS_KILLED 600
#define SERVERS_KILLED 60
#endif
#define CLIENTS_AT_ONCE 20
#define NET_MS          60000 /* a safety net */

#define PARKED_MAX (4 * CLIENTS_KILLED)

static atomic_int parked_count;
static struct rpc_call *parked[PARKED_MAX]; // who never answers at least remembers

/* Info is answered; any other call is kept, as a call that waits for work is. */
static void invoke(ProtobufCService *service,
                   unsigned method_index,
                   const ProtobufCMessage *message,
                   ProtobufCClosure closure,
                   void *closure_data)
{
    struct rpc_call *call = closure_data;
    Cortex__V1__InfoReply reply = CORTEX__V1__INFO_REPLY__INIT;

    (void)message;
    (void)closure;
    if (strcmp(service->descriptor->methods[method_index].name, "Info") == 0) {
        rpc_call_reply(call, &reply.base, NULL, 0);
    } else {
        int at = atomic_fetch_add(&parked_count, 1);
        assert_true(at < PARKED_MAX);
        parked[at] = call;
    }
}

static ProtobufCService client_service = {
    .descriptor = &cortex__v1__client__descriptor,
    .invoke = invoke,
};

static struct rpc_server *start(const char *url)
{
    ProtobufCService *services[] = {&client_service, NULL};
    struct rpc_server_options options = {.url = url, .services = services};
    struct rpc_server *server = NULL;

    return rpc_server_start(&options, &server, NULL) == 0 ? server : NULL;
}

static struct rpc_client *dial(const char *url)
{
    struct rpc_client_options options = {.url = url};
    struct rpc_client *client = NULL;

    return rpc_client_create(&options, &client, NULL) == 0 ? client : NULL;
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
    return rpc_client_result(client, err);
}

static int run_client(const char *url)
{
    Cortex__V1__GetJobRequest request = CORTEX__V1__GET_JOB_REQUEST__INIT;
    const Cortex__V1__GetJobReply *reply = NULL;
    struct rpc_client *client = dial(url);

    cortex__v1__client__get_job(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__GetJobReply),
        &reply);
    return 1; // nobody answers: it is to be killed
}

static int run_server(const char *url)
{
    return start(url) ? pause() : 1;
}

static pid_t spawn(const char *role, const char *url)
{
    char *const argv[] = {(char *)"rpc_killed_peers", (char *)role, (char *)url, NULL};
    pid_t pid;

    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

static void kill_and_reap(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(folder);
    while (readdir(folder)) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static void wait_until(bool (*holds)(const void *arg), const void *arg)
{
    int64_t until_ms = clock_monotonic_ms() + NET_MS;

    while (!holds(arg)) {
        assert_true(clock_monotonic_ms() < until_ms);
        (void)poll(NULL, 0, 2);
    }
}

static bool has_parked(const void *arg)
{
    return atomic_load(&parked_count) >= *(const int *)arg;
}

static bool has_descriptors(const void *arg)
{
    return count_descriptors() <= *(const int *)arg;
}

static void a_server_leaks_no_descriptor_over_600_killed_clients(void **state)
{
    (void)state;
    pid_t pids[CLIENTS_AT_ONCE];
    struct rpc_server *server = start("tcp://127.0.0.1:0");

    assert_non_null(server);
    struct rpc_client *client = dial(rpc_server_url(server));
    assert_int_equal(call_info(client, NULL), 0);
    int before = count_descriptors();
    for (int killed = 0; killed < CLIENTS_KILLED; killed += CLIENTS_AT_ONCE) {
        for (int i = 0; i < CLIENTS_AT_ONCE; i++) {
            pids[i] = spawn("client", rpc_server_url(server));
        }
        int wanted = killed + CLIENTS_AT_ONCE;
        wait_until(has_parked, &wanted);
        for (int i = 0; i < CLIENTS_AT_ONCE; i++) {
            kill_and_reap(pids[i]);
        }
    }
    wait_until(has_descriptors, &before);
    assert_int_equal(rpc_server_descriptor_drift(server), 0);
    assert_int_equal(call_info(client, NULL), 0);
}

static char *free_url(void)
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
    return memory_format("tcp://127.0.0.1:%d", ntohs(address.sin_port));
}

static void a_client_comes_back_after_each_of_60_killed_servers(void **state)
{
    (void)state;
    char *url = free_url();
    struct rpc_client *client = dial(url);
    int before = 0;

    for (int i = 0; i < SERVERS_KILLED; i++) {
        pid_t server = spawn("server", url);
        struct error err = {.code = ERROR_OK};
        if (call_info(client, &err) != 0) {
            fail_msg("server %d: %s", i, err.message);
        }
        before = i == 0 ? count_descriptors() : before;
        kill_and_reap(server);
    }
    wait_until(has_descriptors, &before);
    free(url);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_leaks_no_descriptor_over_600_killed_clients),
        cmocka_unit_test(a_client_comes_back_after_each_of_60_killed_servers),
    };

    assert_int_equal(id_init(), 0);
    if (argc == 3) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        return strcmp(argv[1], "client") == 0 ? run_client(argv[2])
                                              : run_server(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
