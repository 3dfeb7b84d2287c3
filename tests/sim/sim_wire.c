/* SPDX-License-Identifier: Apache-2.0 */
/* sim_wire.c - what an agent decides, as messages */
#include "tests/sim/sim_wire.h"

#include <string.h>

#include "common/buffer.h"
#include "master/message.h"
#include "proto/agent.pb-c.h"

static void set_agent_id(ProtobufCBinaryData *field, const struct sim_agent *agent)
{
    field->len = sizeof(agent->agent_id);
    field->data = (uint8_t *)memory_strndup((const char *)agent->agent_id, field->len);
}

static Cortex__V1__WorkerStatus *status_of(const struct agent_worker_status *from)
{
    Cortex__V1__WorkerStatus *status =
        message_new(&cortex__v1__worker_status__descriptor);

    status->worker_id = from->worker_id;
    status->job_id = from->job_id;
    status->state = (Cortex__V1__WorkerState)from->state;
    status->failure = (Cortex__V1__WorkerFailure)from->failure;
    message_text(&status->error, from->error ? from->error : "");
    status->has_on_job_complete = from->has_on_job_complete;
    status->hungry = from->hungry;
    status->pid = from->pid;
    status->callback = (Cortex__V1__CallbackProgress)from->callback;
    return status;
}

static Cortex__V1__HeldRun *held_of(const struct agent_held_run *from)
{
    Cortex__V1__HeldRun *held = message_new(&cortex__v1__held_run__descriptor);

    held->worker_id = from->worker_id;
    held->job_id = from->job_id;
    held->first_index = from->first_index;
    held->first_attempt = from->first_attempt;
    held->count = from->count;
    return held;
}

ProtobufCMessage *sim_wire_sync_request(const struct sim_agent *agent,
                                        const struct agent_sync_request *from)
{
    Cortex__V1__SyncRequest *out = message_new(&cortex__v1__sync_request__descriptor);

    set_agent_id(&out->agent_id, agent);
    out->incarnation = agent->incarnation;
    message_text(&out->name, agent->name);
    message_text(&out->release, "sim");
    out->cpu_millis = from->capacity.cpu_millis;
    out->memory_bytes = from->capacity.memory_bytes;
    out->gpus = from->capacity.gpus;
    out->work_number = from->work_number;
    out->desired_version = from->desired_version;
    out->draining = from->draining;
    out->park_ms = from->park_ms;
    out->boot = from->boot;
    for (size_t i = 0; i < from->workers_count; i++) {
        message_append(
            &out->n_workers, (void ***)&out->workers, status_of(&from->workers[i]));
    }
    for (size_t i = 0; i < from->held_count; i++) {
        message_append(&out->n_held, (void ***)&out->held, held_of(&from->held[i]));
    }
    return &out->base;
}

static Cortex__V1__BatchResult *result_of(const struct agent_result *from)
{
    Cortex__V1__BatchResult *result =
        message_new(&cortex__v1__batch_result__descriptor);

    result->worker_id = from->worker_id;
    result->job_id = from->job_id;
    result->index = from->index;
    result->attempt = from->attempt;
    result->outcome = (Cortex__V1__BatchOutcome)from->outcome;
    result->start_ms = from->start_ms;
    result->duration_us = from->duration_us;
    message_text(&result->error, from->error ? from->error : "");
    return result;
}

ProtobufCMessage *sim_wire_work_request(const struct sim_agent *agent,
                                        const struct agent_work_request *from)
{
    Cortex__V1__WorkRequest *out = message_new(&cortex__v1__work_request__descriptor);

    set_agent_id(&out->agent_id, agent);
    out->incarnation = agent->incarnation;
    for (size_t i = 0; i < from->results_count; i++) {
        message_append(
            &out->n_results, (void ***)&out->results, result_of(&from->results[i]));
    }
    for (size_t i = 0; i < from->asks_count; i++) {
        Cortex__V1__WorkAsk *ask = message_new(&cortex__v1__work_ask__descriptor);
        ask->worker_id = from->asks[i].worker_id;
        ask->count = from->asks[i].count;
        message_append(&out->n_asks, (void ***)&out->asks, ask);
    }
    return &out->base;
}

void sim_wire_sync_reply(const ProtobufCMessage *reply, struct agent_sync_reply *out)
{
    const Cortex__V1__SyncReply *from = (const Cortex__V1__SyncReply *)reply;

    *out = (struct agent_sync_reply){.desired_version = from->desired_version,
                                     .lease_ms = from->lease_ms,
                                     .boot = from->boot};
    out->workers = memory_zalloc((from->n_workers + 1) * sizeof(*out->workers));
    out->ready_jobs = memory_zalloc((from->n_ready_jobs + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < from->n_workers; i++) {
        const Cortex__V1__DesiredWorker *worker = from->workers[i];
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

struct agent_grant *sim_wire_work_reply(const ProtobufCMessage *reply,
                                        struct agent_work_reply *out)
{
    const Cortex__V1__WorkReply *from = (const Cortex__V1__WorkReply *)reply;
    struct agent_grant *grants = memory_zalloc((from->n_grants + 1) * sizeof(*grants));
    static const char payloads[1 << 16];

    for (size_t i = 0; i < from->n_grants; i++) {
        const Cortex__V1__Grant *grant = from->grants[i];
        grants[i] = (struct agent_grant){.worker_id = grant->worker_id,
                                         .job_id = grant->job_id,
                                         .first_index = grant->first_index,
                                         .first_attempt = grant->first_attempt,
                                         .sizes = grant->sizes,
                                         .count = grant->n_sizes};
    }
    *out = (struct agent_work_reply){.work_number = from->work_number,
                                     .grants = grants,
                                     .grants_count = from->n_grants,
                                     .payloads = payloads,
                                     .payloads_size = sizeof(payloads),
                                     .refused = from->refused};
    return grants;
}
