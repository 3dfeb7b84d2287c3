/* SPDX-License-Identifier: Apache-2.0 */
/* messages.c - how what the agent says and hears stands in the protocol's messages */
#include "agent/messages.h"

#include <stdlib.h>

#include "common/buffer.h"

/* The domain's numbers are the wire's, so they are converted by a cast. */
#define SAME(ours, wire) _Static_assert((int)(ours) == (int)(wire), "numbers differ")
SAME(AGENT_WORKER_INITIALIZING, CORTEX__V1__WORKER_STATE__WORKER_STATE_INITIALIZING);
SAME(AGENT_WORKER_COMPLETED, CORTEX__V1__WORKER_STATE__WORKER_STATE_COMPLETED);
SAME(AGENT_WORKER_FAILED, CORTEX__V1__WORKER_STATE__WORKER_STATE_FAILED);
SAME(AGENT_FAILURE_SETUP, CORTEX__V1__WORKER_FAILURE__WORKER_FAILURE_SETUP);
SAME(AGENT_FAILURE_CALLBACK, CORTEX__V1__WORKER_FAILURE__WORKER_FAILURE_CALLBACK);
SAME(AGENT_FAILURE_MACHINE, CORTEX__V1__WORKER_FAILURE__WORKER_FAILURE_MACHINE);
SAME(AGENT_CALLBACK_NOT_BEGUN,
     CORTEX__V1__CALLBACK_PROGRESS__CALLBACK_PROGRESS_NOT_BEGUN);
SAME(AGENT_CALLBACK_RETURNED,
     CORTEX__V1__CALLBACK_PROGRESS__CALLBACK_PROGRESS_RETURNED);
SAME(AGENT_WISH_RUN, CORTEX__V1__WORKER_WISH__WORKER_WISH_RUN);
SAME(AGENT_WISH_STOP, CORTEX__V1__WORKER_WISH__WORKER_WISH_STOP);
SAME(HAND_SUCCEEDED, CORTEX__V1__BATCH_OUTCOME__BATCH_OUTCOME_SUCCEEDED);
SAME(HAND_RETURNED, CORTEX__V1__BATCH_OUTCOME__BATCH_OUTCOME_RETURNED);

static void pack_status(const struct agent_worker_status *from,
                        Cortex__V1__WorkerStatus *out)
{
    cortex__v1__worker_status__init(out);
    out->worker_id = from->worker_id;
    out->job_id = from->job_id;
    out->state = (Cortex__V1__WorkerState)from->state;
    out->failure = (Cortex__V1__WorkerFailure)from->failure;
    if (from->error != NULL) {
        out->error = from->error;
    }
    out->has_on_job_complete = from->has_on_job_complete;
    out->hungry = from->hungry;
    out->pid = from->pid;
    out->callback = (Cortex__V1__CallbackProgress)from->callback;
}

static void pack_held(const struct agent_held_run *from, Cortex__V1__HeldRun *out)
{
    cortex__v1__held_run__init(out);
    out->worker_id = from->worker_id;
    out->job_id = from->job_id;
    out->first_index = from->first_index;
    out->first_attempt = from->first_attempt;
    out->count = from->count;
}

void messages_sync_pack(const struct agent_sync_request *from,
                        Cortex__V1__SyncRequest *out)
{
    Cortex__V1__WorkerStatus *statuses =
        memory_zalloc((from->workers_count + 1) * sizeof(*statuses));
    Cortex__V1__HeldRun *held = memory_zalloc((from->held_count + 1) * sizeof(*held));

    cortex__v1__sync_request__init(out);
    out->cpu_millis = from->capacity.cpu_millis;
    out->memory_bytes = from->capacity.memory_bytes;
    out->gpus = from->capacity.gpus;
    out->work_number = from->work_number;
    out->desired_version = from->desired_version;
    out->draining = from->draining;
    out->park_ms = from->park_ms;
    out->boot = from->boot;
    out->n_workers = from->workers_count;
    out->n_held = from->held_count;
    out->workers =
        memory_zalloc((from->workers_count + 1) * sizeof(Cortex__V1__WorkerStatus *));
    out->held = memory_zalloc((from->held_count + 1) * sizeof(Cortex__V1__HeldRun *));
    out->workers[0] = statuses;
    out->held[0] = held;
    for (size_t i = 0; i < from->workers_count; i++) {
        pack_status(&from->workers[i], &statuses[i]);
        out->workers[i] = &statuses[i];
    }
    for (size_t i = 0; i < from->held_count; i++) {
        pack_held(&from->held[i], &held[i]);
        out->held[i] = &held[i];
    }
}

void messages_sync_fini(Cortex__V1__SyncRequest *request)
{
    free(request->workers[0]);
    free(request->workers);
    free(request->held[0]);
    free(request->held);
}

void messages_sync_unpack(const Cortex__V1__SyncReply *from,
                          struct agent_sync_reply *out)
{
    out->desired_version = from->desired_version;
    out->lease_ms = from->lease_ms;
    out->boot = from->boot;
    out->workers = memory_zalloc((from->n_workers + 1) * sizeof(*out->workers));
    out->ready_jobs = memory_zalloc((from->n_ready_jobs + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < from->n_workers; i++) {
        const Cortex__V1__DesiredWorker *worker = from->workers[i];

        if (worker->wish < CORTEX__V1__WORKER_WISH__WORKER_WISH_RUN ||
            worker->wish > CORTEX__V1__WORKER_WISH__WORKER_WISH_STOP) {
            continue; // of a newer master; not named is to be stopped
        }
        out->workers[out->workers_count++] = (struct agent_desired_worker){
            .worker_id = worker->worker_id,
            .job_id = worker->job_id,
            .wish = (enum agent_wish)worker->wish,
            .share = {.cpu_millis = worker->cpu_millis,
                      .memory_bytes = worker->memory_bytes,
                      .gpus = worker->gpus},
            .closes_job = worker->closes_job};
    }
    for (size_t i = 0; i < from->n_ready_jobs; i++) {
        out->ready_jobs[out->ready_jobs_count++] = from->ready_jobs[i];
    }
}

static void pack_result(const struct agent_result *from, Cortex__V1__BatchResult *out)
{
    cortex__v1__batch_result__init(out);
    out->worker_id = from->worker_id;
    out->job_id = from->job_id;
    out->index = from->index;
    out->attempt = from->attempt;
    out->outcome = (Cortex__V1__BatchOutcome)from->outcome;
    out->start_ms = from->start_ms;
    out->duration_us = from->duration_us;
    if (from->error != NULL) {
        out->error = from->error;
    }
}

static void pack_ask(const struct agent_ask *from, Cortex__V1__WorkAsk *out)
{
    cortex__v1__work_ask__init(out);
    out->worker_id = from->worker_id;
    out->count = from->count;
}

void messages_work_pack(const struct agent_work_request *from,
                        Cortex__V1__WorkRequest *out)
{
    Cortex__V1__BatchResult *results =
        memory_zalloc((from->results_count + 1) * sizeof(*results));
    Cortex__V1__WorkAsk *asks = memory_zalloc((from->asks_count + 1) * sizeof(*asks));

    cortex__v1__work_request__init(out);
    out->n_results = from->results_count;
    out->n_asks = from->asks_count;
    out->results =
        memory_zalloc((from->results_count + 1) * sizeof(Cortex__V1__BatchResult *));
    out->asks = memory_zalloc((from->asks_count + 1) * sizeof(Cortex__V1__WorkAsk *));
    out->results[0] = results;
    out->asks[0] = asks;
    for (size_t i = 0; i < from->results_count; i++) {
        pack_result(&from->results[i], &results[i]);
        out->results[i] = &results[i];
    }
    for (size_t i = 0; i < from->asks_count; i++) {
        pack_ask(&from->asks[i], &asks[i]);
        out->asks[i] = &asks[i];
    }
}

void messages_work_fini(Cortex__V1__WorkRequest *request)
{
    free(request->results[0]);
    free(request->results);
    free(request->asks[0]);
    free(request->asks);
}

int messages_work_unpack(const Cortex__V1__WorkReply *from,
                         const void *payloads,
                         size_t size,
                         struct agent_grant **out_grants,
                         struct agent_work_reply *out,
                         struct error *err)
{
    struct agent_grant *grants = memory_zalloc((from->n_grants + 1) * sizeof(*grants));
    uint64_t total = 0;

    *out_grants = grants;
    for (size_t i = 0; i < from->n_grants; i++) {
        const Cortex__V1__Grant *grant = from->grants[i];

        for (size_t k = 0; k < grant->n_sizes; k++) {
            total += grant->sizes[k];
        }
        grants[i] = (struct agent_grant){.worker_id = grant->worker_id,
                                         .job_id = grant->job_id,
                                         .first_index = grant->first_index,
                                         .first_attempt = grant->first_attempt,
                                         .sizes = grant->sizes,
                                         .count = grant->n_sizes};
    }
    if (total != size) {
        return error_set(err,
                         ERROR_INTERNAL,
                         "Work reply: %zu bytes of payload, expected %llu",
                         size,
                         (unsigned long long)total);
    }
    *out = (struct agent_work_reply){.work_number = from->work_number,
                                     .grants = grants,
                                     .grants_count = from->n_grants,
                                     .payloads = payloads,
                                     .payloads_size = size,
                                     .refused = from->refused};
    return 0;
}
