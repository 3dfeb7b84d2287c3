/* SPDX-License-Identifier: Apache-2.0 */
/* master_fixture.c - a master's deciding part in a test's hands */
#include "tests/unit/master_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fs.h"
#include "common/id.h"
#include "master/recover.h"

#define WAKES_MAX 10000 /* more in one fixture_pass is a state that cannot rest */

static void open_state(struct master_fixture *fixture)
{
    struct state_settings settings = {.lease_ms = STATE_LEASE_MS,
                                      .lost_ms = STATE_LOST_MS,
                                      .bridge_url = "http://bridge"};
    struct error err = {0};
    int64_t now_ms = fixture->state.now_ms;
    int64_t wall_ns = fixture->state.wall_ns;

    memcpy(settings.machine_boot, fixture->machine_boot, JOB_BOOT_SIZE);
    if (store_open(fixture->path, &fixture->store, &err) != 0 ||
        state_init(&fixture->state, &settings, fixture->store, 7, &err) != 0) {
        fail_msg("%s", err.message);
    }
    fixture->state.now_ms = now_ms;
    fixture->state.wall_ns = wall_ns;
}

int master_fixture_setup(void **state)
{
    struct master_fixture *fixture = memory_zalloc(sizeof(*fixture));

    if (id_init() != 0) {
        return -1;
    }
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/master-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->path = fs_join(fixture->folder, "state.db");
    (void)snprintf(
        fixture->machine_boot, sizeof(fixture->machine_boot), "the first boot");
    fixture->state.now_ms = 1000000;
    fixture->state.wall_ns = FIXTURE_WALL_NS;
    open_state(fixture);
    *state = fixture;
    return 0;
}

int master_fixture_teardown(void **state)
{
    struct master_fixture *fixture = *state;

    fixture_forget(fixture);
    state_fini(&fixture->state);
    store_close(fixture->store);
    (void)fs_remove_tree(fixture->folder, NULL);
    free(fixture->path);
    free(fixture);
    return 0;
}

void fixture_restart(struct master_fixture *fixture)
{
    struct error err = {0};

    state_fini(&fixture->state);
    store_close(fixture->store);
    open_state(fixture);
    if (recover_state(&fixture->state, &err) != 0) {
        fail_msg("%s", err.message);
    }
    fixture_step(fixture);
}

static void check_books(const struct state *state)
{
    size_t cursor = 0;
    uint64_t key;
    void *job;

    while (map_next(&state->jobs, &cursor, &key, &job)) {
        assert_true(job_consistent(job));
    }
}

void fixture_step(struct master_fixture *fixture)
{
    struct error err = {0};
    struct action *action;

    if (route_settle(&fixture->state, &err) != 0 ||
        store_commit(fixture->store, &err) != 0) {
        fail_msg("%s", err.message);
    }
    check_books(&fixture->state);
    while ((action = outbox_take(&fixture->state.outbox))) {
        struct action **link = &fixture->released.first;
        while (*link) {
            link = &(*link)->next;
        }
        *link = action;
    }
}

void fixture_pass(struct master_fixture *fixture, int64_t ms)
{
    struct state *state = &fixture->state;
    int64_t end_ms = state->now_ms + ms;

    for (int wakes = 0; state->now_ms < end_ms; wakes++) {
        assert_true(wakes < WAKES_MAX);
        int64_t next_ms = state->wake_ms < end_ms ? state->wake_ms : end_ms;
        next_ms = next_ms > state->now_ms ? next_ms : state->now_ms;
        state->wall_ns += (next_ms - state->now_ms) * 1000000;
        state->now_ms = next_ms;
        fixture_step(fixture);
    }
}

void fixture_forget(struct master_fixture *fixture)
{
    struct action *action;

    while ((action = outbox_take(&fixture->released))) {
        action_free(action);
    }
}

uintptr_t fixture_call_prepared(struct master_fixture *fixture,
                                const char *method,
                                void *message,
                                void *prepared)
{
    unsigned char request_id[ID_REQUEST_SIZE] = {0};
    char *name = memory_format("cortex.v1.%s", method);
    const struct route *route = route_find(name);
    uintptr_t call = ++fixture->calls;
    struct request request = {.caller = fixture->caller,
                              .call = (void *)call,
                              .request_id = request_id,
                              .message = message,
                              .prepared = prepared};
    struct error err = {0};

    assert_non_null(route);
    memcpy(request_id, fixture->repeated ? &fixture->repeated : &call, sizeof(call));
    fixture->repeated = 0;
    if (route_handle(&fixture->state, route, &request, &err) != 0) {
        fail_msg("%s", err.message);
    }
    fixture_step(fixture);
    free(name);
    return call;
}

void fixture_request_id(struct master_fixture *fixture, uintptr_t number)
{
    fixture->repeated = UINTPTR_MAX - number; // no call's own
}

uintptr_t
fixture_call(struct master_fixture *fixture, const char *method, void *message)
{
    return fixture_call_prepared(fixture, method, message, NULL);
}

static const struct action *answer_to(const struct master_fixture *fixture,
                                      uintptr_t call)
{
    const struct action *found = NULL;

    for (const struct action *action = fixture->released.first; action;
         action = action->next) {
        if (action->call == (void *)call) {
            assert_null(found); // nobody is answered twice
            found = action;
        }
    }
    return found;
}

const void *fixture_reply(const struct master_fixture *fixture, uintptr_t call)
{
    const struct action *action = answer_to(fixture, call);

    return action ? action->message : NULL;
}

const struct error *fixture_error(const struct master_fixture *fixture, uintptr_t call)
{
    const struct action *action = answer_to(fixture, call);

    assert_non_null(action);
    assert_int_equal(action->type, ACTION_FAIL);
    return action->error;
}

size_t fixture_count(const struct master_fixture *fixture,
                     enum action_type type,
                     uint64_t job_id)
{
    size_t count = 0;

    for (const struct action *action = fixture->released.first; action;
         action = action->next) {
        count += action->type == type && action->job_id == job_id;
    }
    return count;
}

bool fixture_logged(const struct master_fixture *fixture, const char *text)
{
    for (const struct action *action = fixture->released.first; action;
         action = action->next) {
        if (action->type == ACTION_LOG && strstr(action->text, text)) {
            return true;
        }
    }
    return false;
}

static bool all_exist(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return true;
}

uintptr_t fixture_deploy(struct master_fixture *fixture, const char *text)
{
    struct deploy_prepared *prepared = memory_zalloc(sizeof(*prepared));
    Cortex__V1__DeployRequest said = CORTEX__V1__DEPLOY_REQUEST__INIT;
    char project_id[ID_PROJECT_TEXT_SIZE];
    struct api_spec_source source = {.file_name = "cortex.yaml",
                                     .text = text,
                                     .size = strlen(text),
                                     .project_id = project_id,
                                     .now_ns = fixture->state.wall_ns,
                                     .exists = all_exist};

    id_hash_of("project", 7, project_id);
    if (api_spec_parse(&source, &prepared->specs, &prepared->error) != 0) {
        fail_msg("%s", prepared->error.message);
    }
    said.project_id = project_id;
    uintptr_t call = fixture_call_prepared(fixture, "Client/Deploy", &said, prepared);
    deploy_prepared_free(prepared);
    return call;
}

uintptr_t fixture_try_submit(struct master_fixture *fixture,
                             const struct fixture_job *wanted,
                             uint64_t *out_job_id)
{
    struct submit_prepared *prepared = memory_zalloc(sizeof(*prepared));
    Cortex__V1__SubmitJobRequest said = CORTEX__V1__SUBMIT_JOB_REQUEST__INIT;

    prepared->job_id = id_job_at(++fixture->state.wall_ns);
    prepared->workers = wanted->workers ? wanted->workers : 1;
    prepared->timeout_s = wanted->timeout_s;
    prepared->max_attempts = wanted->max_attempts ? wanted->max_attempts : 1;
    (void)snprintf(prepared->body_hash,
                   sizeof(prepared->body_hash),
                   "%s",
                   wanted->body_hash ? wanted->body_hash : "hash");
    prepared->dead_letter_arn = memory_strdup(wanted->dead_letter_arn);
    said.api_name =
        (char *)(uintptr_t)(wanted->api_name ? wanted->api_name : "classifier");
    said.idempotency_key = (char *)(uintptr_t)(wanted->key ? wanted->key : "");
    *out_job_id = prepared->job_id;
    uintptr_t call =
        fixture_call_prepared(fixture, "Client/SubmitJob", &said, prepared);
    submit_prepared_free(prepared);
    return call;
}

void fixture_segment(struct master_fixture *fixture, uint64_t job_id, uint32_t batches)
{
    const struct job *job = state_job(&fixture->state, job_id);
    bool going_on = false;

    assert_non_null(job);
    struct segment segment = {.payload = {.number = job->segment_count,
                                          .first_index = job->book.total,
                                          .count = batches,
                                          .bytes = 100 * (uint64_t)batches},
                              .after = {.item = job->book.total + batches}};
    assert_int_equal(submit_segment(&fixture->state, job_id, &segment, &going_on, NULL),
                     0);
    assert_true(going_on);
    fixture_step(fixture);
}

void fixture_enqueued(struct master_fixture *fixture, uint64_t job_id)
{
    assert_int_equal(submit_enqueued(&fixture->state, job_id, NULL, NULL), 0);
    fixture_step(fixture);
}

uint64_t fixture_submit(struct master_fixture *fixture,
                        const struct fixture_job *wanted)
{
    uint64_t job_id;
    uintptr_t call = fixture_try_submit(fixture, wanted, &job_id);

    assert_non_null(fixture_reply(fixture, call));
    if (wanted->batches > 0) {
        fixture_segment(fixture, job_id, (uint32_t)wanted->batches);
        fixture_enqueued(fixture, job_id);
    }
    return job_id;
}

static struct fixture_worker *find_worker(struct fixture_agent *agent,
                                          uint64_t worker_id)
{
    for (size_t i = 0; i < agent->worker_count; i++) {
        if (agent->workers[i].worker_id == worker_id) {
            return &agent->workers[i];
        }
    }
    return NULL;
}

static void forget_over(struct fixture_agent *agent)
{
    size_t kept = 0;

    for (size_t i = 0; i < agent->worker_count; i++) {
        const struct fixture_worker *worker = &agent->workers[i];
        bool over = worker->state >= WORKER(EXITED);
        bool desired = worker->wish != WISH(UNSPECIFIED);
        if (desired || !over) {
            agent->workers[kept++] = *worker;
        }
    }
    agent->worker_count = kept;
}

static void take_answer(struct fixture_agent *agent, const Cortex__V1__SyncReply *reply)
{
    agent->desired_version = reply->desired_version;
    agent->ready_job = reply->n_ready_jobs > 0 ? reply->ready_jobs[0] : 0;
    for (size_t i = 0; i < agent->worker_count; i++) {
        agent->workers[i].wish = WISH(UNSPECIFIED);
    }
    for (size_t i = 0; i < reply->n_workers; i++) {
        const Cortex__V1__DesiredWorker *desired = reply->workers[i];
        struct fixture_worker *worker = find_worker(agent, desired->worker_id);
        if (!worker && desired->wish >= WISH(DRAIN)) {
            continue; // nothing is started only to be ended
        }
        if (!worker) {
            assert_true(agent->worker_count < FIXTURE_WORKERS_MAX);
            worker = &agent->workers[agent->worker_count++];
            *worker = (struct fixture_worker){.worker_id = desired->worker_id,
                                              .job_id = desired->job_id,
                                              .state = WORKER(INITIALIZING)};
        }
        worker->wish = desired->wish;
        worker->closes_job = desired->closes_job;
    }
    forget_over(agent);
}

void fixture_sync(struct master_fixture *fixture, struct fixture_agent *agent)
{
    Cortex__V1__SyncRequest said = CORTEX__V1__SYNC_REQUEST__INIT;
    Cortex__V1__WorkerStatus statuses[FIXTURE_WORKERS_MAX];
    Cortex__V1__WorkerStatus *workers[FIXTURE_WORKERS_MAX];
    Cortex__V1__HeldRun *held[] = {&agent->held};
    unsigned char agent_id[ROSTER_AGENT_ID_SIZE];

    memset(agent_id, agent->id, sizeof(agent_id));
    said.agent_id = (ProtobufCBinaryData){sizeof(agent_id), agent_id};
    said.incarnation = agent->incarnation;
    said.cpu_millis = agent->cpu_millis;
    said.memory_bytes = agent->memory_bytes;
    said.gpus = agent->gpus;
    said.draining = agent->draining;
    said.desired_version = agent->desired_version;
    said.work_number = agent->work_number;
    said.boot = fixture->state.boot;
    roster_introduce(&fixture->state.roster, agent->incarnation);
    said.park_ms = agent->park_ms;
    said.name = (char *)(uintptr_t) "node";
    said.workers = workers;
    said.held = held;
    said.n_held = agent->held.count > 0;
    for (size_t i = 0; i < agent->worker_count; i++) {
        const struct fixture_worker *worker = &agent->workers[i];
        Cortex__V1__WorkerStatus *status = &statuses[said.n_workers];
        cortex__v1__worker_status__init(status);
        status->worker_id = worker->worker_id;
        status->job_id = worker->job_id;
        status->state = worker->state;
        status->failure = worker->failure;
        status->has_on_job_complete = agent->has_callback;
        workers[said.n_workers++] = status;
    }
    uintptr_t call = fixture_call(fixture, "AgentService/Sync", &said);
    const Cortex__V1__SyncReply *reply = fixture_reply(fixture, call);
    assert_non_null(reply);
    take_answer(agent, reply);
}

void fixture_bring_up(struct master_fixture *fixture, struct fixture_agent *agent)
{
    fixture_sync(fixture, agent);
    for (size_t i = 0; i < agent->worker_count; i++) {
        struct fixture_worker *worker = &agent->workers[i];
        if (worker->wish == WISH(RUN)) {
            worker->state = WORKER(RUNNING);
        }
    }
    fixture_sync(fixture, agent);
}

struct fixture_worker *fixture_worker_of(struct fixture_agent *agent, uint64_t job_id)
{
    struct fixture_worker *found = NULL;

    for (size_t i = 0; i < agent->worker_count; i++) {
        if (agent->workers[i].job_id == job_id) {
            assert_null(found);
            found = &agent->workers[i];
        }
    }
    assert_non_null(found);
    return found;
}

static const Cortex__V1__WorkReply *work(struct master_fixture *fixture,
                                         struct fixture_agent *agent,
                                         Cortex__V1__WorkRequest *said)
{
    unsigned char agent_id[ROSTER_AGENT_ID_SIZE];

    memset(agent_id, agent->id, sizeof(agent_id));
    said->agent_id = (ProtobufCBinaryData){sizeof(agent_id), agent_id};
    said->incarnation = agent->incarnation;
    uintptr_t call = fixture_call(fixture, "AgentService/Work", said);
    const Cortex__V1__WorkReply *reply = fixture_reply(fixture, call);
    assert_non_null(reply);
    agent->work_number = reply->work_number;
    return reply;
}

const Cortex__V1__WorkReply *fixture_ask(struct master_fixture *fixture,
                                         struct fixture_agent *agent,
                                         uint64_t worker_id,
                                         uint32_t count)
{
    Cortex__V1__WorkRequest said = CORTEX__V1__WORK_REQUEST__INIT;
    Cortex__V1__WorkAsk ask = CORTEX__V1__WORK_ASK__INIT;
    Cortex__V1__WorkAsk *asks[] = {&ask};

    ask.worker_id = worker_id;
    ask.count = count;
    said.n_asks = 1;
    said.asks = asks;
    return work(fixture, agent, &said);
}

uint32_t fixture_report(struct master_fixture *fixture,
                        struct fixture_agent *agent,
                        const struct fixture_worker *worker,
                        uint64_t index,
                        uint64_t attempt,
                        Cortex__V1__BatchOutcome outcome)
{
    Cortex__V1__WorkRequest said = CORTEX__V1__WORK_REQUEST__INIT;
    Cortex__V1__BatchResult result = CORTEX__V1__BATCH_RESULT__INIT;
    Cortex__V1__BatchResult *results[] = {&result};

    result.worker_id = worker->worker_id;
    result.job_id = worker->job_id;
    result.index = index;
    result.attempt = attempt;
    result.outcome = outcome;
    result.start_ms = fixture->state.wall_ns / 1000000;
    result.duration_us = 2500;
    result.error = (char *)(uintptr_t) "ValueError: it went wrong";
    said.n_results = 1;
    said.results = results;
    return work(fixture, agent, &said)->refused;
}

uint64_t fixture_do_batch(struct master_fixture *fixture,
                          struct fixture_agent *agent,
                          const struct fixture_worker *worker,
                          Cortex__V1__BatchOutcome outcome)
{
    const Cortex__V1__WorkReply *reply =
        fixture_ask(fixture, agent, worker->worker_id, 1);

    assert_int_equal(reply->n_grants, 1);
    assert_int_equal(reply->grants[0]->job_id, worker->job_id);
    uint64_t index = reply->grants[0]->first_index;
    assert_int_equal(
        fixture_report(
            fixture, agent, worker, index, reply->grants[0]->first_attempt, outcome),
        0);
    return index;
}

const Cortex__V1__Job *fixture_job(struct master_fixture *fixture, uint64_t job_id)
{
    Cortex__V1__GetJobRequest said = CORTEX__V1__GET_JOB_REQUEST__INIT;

    said.job_id = job_id;
    uintptr_t call = fixture_call(fixture, "Client/GetJob", &said);
    const Cortex__V1__GetJobReply *reply = fixture_reply(fixture, call);
    assert_non_null(reply);
    return reply->job;
}
