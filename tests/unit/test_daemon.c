/* SPDX-License-Identifier: Apache-2.0 */
/* test_daemon.c - does a real cortex-agent run real predictors for a master's wishes
 *
 * The master here is a small one: one job at a time, on one worker, kept in this
 * process and reached over loopback. */
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

#define BATCHES_MAX 100000
#define WAIT_MS     60000 /* a safety net only */

struct outcome {
    int outcome; /* 0: none yet */
    char error[256];
    unsigned attempts;
};

/* One job and its worker. */
struct job {
    uint64_t id;
    uint64_t worker_id;
    char *project; /* archive */
    size_t project_size;
    char project_id[ID_PROJECT_TEXT_SIZE];
    const char *config;
    const char *log_level;
    uint64_t total;
    uint64_t next;
    uint64_t ended;
    uint64_t returned; /* queue of those given back, at the front */
    uint64_t returned_index[64];
    struct outcome *outcomes;
    int wish;
    bool closes;
    int state;
    int failure;
    char error[512];
    bool has_callback;
    unsigned pid;
    struct buffer log;
    uint64_t log_sequence;
};

static struct {
    pthread_mutex_t mutex;
    struct rpc_server *server;
    struct job *job;
    uint64_t version;
    uint64_t attempt;
    uint64_t work_number;
    bool registered;
    bool want_unregistered; /* the next Work is refused, as after a restart */
    struct rpc_call *parked;
    uint64_t parked_version;
    int64_t parked_until_ms;
    unsigned held; /* batches in the last Sync */
    bool draining;
    pid_t agent;
    char *folder;
} master = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- Sync ------------------------------------------------------------------------- */

static bool job_ready(const struct job *job)
{
    return job != NULL && (job->next < job->total || job->returned > 0);
}

static void reply_sync(struct rpc_call *call)
{
    Cortex__V1__SyncReply reply = CORTEX__V1__SYNC_REPLY__INIT;
    Cortex__V1__DesiredWorker worker = CORTEX__V1__DESIRED_WORKER__INIT;
    Cortex__V1__DesiredWorker *workers[] = {&worker};
    uint64_t jobs[1];

    reply.desired_version = master.version;
    reply.lease_ms = 10000;
    if (master.job != NULL && master.job->wish != 0) {
        worker.worker_id = master.job->worker_id;
        worker.job_id = master.job->id;
        worker.wish = (Cortex__V1__WorkerWish)master.job->wish;
        worker.closes_job = master.job->closes;
        worker.cpu_millis = 1000;
        reply.workers = workers;
        reply.n_workers = 1;
    }
    if (job_ready(master.job)) {
        jobs[0] = master.job->id;
        reply.ready_jobs = jobs;
        reply.n_ready_jobs = 1;
    }
    rpc_call_reply(call, &reply.base, NULL, 0);
}

static void release_parked(void)
{
    if (master.parked != NULL) {
        reply_sync(master.parked);
        master.parked = NULL;
    }
}

static void wish(struct job *job, int what, bool closes)
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

static void take_status(const Cortex__V1__SyncRequest *request)
{
    struct job *job = master.job;

    for (size_t i = 0; job != NULL && i < request->n_workers; i++) {
        const Cortex__V1__WorkerStatus *status = request->workers[i];

        if (status->worker_id == job->worker_id && (int)status->state >= job->state) {
            job->state = (int)status->state;
            job->failure = (int)status->failure;
            job->has_callback = status->has_on_job_complete;
            job->pid = status->pid;
            (void)snprintf(job->error, sizeof(job->error), "%s", status->error);
        }
    }
    master.held = 0;
    for (size_t i = 0; i < request->n_held; i++) {
        master.held += request->held[i]->count;
    }
    if (job != NULL) {
        advance(job);
    }
}

static void on_sync(const Cortex__V1__SyncRequest *request, struct rpc_call *call)
{
    take_status(request);
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

static void on_work(const Cortex__V1__WorkRequest *request, struct rpc_call *call)
{
    static uint32_t sizes[4096];
    Cortex__V1__WorkReply reply = CORTEX__V1__WORK_REPLY__INIT;
    Cortex__V1__Grant grant = CORTEX__V1__GRANT__INIT;
    Cortex__V1__Grant *grants[] = {&grant};
    struct job *job = master.job;
    struct buffer payloads = BUFFER_INIT;

    if (!master.registered || master.want_unregistered) {
        struct error err = {0};

        master.want_unregistered = false;
        master.registered = false;
        (void)error_set(&err, ERROR_FAILED_PRECONDITION, "not registered");
        rpc_call_fail(call, &err, 0);
        return;
    }
    for (size_t i = 0; i < request->n_results && job != NULL; i++) {
        if (request->results[i]->job_id == job->id) {
            take_result(job, request->results[i]);
        }
    }
    if (job != NULL && request->n_asks > 0 && request->asks[0]->count > 0) {
        grant.worker_id = job->worker_id;
        grant.job_id = job->id;
        grant.first_attempt = master.attempt + 1;
        if (job->returned > 0) {
            grant.first_index = job->returned_index[--job->returned];
            grant.n_sizes = 1;
        } else {
            uint64_t left = job->total - job->next;

            grant.first_index = job->next;
            grant.n_sizes =
                left < request->asks[0]->count ? left : request->asks[0]->count;
            job->next += grant.n_sizes;
        }
        for (size_t i = 0; i < grant.n_sizes; i++) {
            size_t before = payloads.size;

            buffer_add_format(&payloads, "[%" PRIu64 "]", grant.first_index + i);
            sizes[i] = (uint32_t)(payloads.size - before);
        }
        master.attempt += grant.n_sizes;
        grant.sizes = sizes;
        reply.grants = grants;
        reply.n_grants = grant.n_sizes > 0 ? 1 : 0;
    }
    reply.work_number = ++master.work_number;
    rpc_call_reply(call, &reply.base, payloads.data, payloads.size);
    buffer_fini(&payloads);
    if (job != NULL) {
        advance(job);
    }
}

/* --- files ------------------------------------------------------------------------ */

static void on_setup(struct rpc_call *call)
{
    char *env[] = {(char[]){"FROM_YAML=yes"}};
    Cortex__V1__GetSetupReply reply = CORTEX__V1__GET_SETUP_REPLY__INIT;
    char *config = memory_strdup(master.job->config);
    char *level = memory_strdup(master.job->log_level);

    reply.api_name = (char[]){"test-api"};
    reply.project_id = master.job->project_id;
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
    size_t left = master.job->project_size - (size_t)request->offset;

    reply.size = master.job->project_size;
    rpc_call_reply(call,
                   &reply.base,
                   master.job->project + request->offset,
                   left < 700 ? left : 700); // in several pieces
}

static void on_log(const Cortex__V1__AppendLogRequest *request, struct rpc_call *call)
{
    Cortex__V1__AppendLogReply reply = CORTEX__V1__APPEND_LOG_REPLY__INIT;
    size_t size;
    const char *at = rpc_call_attachment(call, &size);

    for (size_t i = 0; i < request->n_chunks; i++) {
        const Cortex__V1__LogChunk *chunk = request->chunks[i];

        if (master.job != NULL && chunk->worker_id == master.job->worker_id &&
            chunk->sequence == master.job->log_sequence + 1) {
            master.job->log_sequence++;
            buffer_add(&master.job->log, at, chunk->size);
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
        on_setup(call);
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

static struct job *job_begin(const char *const *files,
                             const char *config,
                             const char *level,
                             uint64_t total)
{
    static uint64_t next_id = 0xaa;
    struct job *job = memory_zalloc(sizeof(*job));

    pack(job, files);
    job->id = next_id++;
    job->worker_id = job->id + 0x1000;
    job->config = config;
    job->log_level = level;
    job->total = total;
    job->outcomes = memory_zalloc((total + 1) * sizeof(*job->outcomes));
    pthread_mutex_lock(&master.mutex);
    master.job = job;
    wish(job, 1, false);
    pthread_mutex_unlock(&master.mutex);
    return job;
}

static bool reached(struct job *job, bool (*there)(const struct job *))
{
    bool yes;

    pthread_mutex_lock(&master.mutex);
    yes = there(job);
    pthread_mutex_unlock(&master.mutex);
    return yes;
}

static void wait_until(struct job *job, bool (*there)(const struct job *))
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

static bool is_over(const struct job *job)
{
    return job->state >= 5 && job->wish == 0;
}

static void job_end(struct job *job)
{
    pthread_mutex_lock(&master.mutex);
    master.job = NULL;
    pthread_mutex_unlock(&master.mutex);
    buffer_fini(&job->log);
    free(job->outcomes);
    free(job->project);
    free(job);
}

/* Runs a job with this predictor to its end. */
static struct job *run_job(const char *predictor, const char *config, uint64_t total)
{
    const char *files[] = {"predictor.py", predictor, NULL};
    struct job *job = job_begin(files, config, "info", total);

    wait_until(job, is_over);
    return job;
}

static void expect_log(const struct job *job, const char *text)
{
    if (strstr(buffer_text(&job->log), text) == NULL) {
        fail_msg("the log lacks \"%s\":\n%s", text, buffer_text(&job->log));
    }
}

static void expect_no_log(const struct job *job, const char *text)
{
    if (strstr(buffer_text(&job->log), text) != NULL) {
        fail_msg("the log has \"%s\":\n%s", text, buffer_text(&job->log));
    }
}

static void expect_last_line(const struct job *job, const char *text)
{
    const char *log = buffer_text(&job->log);
    size_t size = strlen(text);

    if (job->log.size < size || strcmp(log + job->log.size - size, text) != 0) {
        fail_msg("the log does not end with \"%s\":\n%s", text, log);
    }
}

static void expect_all(const struct job *job, int outcome)
{
    for (uint64_t i = 0; i < job->total; i++) {
        assert_int_equal(job->outcomes[i].outcome, outcome);
    }
}

#define CLOSING "no batches left in queue, job has been completed\n"

/* --- the agent's process ---------------------------------------------------------- */

static void start_agent(void)
{
    int ready[2];
    char fd[16];
    char line[8];

    assert_int_equal(pipe(ready), 0);
    (void)snprintf(fd, sizeof(fd), "%d", ready[1]);
    master.agent = fork();
    if (master.agent == 0) {
        (void)close(ready[0]);
        (void)execl(TEST_BINARY_DIR "/bin/cortex-agent",
                    "cortex-agent",
                    "--master",
                    rpc_server_url(master.server),
                    "--state-dir",
                    master.folder,
                    "--python",
                    "/usr/bin/python3",
                    "--allow-file",
                    "--grace",
                    "1s",
                    "--ready-fd",
                    fd,
                    NULL);
        _exit(127);
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], line, sizeof(line)), 6);
    (void)close(ready[0]);
}

static int stop_agent(int signal)
{
    int status = -1;

    assert_int_equal(kill(master.agent, signal), 0);
    assert_int_equal(waitpid(master.agent, &status, 0), master.agent);
    return status;
}

static int set_up(void **state)
{
    static ProtobufCService service;
    static ProtobufCService *services[] = {&service, NULL};
    struct rpc_server_options options = {.url = "tcp://127.0.0.1:0",
                                         .services = services};
    char template[] = "/tmp/cortex-test-XXXXXX";
    struct error err = {0};
    pthread_t thread;

    (void)state;
    service.descriptor = &cortex__v1__agent_service__descriptor;
    service.invoke = on_call;
    master.version = 1;
    master.folder = memory_strdup(mkdtemp(template));
    if (id_init() != 0 || rpc_server_start(&options, &master.server, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    (void)pthread_create(&thread, NULL, tick, NULL);
    start_agent();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)kill(master.agent, SIGKILL);
    (void)waitpid(master.agent, NULL, 0);
    (void)fs_remove_tree(master.folder, NULL);
    free(master.folder);
    return 0;
}

/* --- the tests -------------------------------------------------------------------- */

static void a_job_runs_from_its_first_batch_to_its_closing_line(void **state)
{
    struct job *job = run_job("import os\n"
                              "class PythonPredictor:\n"
                              "    def __init__(self, config, job_spec):\n"
                              "        print('config', config, job_spec['workers'])\n"
                              "        print('env', os.environ['FROM_YAML'],"
                              " os.environ['CORTEX_API_NAME'])\n"
                              "    def predict(self, payload, batch_id):\n"
                              "        print('payload', payload)\n"
                              "    def on_job_complete(self):\n"
                              "        print('called', end='')\n",
                              "{\"a\": {\"y\": 3}}",
                              3);

    (void)state;
    assert_int_equal(job->state, 5);
    expect_all(job, 1);
    expect_log(job, ":cortex:pid-1:INFO:downloading the project code\n");
    expect_log(job, "config {'a': {'x': 1, 'y': 3}} 1\n");
    expect_log(job, "env yes test-api\n");
    expect_log(job, "payload [2]\n");
    expect_log(job, ":INFO:executing on_job_complete\ncalled\n");
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void ten_thousand_batches_are_each_done_once(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self): pass\n",
                              "",
                              10000);

    (void)state;
    expect_all(job, 1);
    expect_last_line(job, CLOSING);
    expect_no_log(job, "executing on_job_complete");
    job_end(job);
}

static void a_constructor_that_raises_fails_the_worker_with_its_traceback(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config):\n"
                              "        raise Exception('no model here')\n"
                              "    def predict(self): pass\n",
                              "",
                              1);

    (void)state;
    assert_int_equal(job->state, 6);
    assert_int_equal(job->failure, 1);
    assert_string_equal(job->error, "predictor.py: __init__: Exception: no model here");
    expect_log(job, "Traceback (most recent call last):\n");
    expect_log(job, "predictor.py\", line 3, in __init__\n");
    expect_no_log(job, "cortex_runner");
    job_end(job);
}

static void setup_failures_say_what_is_wrong(void **state)
{
    const char *cases[][2] = {
        {"import no_such_module\n", "No module named 'no_such_module'"},
        {"class PythonPredictor(:\n", "SyntaxError"},
        {"x = 1\n", "class PythonPredictor is not defined"},
        {"import sys\nsys.exit(3)\n", "import: SystemExit: 3"},
        {"import os\nos._exit(3)\n", "exited with status 3 before"},
        {"class PythonPredictor:\n"
         "    def __init__(self, config): pass\n"
         "    def predict(self, payloads): pass\n",
         "unknown argument \"payloads\""},
        {"class PythonPredictor:\n"
         "    def __init__(self, config, python_client): pass\n"
         "    def predict(self): pass\n",
         "TypeError"},
        {"import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
         "was killed by signal 9 (Killed) before"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct job *job = run_job(cases[i][0], "", 1);

        assert_int_equal(job->state, 6);
        assert_int_equal(job->failure, 1);
        assert_non_null(strstr(job->error, cases[i][1]));
        expect_log(job, cases[i][1]);
        job_end(job);
    }
}

static void predict_may_raise_anything_and_the_worker_goes_on(void **state)
{
    struct job *job = run_job("import sys\n"
                              "class Hostile(Exception):\n"
                              "    def __str__(self): raise ValueError('no text')\n"
                              "class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self, payload):\n"
                              "        n = payload[0]\n"
                              "        if n == 0: raise KeyError('zero')\n"
                              "        if n == 1: sys.exit('one')\n"
                              "        if n == 2: raise KeyboardInterrupt\n"
                              "        if n == 3: raise Hostile()\n"
                              "        if n == 4: return self.predict(payload)\n",
                              "",
                              6);

    (void)state;
    assert_int_equal(job->state, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(job->outcomes[i].outcome, 2);
    }
    assert_int_equal(job->outcomes[5].outcome, 1);
    assert_string_equal(job->outcomes[0].error, "KeyError: 'zero'");
    assert_string_equal(job->outcomes[1].error, "SystemExit: one");
    expect_log(job, ":ERROR:failed processing batch ");
    expect_log(job, "in predict\n");
    expect_no_log(job, "cortex_runner");
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void what_predict_returns_is_stored_or_the_batch_fails(void **state)
{
    char *config = memory_format("{\"dest_s3_dir\": \"file://%s/out\"}", master.folder);
    struct job *job = run_job("class Array:\n"
                              "    def tolist(self): return [1.5, 2]\n"
                              "class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self, payload):\n"
                              "        n = payload[0]\n"
                              "        if n == 0: return {'class': 'h\\u00e9'}\n"
                              "        if n == 1: return float('nan')\n"
                              "        if n == 2: return b'bytes'\n"
                              "        if n == 3:\n"
                              "            a = []\n"
                              "            a.append(a)\n"
                              "            return a\n"
                              "        if n == 4: return Array()\n"
                              "        if n == 5: return object()\n"
                              "        if n == 6: return 'x' * (17 << 20)\n",
                              config,
                              8);
    char id[ID_UUID_TEXT_SIZE];
    char text[ID_JOB_TEXT_SIZE];
    struct buffer stored = BUFFER_INIT;
    const int outcomes[] = {1, 2, 2, 2, 1, 2, 2, 1};
    char *path;

    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(job->outcomes[i].outcome, outcomes[i]);
    }
    assert_non_null(strstr(job->outcomes[1].error, "cannot be stored as JSON"));
    assert_non_null(strstr(job->outcomes[6].error, "expected at most 16777216"));
    id_job_format(job->id, text);
    id_batch_format(job->id, 0, id);
    path = memory_format("%s/out/%s/%s.json", master.folder, text, id);
    assert_int_equal(fs_read(path, 1000, &stored, NULL), 0);
    assert_string_equal(stored.data, "{\"class\": \"h\\u00e9\"}");
    free(path);
    buffer_clear(&stored);
    id_batch_format(job->id, 4, id);
    path = memory_format("%s/out/%s/%s.json", master.folder, text, id);
    assert_int_equal(fs_read(path, 1000, &stored, NULL), 0);
    assert_string_equal(stored.data, "[1.5, 2]");
    free(path);
    buffer_fini(&stored);
    free(config);
    job_end(job);
}

static void
a_result_with_no_place_to_go_is_dropped_and_the_log_says_so_once(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self): return float('nan')\n",
                              "",
                              3);
    const char *line = "what predict returns is not stored: config has no dest_s3_dir";

    (void)state;
    expect_all(job, 1);
    expect_log(job, line);
    assert_null(strstr(strstr(buffer_text(&job->log), line) + 1, line));
    job_end(job);
}

static void a_worker_that_dies_in_predict_makes_only_that_batch_suspect(void **state)
{
    const char *deaths[] = {"os._exit(0)",
                            "ctypes.string_at(0)",
                            "os.kill(os.getpid(), 9)",
                            "os.closerange(0, 100000)"};

    (void)state;
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
        char *predictor = memory_format("import ctypes, os\n"
                                        "class PythonPredictor:\n"
                                        "    def __init__(self, config): pass\n"
                                        "    def predict(self, payload):\n"
                                        "        if payload[0] == 40: %s\n",
                                        deaths[i]);
        struct job *job = run_job(predictor, "", 100);

        assert_int_equal(job->state, 6);
        assert_int_equal(job->failure, 2);
        assert_int_equal(job->outcomes[40].attempts, 1);
        for (int k = 0; k < 40; k++) {
            assert_int_equal(job->outcomes[k].outcome, 1);
        }
        for (int k = 41; k < 100; k++) {
            assert_int_equal(job->outcomes[k].outcome, 0);
            assert_int_equal(job->outcomes[k].attempts, 0);
        }
        expect_log(job, " while processing batch ");
        free(predictor);
        job_end(job);
    }
}

static void
a_predictor_that_upsets_its_process_does_not_upset_the_next_batch(void **state)
{
    struct job *job =
        run_job("import os, signal, sys, threading, time\n"
                "class PythonPredictor:\n"
                "    def __init__(self, config):\n"
                "        t = threading.Thread(target=time.sleep, args=(1000,))\n"
                "        t.start()\n"
                "    def predict(self, payload):\n"
                "        n = payload[0]\n"
                "        if n == 0: os.close(1); os.close(2)\n"
                "        if n == 1: os.closerange(3, 256)\n"
                "        if n == 2: sys.stdout = sys.stderr = None\n"
                "        if n == 3: os.chdir('/')\n"
                "        if n == 4: signal.pthread_sigmask(signal.SIG_BLOCK,"
                " range(1, 32))\n"
                "        if n == 5: os.fork()\n"
                "        if n == 6: print('x')\n",
                "",
                8);

    (void)state;
    assert_int_equal(job->state, 5);
    expect_all(job, 1);
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void on_job_complete_that_raises_fails_the_worker(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self): pass\n"
                              "    def on_job_complete(self): raise OSError('disk')\n",
                              "",
                              1);

    (void)state;
    assert_int_equal(job->state, 6);
    assert_int_equal(job->failure, 4);
    expect_log(job, ":ERROR:failed to handle on_job_complete\nTraceback");
    expect_no_log(job, "job has been completed");
    job_end(job);
}

static void the_log_level_hides_what_is_below_it(void **state)
{
    const char *files[] = {"predictor.py",
                           "class PythonPredictor:\n"
                           "    def __init__(self, config): pass\n"
                           "    def predict(self, payload): assert payload[0]\n",
                           NULL};
    struct job *job = job_begin(files, "", "error", 2);

    (void)state;
    wait_until(job, is_over);
    expect_no_log(job, ":INFO:");
    expect_log(job, ":ERROR:failed processing batch ");
    job_end(job);
}

static void dependencies_are_installed_and_their_words_are_in_the_log(void **state)
{
    const char *files[] = {"predictor.py",
                           "import requests, sys, os\n"
                           "class PythonPredictor:\n"
                           "    def __init__(self, config):\n"
                           "        print('in', sys.prefix, open('made').read(),"
                           " os.environ['DOT'])\n"
                           "    def predict(self): pass\n",
                           "requirements.txt",
                           "# satisfied by the system's packages\nrequests\n",
                           "dependencies.sh",
                           "echo from the script; printf %s made > made\n",
                           ".env",
                           "DOT=\"a b\"\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 1);

    (void)state;
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    expect_log(job, "\nfrom the script\n");
    expect_log(job, "Requirement already satisfied: requests");
    expect_log(job, "/envs/");
    expect_log(job, " made a b\n");
    job_end(job);
}

static void a_failed_installation_fails_the_setup(void **state)
{
    const char *files[] = {"predictor.py",
                           "x = 1\n",
                           "dependencies.sh",
                           "echo hidden words; false; echo never\n",
                           NULL};
    struct job *job = job_begin(files, "", "error", 1);

    (void)state;
    wait_until(job, is_over);
    assert_int_equal(job->failure, 1);
    assert_string_equal(job->error, "dependencies.sh exited with status 1");
    expect_log(job, "hidden words\n");
    expect_no_log(job, "never");
    job_end(job);
}

static bool is_running(const struct job *job)
{
    return job->state == 2 && strstr(buffer_text(&job->log), "in predict") != NULL;
}

static const char *const sleeper[] = {"predictor.py",
                                      "import time\n"
                                      "class PythonPredictor:\n"
                                      "    def __init__(self, config): pass\n"
                                      "    def predict(self):\n"
                                      "        print('in predict')\n"
                                      "        time.sleep(1000)\n",
                                      NULL};

static void a_stop_ends_a_worker_in_predict_at_once(void **state)
{
    struct job *job = job_begin(sleeper, "", "info", 5);
    int64_t begun_ms;

    (void)state;
    wait_until(job, is_running);
    begun_ms = clock_monotonic_ms();
    pthread_mutex_lock(&master.mutex);
    wish(job, 4, false);
    pthread_mutex_unlock(&master.mutex);
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    assert_true(clock_monotonic_ms() - begun_ms < WAIT_MS / 2);
    assert_int_not_equal(kill((pid_t)job->pid, 0), 0);
    job_end(job);
}

static void a_stop_ends_an_installation(void **state)
{
    const char *files[] = {"predictor.py",
                           "x = 1\n",
                           "dependencies.sh",
                           "echo in predict; sleep 1000\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 1);

    (void)state;
    (void)usleep(300000);
    pthread_mutex_lock(&master.mutex);
    wish(job, 4, false);
    pthread_mutex_unlock(&master.mutex);
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    job_end(job);
}

static void a_master_that_forgot_the_agent_is_told_all_again(void **state)
{
    const char *files[] = {"predictor.py",
                           "import time\n"
                           "class PythonPredictor:\n"
                           "    def __init__(self, config): pass\n"
                           "    def predict(self): time.sleep(0.01)\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 60);

    (void)state;
    for (int i = 0; i < 5; i++) {
        (void)usleep(100000);
        pthread_mutex_lock(&master.mutex);
        master.want_unregistered = true;
        pthread_mutex_unlock(&master.mutex);
    }
    wait_until(job, is_over);
    expect_all(job, 1);
    job_end(job);
}

static bool is_one_ended(const struct job *job)
{
    return job->ended > 0;
}

static void a_leaving_agent_gives_back_what_it_cannot_finish(void **state)
{
    const char *files[] = {"predictor.py",
                           "import time\n"
                           "class PythonPredictor:\n"
                           "    def __init__(self, config): pass\n"
                           "    def predict(self, payload):\n"
                           "        time.sleep(1000 if payload[0] == 2 else 0.001)\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 40);
    int status;

    (void)state;
    wait_until(job, is_one_ended);
    (void)usleep(300000);
    status = stop_agent(SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    pthread_mutex_lock(&master.mutex);
    assert_true(master.draining);
    assert_int_equal(job->ended, 2);
    assert_int_equal(job->returned + (job->total - job->next), 38);
    assert_int_equal(job->outcomes[2].attempts, 0);
    expect_log(job, "in predict"); // the stack of what did not end
    wish(job, 0, false);
    pthread_mutex_unlock(&master.mutex);
    start_agent(); // its state folder is in order
    job_end(job);
}

/* Gone, or dead and not yet collected by whoever collects orphans here. */
static bool is_dead(pid_t pid)
{
    char *path = memory_format("/proc/%d/stat", (int)pid);
    struct buffer text = BUFFER_INIT;
    bool dead = fs_read(path, 4096, &text, NULL) != 0 ||
                strstr(buffer_text(&text), ") Z ") != NULL;

    buffer_fini(&text);
    free(path);
    return dead;
}

static void workers_die_with_their_agent(void **state)
{
    struct job *job = job_begin(sleeper, "", "info", 1);
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;

    (void)state;
    wait_until(job, is_running);
    assert_false(is_dead((pid_t)job->pid));
    (void)stop_agent(SIGKILL);
    while (!is_dead((pid_t)job->pid) && clock_monotonic_ms() < end_ms) {
        (void)usleep(2000);
    }
    assert_true(is_dead((pid_t)job->pid));
    pthread_mutex_lock(&master.mutex);
    wish(job, 0, false);
    pthread_mutex_unlock(&master.mutex);
    start_agent();
    job_end(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_from_its_first_batch_to_its_closing_line),
        cmocka_unit_test(ten_thousand_batches_are_each_done_once),
        cmocka_unit_test(a_constructor_that_raises_fails_the_worker_with_its_traceback),
        cmocka_unit_test(setup_failures_say_what_is_wrong),
        cmocka_unit_test(predict_may_raise_anything_and_the_worker_goes_on),
        cmocka_unit_test(what_predict_returns_is_stored_or_the_batch_fails),
        cmocka_unit_test(
            a_result_with_no_place_to_go_is_dropped_and_the_log_says_so_once),
        cmocka_unit_test(a_worker_that_dies_in_predict_makes_only_that_batch_suspect),
        cmocka_unit_test(
            a_predictor_that_upsets_its_process_does_not_upset_the_next_batch),
        cmocka_unit_test(on_job_complete_that_raises_fails_the_worker),
        cmocka_unit_test(the_log_level_hides_what_is_below_it),
        cmocka_unit_test(dependencies_are_installed_and_their_words_are_in_the_log),
        cmocka_unit_test(a_failed_installation_fails_the_setup),
        cmocka_unit_test(a_stop_ends_a_worker_in_predict_at_once),
        cmocka_unit_test(a_stop_ends_an_installation),
        cmocka_unit_test(a_master_that_forgot_the_agent_is_told_all_again),
        cmocka_unit_test(a_leaving_agent_gives_back_what_it_cannot_finish),
        cmocka_unit_test(workers_die_with_their_agent),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
