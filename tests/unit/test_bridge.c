/* SPDX-License-Identifier: Apache-2.0 */
/* test_bridge.c - does the bridge answer as the Batch API says, whoever asks?
 *
 * A real cortex-bridge, a master of this file's own making behind it, and clients that
 * write to sockets byte by byte, or are curl. With the argument "tls" the bridge serves
 * HTTPS, and the same bytes are said inside of it. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/client.pb-c.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/rpc_server.h"
#include "tests/support/tls_tunnel.h"
#include "tests/unit/corpus.h"

#define JOB         0x69d6faf82e4660d3u /* the only one there is */
#define JOB_TEXT    "69d6faf82e4660d3"
#define DONE        0x69d6faf82e4660d4u /* this one is over */
#define DONE_TEXT   "69d6faf82e4660d4"
#define NO_JOB_TEXT "0000000000000001"
#define CALLS_MAX   256
#define NET_MS      60000 /* a safety net: nothing here waits so long */
#define FOLLOWERS   50
#define BIG_SIZE    (10u << 20)
#define READY_FD    3
#define FORM_TYPE   "Content-Type: application/x-www-form-urlencoded\r\n"

/* ---- a master ---------------------------------------------------------------- */

struct log_call {
    struct rpc_call *call;
    uint64_t offset;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned submissions;
    unsigned log_calls; /* in all */
    struct buffer log;
    bool log_ended;
    struct log_call waiting[CALLS_MAX];
    size_t waiting_count;
    struct rpc_call *held[CALLS_MAX]; /* submissions that asked to wait */
    size_t held_count;
    struct rpc_server *server;
} master = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void refuse(void *call, enum error_code code, const char *kind, const char *text)
{
    struct error err;

    error_set_kind(&err, code, kind, "%s", text);
    rpc_call_fail(call, &err, 0);
}

static void reply_with(void *call, const ProtobufCMessage *message)
{
    rpc_call_reply(call, message, NULL, 0);
}

static bool known_job(uint64_t job_id, void *call)
{
    if (job_id == JOB || job_id == DONE) {
        return true;
    }
    refuse(call, ERROR_NOT_FOUND, "batchapi.job_not_found", "no such job");
    return false;
}

static void fake__info(Cortex__V1__Client_Service *service,
                       const Cortex__V1__InfoRequest *request,
                       Cortex__V1__InfoReply_Closure closure,
                       void *call)
{
    Cortex__V1__InfoReply reply = CORTEX__V1__INFO_REPLY__INIT;

    (void)service;
    (void)request;
    (void)closure;
    reply.bridge_url = (char *)"https://cortex.example/";
    reply_with(call, &reply.base);
}

#define UNUSED_METHOD(name, type)                                                      \
    static void fake__##name(Cortex__V1__Client_Service *service,                      \
                             const Cortex__V1__##type##Request *request,               \
                             Cortex__V1__##type##Reply_Closure closure,                \
                             void *call)                                               \
    {                                                                                  \
        (void)service;                                                                 \
        (void)request;                                                                 \
        (void)closure;                                                                 \
        refuse(call, ERROR_UNIMPLEMENTED, "", "no bridge asks for this");              \
    }

UNUSED_METHOD(put_project, PutProject)
UNUSED_METHOD(deploy, Deploy)
UNUSED_METHOD(list_apis, ListApis)
UNUSED_METHOD(delete_api, DeleteApi)
UNUSED_METHOD(rotate_key, RotateKey)

static void fill_job(Cortex__V1__Job *job, uint64_t job_id)
{
    cortex__v1__job__init(job);
    job->job_id = job_id;
    job->api_name = (char *)"image-classifier";
    job->state = CORTEX__V1__JOB_STATE__JOB_STATE_RUNNING;
    job->workers = 1;
    job->start_ns = 1595207264000000000;
}

static void fill_api(Cortex__V1__Api *api)
{
    cortex__v1__api__init(api);
    api->name = (char *)"image-classifier";
    api->endpoint = (char *)"/image-classifier";
    api->spec = (char *)"{}";
}

// Shows the filter that it was asked with as a job.
static void fake__get_api(Cortex__V1__Client_Service *service,
                          const Cortex__V1__GetApiRequest *request,
                          Cortex__V1__GetApiReply_Closure closure,
                          void *call)
{
    Cortex__V1__GetApiReply reply = CORTEX__V1__GET_API_REPLY__INIT;
    Cortex__V1__Api api;
    Cortex__V1__Job job;
    Cortex__V1__Job *jobs[] = {&job};

    (void)service;
    (void)closure;
    fill_api(&api);
    fill_job(&job, request->after_job_id);
    job.workers = request->limit;
    job.state = request->state;
    reply.api = &api;
    reply.jobs = jobs;
    reply.n_jobs = 1;
    reply_with(call, &reply.base);
}

static void fake__resolve_endpoint(Cortex__V1__Client_Service *service,
                                   const Cortex__V1__ResolveEndpointRequest *request,
                                   Cortex__V1__ResolveEndpointReply_Closure closure,
                                   void *call)
{
    static const char endpoint[] = "/image-classifier";
    Cortex__V1__ResolveEndpointReply reply = CORTEX__V1__RESOLVE_ENDPOINT_REPLY__INIT;
    const char *rest = request->path + strlen(endpoint);

    (void)service;
    (void)closure;
    if (strncmp(request->path, endpoint, strlen(endpoint)) != 0 ||
        (*rest && *rest != '/')) {
        refuse(call, ERROR_NOT_FOUND, "resources.api_not_deployed", request->path);
        return;
    }
    reply.api_name = (char *)"image-classifier";
    reply.rest = (char *)rest;
    reply_with(call, &reply.base);
}

// "fail N" fails with code N, "hold" waits for release_one; else the body is the
// config, and its size and the key are said in other fields.
static void fake__submit_job(Cortex__V1__Client_Service *service,
                             const Cortex__V1__SubmitJobRequest *request,
                             Cortex__V1__SubmitJobReply_Closure closure,
                             void *call)
{
    Cortex__V1__SubmitJobReply reply = CORTEX__V1__SUBMIT_JOB_REPLY__INIT;
    Cortex__V1__Job job;
    char size_text[32];
    size_t size;
    const char *body = rpc_call_attachment(call, &size);

    (void)service;
    (void)closure;
    pthread_mutex_lock(&master.lock);
    master.submissions++;
    bool hold = size == 4 && memcmp(body, "hold", 4) == 0;
    if (hold) {
        assert(master.held_count < CALLS_MAX);
        master.held[master.held_count++] = call;
        pthread_cond_broadcast(&master.changed);
    }
    pthread_mutex_unlock(&master.lock);
    if (hold) {
        return;
    }
    if (size > 5 && size < 9 && memcmp(body, "fail ", 5) == 0) {
        char *number = memory_strndup(body + 5, size - 5);
        refuse(call,
               error_code_from_number((int)strtol(number, NULL, 10)),
               "batchapi.some_kind",
               "what was wrong");
        free(number);
        return;
    }
    fill_job(&job, JOB);
    (void)snprintf(size_text, sizeof(size_text), "%zu", size);
    char *config = memory_strndup(body, size < 1000 ? size : 0);
    job.config = config;
    job.spec_id = request->idempotency_key;
    job.predictor_id = size_text;
    reply.job = &job;
    reply_with(call, &reply.base);
    free(config);
}

static void fake__dry_run(Cortex__V1__Client_Service *service,
                          const Cortex__V1__DryRunRequest *request,
                          Cortex__V1__DryRunReply_Closure closure,
                          void *call)
{
    static char *first[] = {(char *)"s3://b/urls_0.json", (char *)"s3://b/urls_1.json"};
    static char *last[] = {(char *)"s3://b/z"};
    Cortex__V1__DryRunReply reply = CORTEX__V1__DRY_RUN_REPLY__INIT;
    size_t size;
    const char *body = rpc_call_attachment(call, &size);

    (void)service;
    (void)closure;
    if (size == 3 && memcmp(body, "bad", 3) == 0) {
        refuse(call, ERROR_INVALID_ARGUMENT, "error", "includes: [: bad glob");
        return;
    }
    if (size == 4 && memcmp(body, "late", 4) == 0 && *request->page_token) {
        refuse(call, ERROR_PERMISSION_DENIED, "error", "s3://b: forbidden");
        return;
    }
    bool begin = !*request->page_token;
    reply.paths = begin ? first : last;
    reply.n_paths = begin ? 2 : 1;
    reply.next_page_token = (char *)(begin ? "2" : "");
    reply_with(call, &reply.base);
}

static void fake__get_job(Cortex__V1__Client_Service *service,
                          const Cortex__V1__GetJobRequest *request,
                          Cortex__V1__GetJobReply_Closure closure,
                          void *call)
{
    Cortex__V1__GetJobReply reply = CORTEX__V1__GET_JOB_REPLY__INIT;
    Cortex__V1__Job job;
    Cortex__V1__Api api;

    (void)service;
    (void)closure;
    if (known_job(request->job_id, call)) {
        fill_job(&job, request->job_id);
        fill_api(&api);
        reply.job = &job;
        reply.api = &api;
        reply_with(call, &reply.base);
    }
}

static void fake__stop_job(Cortex__V1__Client_Service *service,
                           const Cortex__V1__StopJobRequest *request,
                           Cortex__V1__StopJobReply_Closure closure,
                           void *call)
{
    Cortex__V1__StopJobReply reply = CORTEX__V1__STOP_JOB_REPLY__INIT;

    (void)service;
    (void)closure;
    if (!known_job(request->job_id, call)) {
        return;
    }
    if (request->job_id == DONE) {
        refuse(call,
               ERROR_FAILED_PRECONDITION,
               "batchapi.job_is_not_in_progress",
               "it is over");
        return;
    }
    reply.message = (char *)"stopped job " JOB_TEXT;
    reply_with(call, &reply.base);
}

static void fake__list_batches(Cortex__V1__Client_Service *service,
                               const Cortex__V1__ListBatchesRequest *request,
                               Cortex__V1__ListBatchesReply_Closure closure,
                               void *call)
{
    Cortex__V1__ListBatchesReply reply = CORTEX__V1__LIST_BATCHES_REPLY__INIT;
    Cortex__V1__Batch batch = CORTEX__V1__BATCH__INIT;
    Cortex__V1__Batch *batches[] = {&batch};

    (void)service;
    (void)closure;
    if (known_job(request->job_id, call)) {
        batch.batch_id = (char *)"1de0bc65-04ea-8b9e-9e96-5a0bb52fcc37";
        batch.index = request->from_index;
        batch.attempts = request->limit;
        batch.state = request->state;
        reply.batches = batches;
        reply.n_batches = 1;
        reply.more = true;
        reply.next_index = request->from_index + 1;
        reply_with(call, &reply.base);
    }
}

static void fake__get_payload(Cortex__V1__Client_Service *service,
                              const Cortex__V1__GetPayloadRequest *request,
                              Cortex__V1__GetPayloadReply_Closure closure,
                              void *call)
{
    Cortex__V1__GetPayloadReply reply = CORTEX__V1__GET_PAYLOAD_REPLY__INIT;

    (void)service;
    (void)closure;
    if (known_job(request->job_id, call)) {
        char *items = memory_format("[\"%s\", 1.0]", request->batch_id);
        rpc_call_reply(call, &reply.base, items, strlen(items));
        free(items);
    }
}

// With the lock held.
static void answer_log(struct rpc_call *call, uint64_t offset)
{
    Cortex__V1__ReadLogReply reply = CORTEX__V1__READ_LOG_REPLY__INIT;
    size_t size = offset < master.log.size ? master.log.size - (size_t)offset : 0;

    reply.offset = offset;
    reply.next_offset = offset + size;
    reply.end = master.log_ended;
    rpc_call_reply(
        call, &reply.base, buffer_text(&master.log) + (size ? offset : 0), size);
}

static void fake__read_log(Cortex__V1__Client_Service *service,
                           const Cortex__V1__ReadLogRequest *request,
                           Cortex__V1__ReadLogReply_Closure closure,
                           void *call)
{
    (void)service;
    (void)closure;
    if (!known_job(request->job_id, call)) {
        return;
    }
    pthread_mutex_lock(&master.lock);
    master.log_calls++;
    if (request->offset < master.log.size || master.log_ended ||
        request->wait_ms == 0 || master.waiting_count == CALLS_MAX) {
        answer_log(call, request->offset);
    } else {
        master.waiting[master.waiting_count++] =
            (struct log_call){call, request->offset};
    }
    pthread_cond_broadcast(&master.changed);
    pthread_mutex_unlock(&master.lock);
}

static Cortex__V1__Client_Service fake_service = CORTEX__V1__CLIENT__INIT(fake__);

static void log_write_line(const char *line, bool end)
{
    pthread_mutex_lock(&master.lock);
    buffer_add_text(&master.log, line);
    master.log_ended = end;
    for (size_t i = 0; i < master.waiting_count; i++) {
        answer_log(master.waiting[i].call, master.waiting[i].offset);
    }
    master.waiting_count = 0;
    pthread_mutex_unlock(&master.lock);
}

static void log_begin(const char *text)
{
    log_write_line("", true);
    pthread_mutex_lock(&master.lock);
    buffer_clear(&master.log);
    buffer_add_text(&master.log, text);
    master.log_ended = false;
    pthread_mutex_unlock(&master.lock);
}

static unsigned submissions(void)
{
    pthread_mutex_lock(&master.lock);
    unsigned count = master.submissions;
    pthread_mutex_unlock(&master.lock);
    return count;
}

static void wait_until_held(size_t count)
{
    pthread_mutex_lock(&master.lock);
    while (master.held_count < count) {
        pthread_cond_wait(&master.changed, &master.lock);
    }
    pthread_mutex_unlock(&master.lock);
}

// Answers the submission that has waited longest; false if none waits.
static bool release_one(void)
{
    Cortex__V1__SubmitJobReply reply = CORTEX__V1__SUBMIT_JOB_REPLY__INIT;
    Cortex__V1__Job job;
    struct rpc_call *call = NULL;

    pthread_mutex_lock(&master.lock);
    if (master.held_count > 0) {
        call = master.held[0];
        master.held_count--;
        memmove(master.held, master.held + 1, master.held_count * sizeof(call));
    }
    pthread_mutex_unlock(&master.lock);
    if (call) {
        fill_job(&job, JOB);
        reply.job = &job;
        rpc_call_reply(call, &reply.base, NULL, 0);
    }
    return call != NULL;
}

/* ---- a bridge ---------------------------------------------------------------- */

struct process {
    pid_t pid;
    int port;
};

static bool over_tls;
static char own_folder[] = "/tmp/test_bridge.XXXXXX";
static char *certificate; // in the folder
static char *key;
static struct process bridge;
static struct process impatient; /* clients have a second, there is no master */

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&pause, NULL);
}

static pid_t spawn(const char *program, char *const *arguments, int from_fd, int to_fd)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, from_fd, to_fd);
    assert_int_equal(posix_spawnp(&pid, program, &actions, NULL, arguments, environ),
                     0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static struct process start_bridge(const char *master_url, const char *extra)
{
    struct process process = {0};
    char line[128] = "";
    int ready[2];
    char *arguments[] = {(char *)"cortex-bridge",
                         (char *)"--master",
                         (char *)master_url,
                         (char *)"--listen",
                         (char *)"127.0.0.1:0",
                         (char *)"--ready-fd",
                         (char *)"3",
                         (char *)"--log-level",
                         (char *)"error",
                         (char *)"--tls-cert",
                         certificate,
                         (char *)"--tls-key",
                         key,
                         (char *)(extra ? "--header-timeout" : NULL),
                         (char *)extra,
                         (char *)"--body-timeout",
                         (char *)extra,
                         (char *)"--master-timeout",
                         (char *)extra,
                         NULL};

    if (!over_tls) { // leaves those four out
        memmove(
            arguments + 9, arguments + 13, sizeof(arguments) - 13 * sizeof(*arguments));
    }
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    // adddup2 onto itself clears close-on-exec, which is wanted then too.
    process.pid =
        spawn(TEST_BINARY_DIR "/bin/cortex-bridge", arguments, ready[1], READY_FD);
    (void)close(ready[1]);
    ssize_t size = read(ready[0], line, sizeof(line) - 1);
    (void)close(ready[0]);
    assert_true(size > 0 && line[size - 1] == '\n');
    const char *colon = strrchr(line, ':');
    assert_non_null(colon);
    assert_int_equal(strncmp(line, "https:", 6) == 0, over_tls);
    process.port = (int)strtol(colon + 1, NULL, 10);
    return process;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int stop_bridge(const struct process *process)
{
    assert_true(process->pid > 0); // 0 would be all of our group
    assert_int_equal(kill(process->pid, SIGTERM), 0);
    return wait_for(process->pid);
}

static unsigned count_descriptors(pid_t pid)
{
    char path[64];
    unsigned count = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder)) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

/* ---- a client ---------------------------------------------------------------- */

// From an address of the loopback network.
static int dial_from(const struct process *process, in_addr_t source)
{
    const struct sockaddr_in from = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(source)};
    const struct timeval net = {.tv_sec = NET_MS / 1000};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)process->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &net, sizeof(net));
    assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (over_tls) {
        fd = tls_tunnel_open(fd);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &net, sizeof(net));
    }
    return fd;
}

static int dial(const struct process *process)
{
    return dial_from(process, INADDR_LOOPBACK);
}

static void say(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; // it hung up: what it said shows in hear
        }
        at += sent;
        size -= (size_t)sent;
    }
}

// All until it hangs up.
static char *hear(int fd)
{
    struct buffer text = BUFFER_INIT;

    for (;;) {
        char *end = buffer_reserve(&text, 65536);
        ssize_t size = recv(fd, end, 65536, 0);
        if (size <= 0) {
            break;
        }
        text.size += (size_t)size;
    }
    (void)close(fd);
    return buffer_take(&text);
}

static char *ask_raw(const struct process *process, const char *request)
{
    int fd = dial(process);

    say(fd, request, strlen(request));
    return hear(fd);
}

// A request of HTTP/1.0, whose answer ends with its connection.
static char *
ask(const char *method, const char *path, const char *headers, const char *body)
{
    char *request = memory_format("%s %s HTTP/1.0\r\nContent-Length: %zu\r\n%s\r\n%s",
                                  method,
                                  path,
                                  strlen(body),
                                  headers,
                                  body);
    char *answer = ask_raw(&bridge, request);

    free(request);
    return answer;
}

static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.", 7) == 0 ? (int)strtol(answer + 9, NULL, 10) : -1;
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");

    return end ? end + 4 : "";
}

// Asks, and checks status and a part of the whole answer.
static void expect(const char *method,
                   const char *path,
                   const char *headers,
                   const char *body,
                   int status,
                   const char *part)
{
    char *answer = ask(method, path, headers, body);

    if (status_of(answer) != status || !strstr(answer, part)) {
        fail_msg("%s %s: expected %d with \"%s\", got:\n%s",
                 method,
                 path,
                 status,
                 part,
                 answer);
    }
    free(answer);
}

static void expect_raw(const struct process *process,
                       const char *request,
                       int status,
                       const char *part)
{
    char *answer = ask_raw(process, request);

    if (status_of(answer) != status || !strstr(answer, part)) {
        fail_msg(
            "%s: expected %d with \"%s\", got:\n%s", request, status, part, answer);
    }
    free(answer);
}

// curl's standard output.
static char *curl(const char *path, const char *a, const char *b, const char *c)
{
    char *url = memory_format(
        "http%s://127.0.0.1:%d%s", over_tls ? "s" : "", bridge.port, path);
    char *arguments[] = {
        (char *)"curl", (char *)"-sk", url, (char *)a, (char *)b, (char *)c, NULL};
    struct buffer text = BUFFER_INIT;
    int out[2];

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = spawn("curl", arguments, out[1], STDOUT_FILENO);
    (void)close(out[1]);
    for (;;) {
        char *end = buffer_reserve(&text, 4096);
        ssize_t size = read(out[0], end, 4096);
        if (size <= 0) {
            break;
        }
        text.size += (size_t)size;
    }
    (void)close(out[0]);
    (void)wait_for(pid);
    free(url);
    return buffer_take(&text);
}

/* ---- what it does ------------------------------------------------------------ */

static void a_submission_is_passed_on_byte_for_byte(void **state)
{
    (void)state;
    expect("POST",
           "/image-classifier",
           "Content-Type: application/json\r\nIdempotency-Key: k 1\r\n",
           "{\"a\" : 1e400}",
           200,
           "\r\n\r\n{\"job_id\":\"" JOB_TEXT "\",\"api_name\":\"image-classifier\","
           "\"workers\":1,\"sqs_dead_letter_queue\":null,\"config\":{\"a\" : 1e400},"
           "\"timeout\":null,\"api_id\":\"\",\"spec_id\":\"k 1\",");
}

static void curl_submits_without_saying_a_type(void **state)
{
    (void)state;
    char *answer = curl("/image-classifier", "-d", "{}", NULL);
    assert_non_null(strstr(answer, "\"config\":{}"));
    free(answer);
    answer = curl("/image-classifier/", "-d", "{}", "-XPOST");
    assert_non_null(strstr(answer, "\"config\":{}"));
    free(answer);
}

static void a_dry_run_lists_all_pages_and_ends_without_a_newline(void **state)
{
    (void)state;
    unsigned before = submissions();
    expect("POST",
           "/image-classifier?dryRun=true",
           "",
           "{}",
           200,
           "\r\n\r\ns3://b/urls_0.json\ns3://b/urls_1.json\ns3://b/z\nvalidations "
           "passed");
    char *answer = curl("/image-classifier?dryRun=T", "-d", "{}", NULL);
    assert_string_equal(
        answer, "s3://b/urls_0.json\ns3://b/urls_1.json\ns3://b/z\nvalidations passed");
    free(answer);
    assert_int_equal(submissions(), before);
}

static void a_dry_run_that_fails_says_so_as_text(void **state)
{
    (void)state;
    expect("POST",
           "/image-classifier?dryRun=true",
           "",
           "bad",
           400,
           "\r\n\r\n\nincludes: [: bad glob\n");
    expect("POST", "/image-classifier?dryRun=1", "", "bad", 400, "text/plain");
}

static void a_dry_run_that_fails_late_is_cut_off_in_sight_of_the_client(void **state)
{
    (void)state;
    char *answer = ask_raw(&bridge,
                           "POST /image-classifier?dryRun=true HTTP/1.1\r\nHost: x\r\n"
                           "Content-Length: 4\r\n\r\nlate");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "s3://b/urls_1.json\n"));
    assert_non_null(strstr(answer, "\ns3://b: forbidden\n"));
    assert_null(strstr(answer, "\r\n0\r\n")); // no last chunk
    free(answer);
}

static void a_doubtful_dry_run_starts_no_job(void **state)
{
    (void)state;
    unsigned before = submissions();
    expect(
        "POST", "/image-classifier?dryRun=yes", "", "{}", 400, "dryRun: got \\\"yes");
    expect("POST", "/image-classifier?dryRun", "", "{}", 400, "dryRun");
    expect(
        "POST", "/image-classifier?dryrun=true", "", "{}", 400, "expected \\\"dryRun");
    expect("POST", "/image-classifier?dryRun=1&dryRun=0", "", "{}", 400, "dryRun");
    assert_int_equal(submissions(), before);
}

static void every_form_of_address_finds_the_job(void **state)
{
    static const char *const forms[] = {
        "/image-classifier/" JOB_TEXT,
        "/image-classifier/" JOB_TEXT "/",
        "/image-classifier?jobID=" JOB_TEXT,
        "/image-classifier?job_id=" JOB_TEXT,
        "/image-classifier?jobId=" JOB_TEXT,
        "/image-classifier?" JOB_TEXT,
        "/image-classifier/?" JOB_TEXT,
        "/image-classifier/" JOB_TEXT "?jobID=" JOB_TEXT,
        "/image%2dclassifier/" JOB_TEXT,
        "http://any.example/image-classifier?" JOB_TEXT,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        expect("GET",
               forms[i],
               "",
               "",
               200,
               "\r\n\r\n{\n    \"job_status\":{\n        \"job_id\":\"" JOB_TEXT "\"");
        expect("DELETE", forms[i], "", "", 200, "\r\n\r\nstopped job " JOB_TEXT "\n");
    }
}

static void a_job_says_its_endpoint_with_the_masters_base(void **state)
{
    (void)state;
    expect("GET",
           "/image-classifier/" JOB_TEXT,
           "",
           "",
           200,
           "    \"job_endpoint\":\"https://cortex.example/image-classifier/" JOB_TEXT
           "\",\n    \"endpoint\":\"https://cortex.example/image-classifier\"\n}\n");
}

static void a_request_names_one_job_or_is_refused(void **state)
{
    static const char *const two = "/image-classifier/" JOB_TEXT "?jobID=" DONE_TEXT;

    (void)state;
    expect("GET", two, "", "", 400, "got both");
    expect("DELETE", two, "", "", 400, "got both");
    expect("GET", "/image-classifier?jobID=", "", "", 400, "query_param_required");
    expect("DELETE", "/image-classifier", "", "", 400, "query_param_required");
    expect("GET", "/image-classifier/nope", "", "", 404, "batchapi.job_not_found");
    expect("GET", "/image-classifier?jobID=nope", "", "", 404, "job_not_found");
    expect("GET", "/image-classifier/" NO_JOB_TEXT, "", "", 404, "job_not_found");
    expect("DELETE", "/image-classifier/" NO_JOB_TEXT, "", "", 404, "job_not_found");
}

static void a_stop_is_answered_as_text_or_as_json(void **state)
{
    (void)state;
    expect("DELETE",
           "/image-classifier/" JOB_TEXT,
           "Accept: */*\r\n",
           "",
           200,
           "Content-Type: text/plain");
    expect("DELETE",
           "/image-classifier/" JOB_TEXT,
           "Accept: application/json\r\n",
           "",
           200,
           "\r\n\r\n{\"message\":\"stopped job " JOB_TEXT "\"}\n");
    expect(
        "DELETE",
        "/image-classifier/" DONE_TEXT,
        "",
        "",
        409,
        "{\"kind\":\"batchapi.job_is_not_in_progress\",\"message\":\"it is over\"}\n");
    char *answer = curl("/image-classifier?jobID=" JOB_TEXT, "-X", "DELETE", NULL);
    assert_string_equal(answer, "stopped job " JOB_TEXT "\n");
    free(answer);
}

static void jobs_are_listed_by_limit_place_and_status(void **state)
{
    (void)state;
    char *answer = ask("GET",
                       "/image-classifier?limit=7&after=" DONE_TEXT "&status=timed_out",
                       "",
                       "");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"job_id\":\"" DONE_TEXT "\""));
    assert_non_null(strstr(answer, "\"workers\":7,"));
    assert_non_null(strstr(answer, "\"status\":\"status_timed_out\""));
    free(answer);
    expect("GET", "/image-classifier?limit=x", "", "", 400, "limit: got \\\"x\\\"");
    expect("GET", "/image-classifier?limit=1001", "", "", 400, "0 to 1000");
    expect("GET", "/image-classifier?after=1", "", "", 400, "after: got");
    expect(
        "GET", "/image-classifier?status=bad", "", "", 400, "status: got \\\"bad\\\"");
}

static void batches_are_listed_by_limit_place_and_state(void **state)
{
    (void)state;
    char *answer =
        ask("GET",
            "/image-classifier/" JOB_TEXT "/batches?limit=5&after=41&state=failed",
            "",
            "");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"index\":42,"));
    assert_non_null(strstr(answer, "\"attempts\":5,"));
    assert_non_null(strstr(answer, "\"state\":\"failed\""));
    assert_non_null(strstr(answer, "\"next_after\":42\n"));
    free(answer);
    expect(
        "GET", "/image-classifier/" JOB_TEXT "/batches", "", "", 200, "\"index\":0,");
    expect("GET",
           "/image-classifier/" JOB_TEXT "/batches?state=x",
           "",
           "",
           400,
           "state: got");
    expect("GET",
           "/image-classifier/" NO_JOB_TEXT "/batches",
           "",
           "",
           404,
           "job_not_found");
}

static void a_batch_s_items_are_answered_as_they_were_sent(void **state)
{
    (void)state;
    expect("GET",
           "/image-classifier/" JOB_TEXT "/batches/1de0bc65/payload",
           "",
           "",
           200,
           "\r\n\r\n[\"1de0bc65\", 1.0]");
    expect("GET",
           "/image-classifier/" NO_JOB_TEXT "/batches/1de0bc65/payload",
           "",
           "",
           404,
           "job_not_found");
    expect("DELETE",
           "/image-classifier/" JOB_TEXT "/batches/1de0bc65/payload",
           "",
           "",
           405,
           "Allow: GET, HEAD\r");
}

static void what_is_not_there_is_not_found(void **state)
{
    static const char *const paths[] = {"/",
                                        "/_/metrics",
                                        "/_/openapi.json",
                                        "/_/",
                                        "/nothing",
                                        "/image-classifierx",
                                        "/../../etc/passwd",
                                        "/%2e%2e/%2e%2e/etc/passwd",
                                        "/image-classifier//logs",
                                        "/_/healthz/x"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        expect("GET", paths[i], "", "", 404, "{\"kind\":\"");
    }
    expect("GET", "/image-classifier/" JOB_TEXT "/x", "", "", 404, "not_found");
    expect("GET", "/image-classifier/" JOB_TEXT "/logs/x", "", "", 404, "not_found");
    expect("GET", "/image-classifier/" JOB_TEXT "/batches/x", "", "", 404, "not_found");
    expect("GET", "/image-classifier/" JOB_TEXT "/batchesx", "", "", 404, "not_found");
    expect("GET",
           "/image-classifier/" JOB_TEXT "/batches/x/payload/",
           "",
           "",
           404,
           "not_found");
    expect("POST", "/nothing", "", "{}", 404, "resources.api_not_deployed");
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
    (void)state;
    expect(
        "PUT", "/image-classifier", "", "{}", 405, "Allow: POST, GET, HEAD, DELETE\r");
    expect("POST",
           "/image-classifier/" JOB_TEXT,
           "",
           "{}",
           405,
           "Allow: GET, HEAD, DELETE\r");
    expect("DELETE",
           "/image-classifier/" JOB_TEXT "/logs",
           "",
           "",
           405,
           "Allow: GET, HEAD\r");
    expect("POST", "/_/healthz", "", "", 405, "Allow: GET, HEAD\r");
    expect("POST", "/_/readyz", "", "", 405, "Allow: GET, HEAD\r");
    expect("AVERYLONGMETHODNAME", "/image-classifier", "", "", 405, "Allow: ");
}

static void only_clearly_wrong_types_are_refused(void **state)
{
    static const char *const fine[] = {"",
                                       "Content-Type: application/json\r\n",
                                       "Content-Type: text/plain\r\n",
                                       FORM_TYPE,
                                       "Content-Encoding: identity\r\n"};
    static const char *const wrong[] = {
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: image/png\r\n",
        "Content-Encoding: gzip\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        expect("POST", "/image-classifier", fine[i], "{}", 200, "job_id");
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        expect(
            "POST", "/image-classifier", wrong[i], "{}", 415, "unsupported_media_type");
    }
}

static void a_page_of_another_site_can_change_nothing(void **state)
{
    (void)state;
    expect("POST",
           "/image-classifier",
           "Host: 127.0.0.1:1\r\nOrigin: https://evil.example\r\n",
           "{}",
           403,
           "permission_denied");
    expect("POST",
           "/image-classifier",
           "Host: 127.0.0.1:1\r\nOrigin: null\r\n",
           "{}",
           403,
           "permission_denied");
    expect("POST",
           "/image-classifier",
           "Host: 127.0.0.1:1\r\nOrigin: http://127.0.0.1:1\r\n",
           "{}",
           200,
           "job_id");
}

static void an_odd_idempotency_key_is_refused(void **state)
{
    char headers[400];

    (void)state;
    expect("POST",
           "/image-classifier",
           "Idempotency-Key: \xc3\xa9\r\n",
           "{}",
           400,
           "Idempotency-Key: expected");
    expect("POST",
           "/image-classifier",
           "Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
           "{}",
           400,
           "Idempotency-Key: expected");
    (void)snprintf(headers, sizeof(headers), "Idempotency-Key: %0256d\r\n", 7);
    expect(
        "POST", "/image-classifier", headers, "{}", 400, "Idempotency-Key: expected");
}

static void every_error_of_the_master_has_its_status(void **state)
{
    static const struct {
        int code;
        int status;
    } rows[] = {{2, 500},
                {3, 400},
                {5, 404},
                {6, 409},
                {7, 403},
                {8, 429},
                {9, 409},
                {10, 409},
                {11, 413},
                {12, 501},
                {13, 500},
                {15, 507},
                {16, 401}};
    char body[16];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)snprintf(body, sizeof(body), "fail %d", rows[i].code);
        expect("POST",
               "/image-classifier",
               "",
               body,
               rows[i].status,
               "{\"kind\":\"batchapi.some_kind\",\"message\":\"what was wrong\"}\n");
    }
    expect("POST", "/image-classifier", "", "fail 8", 429, "Retry-After: 1\r\n");
}

static void head_is_get_without_the_body(void **state)
{
    (void)state;
    char *get = ask("GET", "/image-classifier/" JOB_TEXT, "", "");
    char *head = ask("HEAD", "/image-classifier/" JOB_TEXT, "", "");
    char length[64];
    (void)snprintf(
        length, sizeof(length), "Content-Length: %zu\r\n", strlen(body_of(get)));
    assert_int_equal(status_of(head), 200);
    assert_non_null(strstr(head, length));
    assert_string_equal(body_of(head), "");
    free(get);
    free(head);
    expect("HEAD", "/image-classifier/" NO_JOB_TEXT, "", "", 404, "");
    log_begin("x");
    expect(
        "HEAD", "/image-classifier/" JOB_TEXT "/logs?follow=1", "", "", 200, "text/");
}

static void a_request_whose_end_is_in_doubt_is_refused_and_cut(void **state)
{
    static const char *const doubts[] = {
        "Content-Length: 2\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
    };
    static const char *const methods[] = {"POST", "GET", "DELETE"};

    (void)state;
    for (size_t i = 0; i < sizeof(doubts) / sizeof(doubts[0]); i++) {
        for (size_t k = 0; k < 3; k++) {
            char *request = memory_format("%s /image-classifier HTTP/1.1\r\nHost: x\r\n"
                                          "%s\r\n"
                                          "GET /_/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                                          methods[k],
                                          doubts[i]);
            char *answer = ask_raw(&bridge, request);
            assert_int_equal(status_of(answer), 400);
            assert_null(strstr(answer + 1, "HTTP/1.1 ")); // the rest was not answered
            free(answer);
            free(request);
        }
    }
    expect_raw(
        &bridge,
        "POST /image-classifier HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        400,
        "");
    expect_raw(&bridge, "GET /_/healthz HTTP/1.1\r\n\r\n", 400, ""); // no Host
}

static void chunked_bodies_and_requests_in_a_row_are_read(void **state)
{
    (void)state;
    char *answer =
        ask_raw(&bridge,
                "POST /image-classifier HTTP/1.1\r\nHost: x\r\n"
                "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
                "GET /_/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                "GET /_/readyz HTTP/1.1\r\nHost: x\r\n"
                "Connection: close\r\n\r\n");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"config\":{},"));
    const char *first = strstr(answer, "\r\n\r\nok\n");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "\r\n\r\nok\n"));
    free(answer);
}

static char *post_size(size_t size, const char *headers, bool chunked)
{
    char *filler = memory_zalloc(size);
    int fd = dial(&bridge);

    memset(filler, ' ', size);
    char *head = memory_format("POST /image-classifier HTTP/1.1\r\nHost: x\r\n"
                               "Connection: close\r\n%s\r\n",
                               headers);
    say(fd, head, strlen(head));
    if (chunked) {
        char chunk[32];
        int length = snprintf(chunk, sizeof(chunk), "%zx\r\n", size);
        say(fd, chunk, (size_t)length);
    }
    say(fd, filler, size);
    if (chunked) {
        say(fd, "\r\n0\r\n\r\n", 7);
    }
    free(head);
    free(filler);
    return hear(fd);
}

static void a_body_of_10_mib_is_passed_on_and_a_larger_one_is_413(void **state)
{
    (void)state;
    char *answer = post_size(BIG_SIZE, "Content-Length: 10485760\r\n", false);
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"predictor_id\":\"10485760\""));
    free(answer);
    unsigned before = submissions();
    answer = post_size(11 << 20, "Content-Length: 11534336\r\n", false);
    assert_int_equal(status_of(answer), 413);
    assert_non_null(strstr(answer, "10 MiB"));
    free(answer);
    answer = post_size(11 << 20, "Transfer-Encoding: chunked\r\n", true);
    assert_int_equal(status_of(answer), 413);
    free(answer);
    // Who asks first is told before it sends anything.
    expect_raw(&bridge,
               "POST /image-classifier HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
               "Content-Length: 11534336\r\n\r\n",
               413,
               "Connection: close");
    expect_raw(&bridge,
               "POST /image-classifier HTTP/1.1\r\nHost: x\r\n"
               "Content-Length: 9000000000\r\n\r\n",
               413,
               "Connection: close");
    assert_int_equal(submissions(), before);
}

static void headers_without_end_are_refused(void **state)
{
    struct buffer request = BUFFER_INIT;

    (void)state;
    buffer_add_text(&request, "GET /_/healthz HTTP/1.1\r\nHost: x\r\nX: ");
    while (request.size < 200000) {
        buffer_add_text(&request, "0123456789");
    }
    int fd = dial(&bridge);
    say(fd, request.data, request.size);
    char *answer = hear(fd);
    assert_true(status_of(answer) == 431 || status_of(answer) == -1);
    free(answer);
    buffer_fini(&request);
    expect("GET", "/_/healthz", "", "", 200, "ok\n");
}

static void the_log_so_far_is_sent_from_any_byte_on(void **state)
{
    (void)state;
    log_begin("one\ntwo\n");
    expect("GET",
           "/image-classifier/" JOB_TEXT "/logs",
           "",
           "",
           200,
           "\r\n\r\none\ntwo\n");
    expect("GET",
           "/image-classifier/" JOB_TEXT "/logs?offset=4",
           "",
           "",
           200,
           "\r\n\r\ntwo\n");
    char *answer = ask("GET", "/image-classifier/" JOB_TEXT "/logs?offset=8", "", "");
    assert_int_equal(status_of(answer), 200);
    assert_string_equal(body_of(answer), "");
    free(answer);
    expect("GET",
           "/image-classifier/" JOB_TEXT "/logs?offset=-1",
           "",
           "",
           400,
           "offset: got");
    expect("GET",
           "/image-classifier/" JOB_TEXT "/logs?follow=maybe",
           "",
           "",
           400,
           "follow: got");
    expect("GET",
           "/image-classifier/" NO_JOB_TEXT "/logs?follow=true",
           "",
           "",
           404,
           "job_not_found");
}

static void a_long_log_arrives_whole(void **state)
{
    struct buffer log = BUFFER_INIT;

    (void)state;
    for (int i = 0; log.size < (3u << 20); i++) {
        buffer_add_format(&log, "line %d\n", i);
    }
    log_begin(buffer_text(&log));
    char *answer = ask("GET", "/image-classifier/" JOB_TEXT "/logs", "", "");
    assert_string_equal(body_of(answer), buffer_text(&log));
    free(answer);
    buffer_fini(&log);
}

static int follow(const char *offset)
{
    int fd = dial(&bridge);
    char *request = memory_format("GET /image-classifier/" JOB_TEXT
                                  "/logs?follow=true&offset=%s HTTP/1.0\r\n\r\n",
                                  offset);

    say(fd, request, strlen(request));
    free(request);
    return fd;
}

static void wait_for_parked_call(void)
{
    pthread_mutex_lock(&master.lock);
    while (master.waiting_count == 0) {
        pthread_cond_wait(&master.changed, &master.lock);
    }
    pthread_mutex_unlock(&master.lock);
}

static void fifty_followers_get_every_line_and_share_the_calls(void **state)
{
    int fds[FOLLOWERS];

    (void)state;
    log_begin("first\n");
    for (int i = 0; i < FOLLOWERS; i++) {
        fds[i] = follow(i % 2 ? "0" : "2");
    }
    for (int i = 0; i < FOLLOWERS; i++) { // all have got the line that was there
        char byte;
        do {
            assert_int_equal(recv(fds[i], &byte, 1, 0), 1);
        } while (byte != '\n' || recv(fds[i], &byte, 1, MSG_PEEK) != 1 || byte != '\r');
    }
    wait_for_parked_call();
    pthread_mutex_lock(&master.lock);
    unsigned before = master.log_calls;
    pthread_mutex_unlock(&master.lock);
    for (int i = 0; i < 10; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "line %d\n", i);
        log_write_line(line, false);
        // Others are served all the while.
        expect("GET", "/image-classifier/" JOB_TEXT, "", "", 200, "job_status");
    }
    log_write_line("last\n", true);
    for (int i = 0; i < FOLLOWERS; i++) {
        char *answer = hear(fds[i]);
        const char *lines = strstr(answer, "line 0\n");
        assert_non_null(lines);
        assert_string_equal(lines,
                            "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\n"
                            "line 7\nline 8\nline 9\nlast\n");
        free(answer);
    }
    pthread_mutex_lock(&master.lock);
    unsigned calls = master.log_calls - before;
    pthread_mutex_unlock(&master.lock);
    assert_true(calls < 11 * FOLLOWERS / 2); // apart they would have made all of them
}

static void a_follower_that_hangs_up_on_a_quiet_log_is_let_go(void **state)
{
    (void)state;
    int fds[10];
    char byte;

    log_begin("");
    for (int i = 0; i < 10; i++) {
        fds[i] = follow("0");
        assert_int_equal(recv(fds[i], &byte, 1, 0), 1); // it is being answered
    }
    wait_for_parked_call();
    unsigned held = count_descriptors(bridge.pid);
    for (int i = 0; i < 10; i++) {
        (void)close(fds[i]);
    }
    while (count_descriptors(bridge.pid) + 10 > held) {
        sleep_ms(10); // ctest's limit is the net
    }
    log_write_line("", true);
}

static void the_bridge_is_well_and_the_master_reachable(void **state)
{
    (void)state;
    expect("GET", "/_/healthz", "", "", 200, "\r\n\r\nok\n");
    expect("GET", "/_/readyz", "", "", 200, "\r\n\r\nok\n");
}

static void without_a_master_requests_are_told_to_come_again(void **state)
{
    (void)state;
    expect_raw(&impatient, "GET /_/healthz HTTP/1.0\r\n\r\n", 200, "ok\n");
    expect_raw(&impatient, "GET /_/readyz HTTP/1.0\r\n\r\n", 503, "Retry-After: ");
    expect_raw(&impatient,
               "GET /image-classifier?" JOB_TEXT " HTTP/1.0\r\n\r\n",
               503,
               "{\"kind\":\"unavailable\"");
    expect_raw(&impatient,
               "POST /image-classifier HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
               503,
               "Retry-After: ");
}

static void a_slow_client_is_told_that_it_is(void **state)
{
    static const char *const beginnings[] = {
        "",
        "GET /_/heal",
        "GET /_/healthz HTTP/1.1\r\nHost: x\r\n",
        "POST /image-classifier HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        expect_raw(
            &impatient, beginnings[i], 408, "\r\n\r\n{\"kind\":\"request_timeout\"");
    }
}

static void a_client_that_drips_is_cut(void **state)
{
    static const char request[] = "GET /_/healthz HTTP/1.1\r\nHost: x\r\nX: ";
    int fd = dial(&impatient);
    struct pollfd said = {.fd = fd, .events = POLLIN};

    (void)state;
    say(fd, request, strlen(request));
    while (poll(&said, 1, 100) == 0) {
        say(fd, "x", 1); // never idle
    }
    char *answer = hear(fd);
    assert_int_equal(status_of(answer), 408);
    free(answer);
}

static void who_closes_in_the_middle_of_a_body_keeps_no_descriptor(void **state)
{
    static const char request[] =
        "POST /image-classifier HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc";
    enum { CLIENTS = 20 };
    unsigned before = count_descriptors(bridge.pid);
    int fds[CLIENTS];

    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = dial(&bridge);
        say(fds[i], request, strlen(request));
    }
    while (count_descriptors(bridge.pid) < before + CLIENTS) {
        sleep_ms(10);
    }
    sleep_ms(100); // they are read
    for (int i = 0; i < CLIENTS; i++) {
        (void)close(fds[i]); // no reset: all it had to hear has been heard
    }
    int64_t ends_ms = clock_monotonic_ms() + 20000; // a body has 60 s
    while (count_descriptors(bridge.pid) > before) {
        assert_true(clock_monotonic_ms() < ends_ms);
        sleep_ms(50);
    }
}

static const char SUBMIT_MINE[] =
    "POST /image-classifier HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    "Connection: close\r\n\r\nmine";
static const char SUBMIT_HOLD[] =
    "POST /image-classifier HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    "Connection: close\r\n\r\nhold";

static void who_asks_for_much_is_waited_for_by_nobody_else(void **state)
{
    enum { REQUESTS = 30, AT_ONCE = 8 /* threads that submit */ };
    int fds[REQUESTS];
    char *answer;

    (void)state;
    for (int i = 0; i < REQUESTS; i++) {
        fds[i] = dial_from(&bridge, INADDR_LOOPBACK + 1);
        say(fds[i], SUBMIT_HOLD, strlen(SUBMIT_HOLD));
    }
    wait_until_held(AT_ONCE);
    sleep_ms(50); // the rest is queued
    struct pollfd mine = {.fd = dial(&bridge), .events = POLLIN};
    say(mine.fd, SUBMIT_MINE, strlen(SUBMIT_MINE));
    int released = 0;
    while (poll(&mine, 1, 100) == 0) { // it may be on its way still
        released += release_one();
    }
    assert_in_range(released, 1, REQUESTS / 3);
    answer = hear(mine.fd);
    assert_int_equal(status_of(answer), 200);
    free(answer);
    for (; released < REQUESTS; released += release_one()) {
        sleep_ms(1);
    }
    for (int i = 0; i < REQUESTS; i++) {
        answer = hear(fds[i]);
        assert_int_equal(status_of(answer), 200);
        free(answer);
    }
}

static void a_term_signal_answers_what_is_in_flight_first(void **state)
{
    struct process leaving = start_bridge(rpc_server_url(master.server), NULL);
    int fd = dial(&leaving);
    int stream = dial(&leaving);
    static const char watch[] =
        "GET /image-classifier/" JOB_TEXT "/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n";

    (void)state;
    log_begin("");
    say(stream, watch, strlen(watch));
    wait_for_parked_call();
    say(fd, SUBMIT_HOLD, strlen(SUBMIT_HOLD));
    wait_until_held(1);
    assert_int_equal(kill(leaving.pid, SIGTERM), 0);
    char *cut = hear(stream); // ends at once, and not as a whole answer does
    assert_int_equal(status_of(cut), 200);
    assert_null(strstr(cut, "\r\n0\r\n"));
    free(cut);
    assert_true(release_one());
    char *answer = hear(fd);
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "Connection: close"));
    free(answer);
    assert_int_equal(wait_for(leaving.pid), 0);
}

static void other_machines_are_served_only_when_told_so(void **state)
{
    char *arguments[] = {
        (char *)"cortex-bridge", (char *)"--listen", (char *)"0.0.0.0:0", NULL};
    char *unreadable[] = {
        (char *)"cortex-bridge", (char *)"--listen", (char *)"8888", NULL};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(
        wait_for(spawn(
            TEST_BINARY_DIR "/bin/cortex-bridge", arguments, null, STDERR_FILENO)),
        1);
    assert_int_equal(
        wait_for(spawn(
            TEST_BINARY_DIR "/bin/cortex-bridge", unreadable, null, STDERR_FILENO)),
        1);
    (void)close(null);
}

static void make_certificate(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    certificate = fs_join(own_folder, "certificate.pem");
    key = fs_join(own_folder, "key.pem");
    char *arguments[] = {(char *)"openssl",
                         (char *)"req",
                         (char *)"-x509",
                         (char *)"-newkey",
                         (char *)"ec",
                         (char *)"-pkeyopt",
                         (char *)"ec_paramgen_curve:prime256v1",
                         (char *)"-nodes",
                         (char *)"-subj",
                         (char *)"/CN=bridge",
                         (char *)"-keyout",
                         key,
                         (char *)"-out",
                         certificate,
                         NULL};
    assert_int_equal(wait_for(spawn("openssl", arguments, null, STDERR_FILENO)), 0);
    (void)close(null);
}

static int set_up(void **state)
{
    static ProtobufCService *services[2];
    struct rpc_server_options options = {.url = "tcp://127.0.0.1:0",
                                         .services = services};
    struct error err;

    (void)state;
    services[0] = &fake_service.base;
    // A race or a leak in the bridge is a failure here.
    (void)setenv("TSAN_OPTIONS", "halt_on_error=1", 0);
    if (id_init() != 0 || rpc_server_start(&options, &master.server, &err) != 0) {
        return -1;
    }
    if (!mkdtemp(own_folder)) {
        return -1;
    }
    if (over_tls) {
        make_certificate();
    }
    bridge = start_bridge(rpc_server_url(master.server), NULL);
    impatient = start_bridge("tcp://127.0.0.1:9", "1s");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(certificate);
    free(key);
    return stop_bridge(&bridge) + stop_bridge(&impatient) +
           fs_remove_tree(own_folder, NULL);
}

static void check_request(const cJSON *row)
{
    char *name = corpus_text(row, "name");
    char *request = corpus_text(row, "request");
    char *part = corpus_text(row, "part");
    int status =
        (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(row, "status"));
    char *answer = ask_raw(&bridge, request);

    if (status_of(answer) != status || (part && !strstr(answer, part))) {
        fail_msg("%s: expected %d, got:\n%.300s", name, status, answer);
    }
    free(answer);
    free(part);
    free(request);
    free(name);
}

static void every_request_of_the_corpus_is_answered_as_it_says(void **state)
{
    (void)state;
    corpus_each("http", 120, check_request);
}

int main(int argc, char **argv)
{
    over_tls = argc > 1 && strcmp(argv[1], "tls") == 0;

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submission_is_passed_on_byte_for_byte),
        cmocka_unit_test(curl_submits_without_saying_a_type),
        cmocka_unit_test(a_dry_run_lists_all_pages_and_ends_without_a_newline),
        cmocka_unit_test(a_dry_run_that_fails_says_so_as_text),
        cmocka_unit_test(a_dry_run_that_fails_late_is_cut_off_in_sight_of_the_client),
        cmocka_unit_test(a_doubtful_dry_run_starts_no_job),
        cmocka_unit_test(every_form_of_address_finds_the_job),
        cmocka_unit_test(a_job_says_its_endpoint_with_the_masters_base),
        cmocka_unit_test(a_request_names_one_job_or_is_refused),
        cmocka_unit_test(a_stop_is_answered_as_text_or_as_json),
        cmocka_unit_test(jobs_are_listed_by_limit_place_and_status),
        cmocka_unit_test(batches_are_listed_by_limit_place_and_state),
        cmocka_unit_test(a_batch_s_items_are_answered_as_they_were_sent),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
        cmocka_unit_test(only_clearly_wrong_types_are_refused),
        cmocka_unit_test(a_page_of_another_site_can_change_nothing),
        cmocka_unit_test(an_odd_idempotency_key_is_refused),
        cmocka_unit_test(every_error_of_the_master_has_its_status),
        cmocka_unit_test(head_is_get_without_the_body),
        cmocka_unit_test(a_request_whose_end_is_in_doubt_is_refused_and_cut),
        cmocka_unit_test(chunked_bodies_and_requests_in_a_row_are_read),
        cmocka_unit_test(a_body_of_10_mib_is_passed_on_and_a_larger_one_is_413),
        cmocka_unit_test(every_request_of_the_corpus_is_answered_as_it_says),
        cmocka_unit_test(headers_without_end_are_refused),
        cmocka_unit_test(the_log_so_far_is_sent_from_any_byte_on),
        cmocka_unit_test(a_long_log_arrives_whole),
        cmocka_unit_test(fifty_followers_get_every_line_and_share_the_calls),
        cmocka_unit_test(a_follower_that_hangs_up_on_a_quiet_log_is_let_go),
        cmocka_unit_test(the_bridge_is_well_and_the_master_reachable),
        cmocka_unit_test(without_a_master_requests_are_told_to_come_again),
        cmocka_unit_test(a_slow_client_is_told_that_it_is),
        cmocka_unit_test(a_client_that_drips_is_cut),
        cmocka_unit_test(who_closes_in_the_middle_of_a_body_keeps_no_descriptor),
        cmocka_unit_test(who_asks_for_much_is_waited_for_by_nobody_else),
        cmocka_unit_test(a_term_signal_answers_what_is_in_flight_first),
        cmocka_unit_test(other_machines_are_served_only_when_told_so),
    };

    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    (void)fflush(NULL);
    _exit(failed); // nng's sockets cannot be closed
}
