/* SPDX-License-Identifier: Apache-2.0 */
/* fake_master.c - a small master for tests of a real cortex-agent */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/rpc_server.h"
#include "proto/agent.pb-c.h"
#include "tests/support/fake_master.h"

struct fake_master master = {.mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP};

/* --- Sync ------------------------------------------------------------------------- */

static bool job_ready(const struct job *job)
{
    return job->next < job->total || job->returned > 0;
}

static void add_job(struct job *job,
                    Cortex__V1__SyncReply *reply,
                    Cortex__V1__DesiredWorker *worker)
{
    if (job->wish != 0) {
        worker->worker_id = job->worker_id;
        worker->job_id = job->id;
        worker->wish = (Cortex__V1__WorkerWish)job->wish;
        worker->closes_job = job->closes;
        worker->cpu_millis = 1000;
        worker->memory_bytes = job->memory_bytes;
        reply->workers[reply->n_workers++] = worker;
    }
    if (job_ready(job)) {
        reply->ready_jobs[reply->n_ready_jobs++] = job->id;
    }
}

static void reply_sync(struct rpc_call *call)
{
    Cortex__V1__SyncReply reply = CORTEX__V1__SYNC_REPLY__INIT;
    Cortex__V1__DesiredWorker desired[JOBS_MAX];
    Cortex__V1__DesiredWorker *workers[JOBS_MAX];
    uint64_t jobs[JOBS_MAX];

    reply.desired_version = master.version;
    reply.lease_ms = 10000;
    reply.workers = workers;
    reply.ready_jobs = jobs;
    for (int i = 0; i < JOBS_MAX; i++) {
        cortex__v1__desired_worker__init(&desired[i]);
        if (master.jobs[i] != NULL) {
            add_job(master.jobs[i], &reply, &desired[i]);
        }
    }
    rpc_call_reply(call, &reply.base, NULL, 0);
}

static struct job *find_job(uint64_t id)
{
    for (int i = 0; i < JOBS_MAX; i++) {
        if (master.jobs[i] != NULL && master.jobs[i]->id == id) {
            return master.jobs[i];
        }
    }
    return NULL;
}

static void release_parked(void)
{
    if (master.parked != NULL) {
        reply_sync(master.parked);
        master.parked = NULL;
    }
}

void wish(struct job *job, int what, bool closes)
{
    job->wish = what;
    job->closes = closes;
    master.version++;
    release_parked();
}

/* What the job wants of its worker, after something has changed. */
static void advance(struct job *job)
{
    if (job->wish == 1 && job->ended == job->total && job->state == 2) {
        if (job->has_callback) {
            wish(job, 2, false);
        } else {
            wish(job, 3, true);
        }
    } else if (job->wish == 2 && job->state == 4) {
        wish(job, 3, true);
    } else if (job->state >= 5 && job->wish != 0) {
        wish(job, 0, false);
    }
}

static void take_status(const Cortex__V1__WorkerStatus *status)
{
    struct job *job = find_job(status->job_id);

    if (job != NULL && status->worker_id == job->worker_id &&
        (int)status->state >= job->state) {
        job->state = (int)status->state;
        job->failure = (int)status->failure;
        job->has_callback = status->has_on_job_complete;
        job->pid = status->pid;
        (void)snprintf(job->error, sizeof(job->error), "%s", status->error);
        advance(job);
    }
}

static void on_sync(const Cortex__V1__SyncRequest *request, struct rpc_call *call)
{
    for (size_t i = 0; i < request->n_workers; i++) {
        take_status(request->workers[i]);
    }
    master.registered = true;
    master.draining = request->draining;
    release_parked();
    if (request->desired_version == master.version && request->park_ms > 0) {
        master.parked = call;
        master.parked_until_ms = clock_monotonic_ms() + request->park_ms;
        return;
    }
    reply_sync(call);
}

/* --- Work ------------------------------------------------------------------------- */

static void take_result(struct job *job, const Cortex__V1__BatchResult *result)
{
    struct outcome *outcome = &job->outcomes[result->index];

    if (outcome->outcome != 0) {
        return;
    }
    if ((int)result->outcome >= 3 && job->returned < 64) {
        outcome->attempts += result->outcome == 3;
        job->returned_index[job->returned++] = result->index;
        if (outcome->attempts < 3) {
            return;
        }
        job->returned--;
    }
    outcome->outcome = (int)result->outcome;
    (void)snprintf(outcome->error, sizeof(outcome->error), "%s", result->error);
    job->ended++;
}

/* Grants a batch that came back, or as many new ones as are asked for. */
static void grant(struct job *job,
                  uint32_t asked,
                  Cortex__V1__Grant *out,
                  uint32_t *sizes,
                  struct buffer *payloads)
{
    uint64_t left = job->total - job->next;

    out->worker_id = job->worker_id;
    out->job_id = job->id;
    out->first_attempt = master.attempt + 1;
    if (job->returned > 0) {
        out->first_index = job->returned_index[--job->returned];
        out->n_sizes = 1;
    } else {
        out->first_index = job->next;
        out->n_sizes = left < asked ? left : asked;
        job->next += out->n_sizes;
    }
    for (size_t i = 0; i < out->n_sizes; i++) {
        size_t before = payloads->size;

        buffer_add_format(payloads, "[%" PRIu64 "]", out->first_index + i);
        sizes[i] = (uint32_t)(payloads->size - before);
    }
    master.attempt += out->n_sizes;
    out->sizes = sizes;
}

static bool refuses(struct rpc_call *call)
{
    struct error err = {0};

    if (master.registered && !master.want_unregistered) {
        return false;
    }
    master.want_unregistered = false;
    master.registered = false;
    (void)error_set(&err, ERROR_FAILED_PRECONDITION, "not registered");
    rpc_call_fail(call, &err, 0);
    return true;
}

static struct job *find_worker(uint64_t id)
{
    for (int i = 0; i < JOBS_MAX; i++) {
        if (master.jobs[i] != NULL && master.jobs[i]->worker_id == id) {
            return master.jobs[i];
        }
    }
    return NULL;
}

static void on_work(const Cortex__V1__WorkRequest *request, struct rpc_call *call)
{
    static uint32_t sizes[JOBS_MAX][4096];
    Cortex__V1__WorkReply reply = CORTEX__V1__WORK_REPLY__INIT;
    Cortex__V1__Grant grants[JOBS_MAX];
    Cortex__V1__Grant *rows[JOBS_MAX];
    struct buffer payloads = BUFFER_INIT;

    if (refuses(call)) {
        return;
    }
    for (size_t i = 0; i < request->n_results; i++) {
        struct job *job = find_job(request->results[i]->job_id);

        if (job != NULL) {
            take_result(job, request->results[i]);
        }
    }
    reply.grants = rows;
    for (size_t i = 0; i < request->n_asks && i < JOBS_MAX; i++) {
        struct job *job = find_worker(request->asks[i]->worker_id);

        if (job == NULL) {
            continue;
        }
        cortex__v1__grant__init(&grants[i]);
        grant(job, request->asks[i]->count, &grants[i], sizes[i], &payloads);
        if (grants[i].n_sizes > 0) {
            rows[reply.n_grants++] = &grants[i];
        }
    }
    reply.work_number = ++master.work_number;
    rpc_call_reply(call, &reply.base, payloads.data, payloads.size);
    buffer_fini(&payloads);
    for (int i = 0; i < JOBS_MAX; i++) {
        if (master.jobs[i] != NULL) {
            advance(master.jobs[i]);
        }
    }
}

/* --- files ------------------------------------------------------------------------ */

static void refuse_unknown(struct rpc_call *call)
{
    struct error err = {0};

    (void)error_set(&err, ERROR_NOT_FOUND, "no such job");
    rpc_call_fail(call, &err, 0);
}

static void on_setup(const Cortex__V1__GetSetupRequest *request, struct rpc_call *call)
{
    char *env[] = {(char[]){"FROM_YAML=yes"}};
    Cortex__V1__GetSetupReply reply = CORTEX__V1__GET_SETUP_REPLY__INIT;
    struct job *job = find_job(request->job_id);
    char *config;
    char *level;

    if (job == NULL) {
        refuse_unknown(call);
        return;
    }
    config = memory_strdup(job->config);
    level = memory_strdup(job->log_level);
    reply.api_name = (char[]){"test-api"};
    reply.project_id = job->project_id;
    reply.predictor_type = (char[]){"python"};
    reply.predictor_path = (char[]){"predictor.py"};
    reply.log_level = level;
    reply.env = env;
    reply.n_env = 1;
    reply.api_config = (char[]){"{\"a\": {\"x\": 1, \"y\": 2}}"};
    reply.job_config = config;
    reply.job_spec = (char[]){"{\"job_id\": \"00000000000000aa\", \"workers\": 1}"};
    rpc_call_reply(call, &reply.base, NULL, 0);
    free(level);
    free(config);
}

static void on_project(const Cortex__V1__GetProjectRequest *request,
                       struct rpc_call *call)
{
    Cortex__V1__GetProjectReply reply = CORTEX__V1__GET_PROJECT_REPLY__INIT;
    struct job *job = find_job(request->job_id);
    size_t left;

    if (job == NULL) {
        refuse_unknown(call);
        return;
    }
    left = job->project_size - (size_t)request->offset;
    reply.size = job->project_size;
    rpc_call_reply(call,
                   &reply.base,
                   job->project + request->offset,
                   left < 700 ? left : 700); // in several pieces
}

static void on_log(const Cortex__V1__AppendLogRequest *request, struct rpc_call *call)
{
    Cortex__V1__AppendLogReply reply = CORTEX__V1__APPEND_LOG_REPLY__INIT;
    size_t size;
    const char *at = rpc_call_attachment(call, &size);

    for (size_t i = 0; i < request->n_chunks; i++) {
        const Cortex__V1__LogChunk *chunk = request->chunks[i];
        struct job *job = find_worker(chunk->worker_id);

        if (job != NULL && chunk->sequence == job->log_sequence + 1) {
            job->log_sequence++;
            buffer_add(&job->log, at, chunk->size);
        }
        at += chunk->size;
    }
    rpc_call_reply(call, &reply.base, NULL, 0);
}

static void on_call(ProtobufCService *service,
                    unsigned method,
                    const ProtobufCMessage *message,
                    ProtobufCClosure closure,
                    void *call)
{
    (void)service;
    (void)closure;
    pthread_mutex_lock(&master.mutex);
    switch (method) {
    case 0:
        on_sync((const Cortex__V1__SyncRequest *)message, call);
        break;
    case 1:
        on_work((const Cortex__V1__WorkRequest *)message, call);
        break;
    case 2:
        on_setup((const Cortex__V1__GetSetupRequest *)message, call);
        break;
    case 3:
        on_project((const Cortex__V1__GetProjectRequest *)message, call);
        break;
    default:
        on_log((const Cortex__V1__AppendLogRequest *)message, call);
        break;
    }
    pthread_mutex_unlock(&master.mutex);
}

/* --- running jobs ----------------------------------------------------------------- */

/* Ends parks whose time is up. */
static void *tick(void *arg)
{
    (void)arg;
    for (;;) {
        (void)usleep(5000);
        pthread_mutex_lock(&master.mutex);
        if (master.parked != NULL && clock_monotonic_ms() >= master.parked_until_ms) {
            release_parked();
        }
        pthread_mutex_unlock(&master.mutex);
    }
    return NULL;
}

static void add_file(struct archive *archive, const char *path, const char *text)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)strlen(text));
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(archive, text, strlen(text)), strlen(text));
    archive_entry_free(entry);
}

/* files: path, text, path, text, ..., NULL */
static void pack(struct job *job, const char *const *files)
{
    struct archive *archive = archive_write_new();
    size_t capacity = 1 << 20;

    job->project = memory_zalloc(capacity);
    archive_write_set_format_pax_restricted(archive);
    archive_write_add_filter_gzip(archive);
    archive_write_open_memory(archive, job->project, capacity, &job->project_size);
    for (; *files != NULL; files += 2) {
        add_file(archive, files[0], files[1]);
    }
    archive_write_close(archive);
    archive_write_free(archive);
    id_hash_of(job->project, job->project_size, job->project_id);
}

static void add_to_master(struct job *job)
{
    for (int i = 0; i < JOBS_MAX; i++) {
        if (master.jobs[i] == NULL) {
            master.jobs[i] = job;
            return;
        }
    }
    fail_msg("more than %d jobs at a time", JOBS_MAX);
}

struct job *job_begin_with(const char *const *files,
                           const char *config,
                           const char *level,
                           uint64_t total,
                           uint64_t memory_bytes)
{
    static uint64_t next_id = 0xaa;
    struct job *job = memory_zalloc(sizeof(*job));

    pack(job, files);
    job->id = next_id++;
    job->worker_id = job->id + 0x1000;
    job->config = config;
    job->log_level = level;
    job->memory_bytes = memory_bytes;
    job->total = total;
    job->outcomes = memory_zalloc((total + 1) * sizeof(*job->outcomes));
    pthread_mutex_lock(&master.mutex);
    add_to_master(job);
    wish(job, 1, false);
    pthread_mutex_unlock(&master.mutex);
    return job;
}

struct job *job_begin(const char *const *files,
                      const char *config,
                      const char *level,
                      uint64_t total)
{
    return job_begin_with(files, config, level, total, 0);
}

static bool reached(struct job *job, bool (*there)(const struct job *))
{
    bool yes;

    pthread_mutex_lock(&master.mutex);
    yes = there(job);
    pthread_mutex_unlock(&master.mutex);
    return yes;
}

void wait_until(struct job *job, bool (*there)(const struct job *))
{
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;

    while (!reached(job, there)) {
        if (clock_monotonic_ms() > end_ms) {
            fail_msg("timed out; state %d, %llu of %llu ended, log:\n%s",
                     job->state,
                     (unsigned long long)job->ended,
                     (unsigned long long)job->total,
                     buffer_text(&job->log));
        }
        (void)usleep(2000);
    }
}

bool is_over(const struct job *job)
{
    return job->state >= 5 && job->wish == 0;
}

void job_end(struct job *job)
{
    pthread_mutex_lock(&master.mutex);
    for (int i = 0; i < JOBS_MAX; i++) {
        master.jobs[i] = master.jobs[i] == job ? NULL : master.jobs[i];
    }
    pthread_mutex_unlock(&master.mutex);
    buffer_fini(&job->log);
    free(job->outcomes);
    free(job->project);
    free(job);
}

/* Runs a job with this predictor to its end. */
struct job *run_job(const char *predictor, const char *config, uint64_t total)
{
    const char *files[] = {"predictor.py", predictor, NULL};
    struct job *job = job_begin(files, config, "info", total);

    wait_until(job, is_over);
    return job;
}

/* What the log holds now; for the caller to free. */
static char *copy_log(const struct job *job)
{
    pthread_mutex_lock(&master.mutex);
    char *text = memory_strdup(buffer_text(&job->log));
    pthread_mutex_unlock(&master.mutex);
    return text;
}

void expect_log(const struct job *job, const char *text)
{
    char *log = copy_log(job);

    if (strstr(log, text) == NULL) {
        fail_msg("the log lacks \"%s\":\n%s", text, log);
    }
    free(log);
}

void expect_no_log(const struct job *job, const char *text)
{
    char *log = copy_log(job);

    if (strstr(log, text) != NULL) {
        fail_msg("the log has \"%s\":\n%s", text, log);
    }
    free(log);
}

void expect_last_line(const struct job *job, const char *text)
{
    const char *log = buffer_text(&job->log);
    size_t size = strlen(text);

    if (job->log.size < size || strcmp(log + job->log.size - size, text) != 0) {
        fail_msg("the log does not end with \"%s\":\n%s", text, log);
    }
}

void expect_all(const struct job *job, int outcome)
{
    uint64_t different = 0;

    pthread_mutex_lock(&master.mutex);
    for (uint64_t i = 0; i < job->total; i++) {
        different += job->outcomes[i].outcome != outcome;
    }
    pthread_mutex_unlock(&master.mutex);
    assert_int_equal(different, 0);
}

/* --- the agent's process ---------------------------------------------------------- */

static void run_agent(const char *ready_fd)
{
    const char *argv[64] = {"cortex-agent",
                            "--master",
                            rpc_server_url(master.server),
                            "--state-dir",
                            master.state_dir,
                            "--python",
                            "/usr/bin/python3",
                            "--allow-file",
                            "--grace",
                            "2s",
                            "--ready-fd",
                            ready_fd};
    size_t n = 12;

    for (const char *const *option = master.agent_options;
         option != NULL && *option != NULL;
         option++) {
        argv[n++] = *option;
    }
    (void)execv(TEST_BINARY_DIR "/bin/cortex-agent", (char *const *)(uintptr_t)argv);
    _exit(127);
}

void start_agent(void)
{
    int ready[2];
    char fd[16];
    char line[8];

    assert_int_equal(pipe(ready), 0);
    (void)snprintf(fd, sizeof(fd), "%d", ready[1]);
    master.agent = fork();
    if (master.agent == 0) {
        (void)close(ready[0]);
        run_agent(fd);
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], line, sizeof(line)), 6);
    (void)close(ready[0]);
}

int stop_agent(int signal)
{
    int status = -1;

    assert_int_equal(kill(master.agent, signal), 0);
    assert_int_equal(waitpid(master.agent, &status, 0), master.agent);
    return status;
}

int fake_master_start(const char *const *agent_options)
{
    static ProtobufCService service;
    static ProtobufCService *services[] = {&service, NULL};
    struct rpc_server_options options = {.url = "tcp://127.0.0.1:0",
                                         .services = services};
    char template[] = "/tmp/cortex-test-XXXXXX";
    struct error err = {0};
    pthread_t thread;

    service.descriptor = &cortex__v1__agent_service__descriptor;
    service.invoke = on_call;
    master.version = 1;
    master.agent_options = agent_options;
    master.folder = memory_strdup(mkdtemp(template));
    master.state_dir = fs_join(master.folder, "agent");
    (void)chmod(master.folder, 0711);
    if (id_init() != 0 || rpc_server_start(&options, &master.server, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    (void)pthread_create(&thread, NULL, tick, NULL);
    start_agent();
    return 0;
}

int fake_master_stop(void **state)
{
    (void)state;
    (void)kill(master.agent, SIGTERM); // it removes what it made
    (void)waitpid(master.agent, NULL, 0);
    (void)fs_remove_tree(master.folder, NULL);
    free(master.state_dir);
    free(master.folder);
    return 0;
}
