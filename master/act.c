/* SPDX-License-Identifier: Apache-2.0 */
/* act.c - how decisions are carried out */
#include "master/act.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/object.h"
#include "common/pool.h"
#include "master/blobs.h"
#include "master/courier.h"
#include "master/dispatch.h"
#include "master/enqueuings.h"
#include "master/joblog.h"
#include "master/payload.h"
#include "master/prepare.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

struct act {
    struct loop *loop;
    struct dispatch dispatch;
    struct pool *pool;
    struct enqueuings *enqueuings;
    struct object_store *inputs;
    struct object_store *own;
    struct blobs *blobs;
    struct payload_cache *payloads;
    struct joblog *joblog;
    struct prepare prepare;
    struct courier *courier;
    char *jobs_url;
};

/* What the pool does for a call. */
struct errand {
    struct act *act;
    struct rpc_call *call;
    struct action *action; /* NULL: the call says all */
};

static struct errand *errand_create(struct act *act, struct rpc_call *call)
{
    struct errand *errand = memory_zalloc(sizeof(*errand));

    errand->act = act;
    errand->call = call;
    return errand;
}

/* Actions */

static int read_stretch(struct act *act,
                        const struct stretch *stretch,
                        struct buffer *out,
                        uint32_t *out_sizes,
                        struct error *err)
{
    char *prefix = prepare_payload_url(&act->prepare, stretch->job_id);
    uint32_t done = 0;
    int result = 0;

    while (done < stretch->count && result == 0) {
        uint32_t count = 0;
        result = payload_cache_read(act->payloads,
                                    prefix,
                                    &stretch->segment,
                                    stretch->first_index + done,
                                    stretch->count - done,
                                    SIZE_MAX,
                                    out,
                                    out_sizes + done,
                                    &count,
                                    err);
        done += count;
    }
    free(prefix);
    return result;
}

// The sizes of all stretches, in order, go into the grants', in order.
static void fill_sizes(Cortex__V1__WorkReply *reply, const uint32_t *sizes)
{
    for (size_t i = 0; i < reply->n_grants; i++) {
        Cortex__V1__Grant *grant = reply->grants[i];
        memcpy(grant->sizes, sizes, grant->n_sizes * sizeof(*sizes));
        sizes += grant->n_sizes;
    }
}

static void reply_work(void *arg)
{
    struct errand *errand = arg;
    struct action *action = errand->action;
    struct buffer payloads = BUFFER_INIT;
    struct error err = {0};
    size_t count = 0;
    size_t done = 0;
    int result = 0;

    for (size_t i = 0; i < action->stretch_count; i++) {
        count += action->stretches[i].count;
    }
    uint32_t *sizes = memory_zalloc(count * sizeof(*sizes));
    for (size_t i = 0; i < action->stretch_count && result == 0; i++) {
        result = read_stretch(
            errand->act, &action->stretches[i], &payloads, sizes + done, &err);
        done += action->stretches[i].count;
    }
    if (result == 0) {
        fill_sizes((Cortex__V1__WorkReply *)action->message, sizes);
        rpc_call_reply(action->call, action->message, payloads.data, payloads.size);
    } else {
        log_error("%s", err.message);
        rpc_call_fail(action->call, &err, 0);
    }
    free(sizes);
    buffer_fini(&payloads);
    action_free(action);
    free(errand);
}

static void read_payload(void *arg)
{
    struct errand *errand = arg;
    struct action *action = errand->action;
    Cortex__V1__GetPayloadReply reply = CORTEX__V1__GET_PAYLOAD_REPLY__INIT;
    struct buffer payload = BUFFER_INIT;
    struct error err = {0};
    uint32_t size;

    if (read_stretch(errand->act, &action->stretches[0], &payload, &size, &err) != 0) {
        rpc_call_fail(action->call, &err, 0);
    } else {
        rpc_call_reply(action->call, &reply.base, payload.data, payload.size);
    }
    buffer_fini(&payload);
    action_free(action);
    free(errand);
}

static void read_project(void *arg)
{
    struct errand *errand = arg;
    const Cortex__V1__GetProjectRequest *said =
        (const Cortex__V1__GetProjectRequest *)rpc_call_message(errand->call);
    Cortex__V1__GetProjectReply reply = CORTEX__V1__GET_PROJECT_REPLY__INIT;
    struct buffer piece = BUFFER_INIT;
    struct error err = {0};
    uint64_t total = 0;

    if (blobs_read(
            errand->act->blobs, said->project_id, said->offset, &piece, &total, &err) !=
        0) {
        rpc_call_fail(errand->call, &err, 0);
    } else {
        reply.size = total;
        rpc_call_reply(errand->call, &reply.base, piece.data, piece.size);
    }
    buffer_fini(&piece);
    free(errand);
}

static void log_appended(void *arg, const struct error *err)
{
    struct rpc_call *call = arg;
    Cortex__V1__AppendLogReply reply = CORTEX__V1__APPEND_LOG_REPLY__INIT;

    if (err) {
        rpc_call_fail(call, err, 0);
    } else {
        rpc_call_reply(call, &reply.base, NULL, 0);
    }
}

// The last chunk's end answers for all: the log takes them in order. Once the last one
// is handed over the call may be answered, and its message gone.
static void append_log(struct act *act, struct rpc_call *call)
{
    const Cortex__V1__AppendLogRequest *said =
        (const Cortex__V1__AppendLogRequest *)rpc_call_message(call);
    size_t size;
    const char *bytes = rpc_call_attachment(call, &size);
    size_t count = said->n_chunks;
    struct error err = {0};

    for (size_t i = 0; i < count; i++) {
        if (said->chunks[i]->size > size) {
            error_set(&err,
                      ERROR_INVALID_ARGUMENT,
                      "chunks: they claim more bytes than came");
            rpc_call_fail(call, &err, 0);
            return;
        }
        size -= said->chunks[i]->size;
    }
    for (size_t i = 0; i < count; i++) {
        size_t part = said->chunks[i]->size;
        bool last = i + 1 == count;
        joblog_append(act->joblog,
                      said->chunks[i]->job_id,
                      bytes,
                      part,
                      last ? log_appended : NULL,
                      call);
        bytes += part;
    }
    if (count == 0) {
        log_appended(call, NULL);
    }
}

static void log_read(void *arg,
                     const void *data,
                     size_t size,
                     uint64_t offset,
                     uint64_t next_offset,
                     bool end,
                     const struct error *err)
{
    struct rpc_call *call = arg;
    Cortex__V1__ReadLogReply reply = CORTEX__V1__READ_LOG_REPLY__INIT;

    if (err) {
        rpc_call_fail(call, err, 0);
        return;
    }
    reply.offset = offset;
    reply.next_offset = next_offset;
    reply.end = end;
    rpc_call_reply(call, &reply.base, data, size);
}

static void read_log(struct act *act, const struct action *action)
{
    const Cortex__V1__ReadLogRequest *said =
        (const Cortex__V1__ReadLogRequest *)rpc_call_message(action->call);
    uint32_t wait_ms =
        said->wait_ms < RPC_PARK_MAX_MS ? said->wait_ms : RPC_PARK_MAX_MS;

    joblog_read(act->joblog,
                action->job_id,
                said->offset,
                wait_ms,
                action->closed,
                log_read,
                action->call);
}

static void close_job(struct act *act, uint64_t job_id)
{
    char *payloads = prepare_payload_url(&act->prepare, job_id);

    joblog_close(act->joblog, job_id);
    payload_cache_forget(act->payloads, payloads);
    free(payloads);
}

static void forget_job(void *arg)
{
    struct errand *errand = arg;
    struct act *act = errand->act;
    struct error err = {0};

    if (prepare_forget(&act->prepare, errand->action->job_id, &err) != 0) {
        log_warning("cannot remove the files of a job: %s", err.message);
    }
    joblog_forget(act->joblog, errand->action->job_id);
    action_free(errand->action);
    free(errand);
}

// Hands an action to the pool. What it names is freed there.
static void to_pool(struct act *act, struct action *action, pool_task_fn task)
{
    struct errand *errand = errand_create(act, action->call);

    errand->action = action;
    pool_run(act->pool, task, errand);
}

void act_carry_out(void *arg, struct action *action)
{
    struct act *act = arg;

    switch (action->type) {
    case ACTION_REPLY:
        rpc_call_reply(action->call, action->message, NULL, 0);
        break;
    case ACTION_WORK_REPLY:
        if (action->stretch_count > 0) {
            to_pool(act, action, reply_work);
            return;
        }
        rpc_call_reply(action->call, action->message, NULL, 0);
        break;
    case ACTION_FAIL:
        rpc_call_fail(action->call, action->error, action->retry_after_ms);
        break;
    case ACTION_ENQUEUE:
        enqueuings_start(act->enqueuings, act->loop, action);
        break;
    case ACTION_ENQUEUE_CANCEL:
        enqueuings_cancel(act->enqueuings, action->job_id);
        break;
    case ACTION_LOG:
        joblog_append(act->joblog,
                      action->job_id,
                      action->text,
                      strlen(action->text),
                      NULL,
                      NULL);
        break;
    case ACTION_JOB_CLOSE:
        close_job(act, action->job_id);
        break;
    case ACTION_LOG_READ:
        read_log(act, action);
        break;
    case ACTION_LOG_APPEND:
        append_log(act, action->call);
        break;
    case ACTION_PROJECT_READ:
        pool_run(act->pool, read_project, errand_create(act, action->call));
        break;
    case ACTION_PAYLOAD_READ:
        to_pool(act, action, read_payload);
        return;
    case ACTION_FORGET_JOB:
        to_pool(act, action, forget_job);
        return;
    case ACTION_DEAD_LETTER:
        courier_send(act->courier, act->loop, action);
        return;
    }
    action_free(action);
}

/* Life */

static int
open_stores(struct act *act, const struct act_options *options, struct error *err)
{
    struct object_options own = {.allow_file = true};
    struct object_options inputs = {.allow_file = options->allow_file};

    return object_store_create(&own, &act->own, err) != 0 ||
                   object_store_create(&inputs, &act->inputs, err) != 0
               ? -1
               : 0;
}

static int
open_files(struct act *act, const struct act_options *options, struct error *err)
{
    char *jobs = fs_join(options->state_folder, "jobs");
    char *incoming = fs_join(options->state_folder, "incoming");
    char *projects = fs_join(options->state_folder, "projects");
    char *projects_url = memory_format("file://%s", projects);
    int result = -1;

    if (fs_make_folder(jobs, 0700, err) == 0 &&
        fs_make_folder(incoming, 0700, err) == 0 &&
        joblog_create(jobs, &act->joblog, err) == 0) {
        act->jobs_url = memory_format("file://%s", jobs);
        fs_remove_unfinished(projects);
        act->blobs = blobs_create(act->own, projects_url, incoming);
        act->payloads = payload_cache_create(act->own, ACT_PAYLOAD_CACHE_SIZE);
        result = 0;
    }
    free(jobs);
    free(incoming);
    free(projects);
    free(projects_url);
    return result;
}

int act_create(const struct act_options *options,
               struct act **out_act,
               struct error *err)
{
    struct act *act = memory_zalloc(sizeof(*act));
    struct submission_limits limits = SUBMISSION_LIMITS_DEFAULT;

    if (open_stores(act, options, err) != 0 || open_files(act, options, err) != 0 ||
        pool_create(ACT_POOL_THREADS, &act->pool, err) != 0 ||
        enqueuings_create(&act->prepare, act->joblog, &act->enqueuings, err) != 0 ||
        courier_create(act->pool, act->payloads, &act->prepare, &act->courier, err) !=
            0) {
        act_destroy(act);
        return -1;
    }
    act->prepare = (struct prepare){.inputs = act->inputs,
                                    .own = act->own,
                                    .jobs_url = act->jobs_url,
                                    .blobs = act->blobs,
                                    .limits = limits};
    dispatch_init(&act->dispatch, act->pool, &act->prepare, options->admission);
    *out_act = act;
    return 0;
}

void act_set_loop(struct act *act, struct loop *loop)
{
    act->loop = loop;
    act->dispatch.loop = loop;
}

void act_request(struct act *act, const struct route *route, struct rpc_call *call)
{
    dispatch_request(&act->dispatch, route, call);
}

void act_leave(struct act *act)
{
    enqueuings_stop(act->enqueuings);
    joblog_release(act->joblog);
}

void act_destroy(struct act *act)
{
    if (!act) {
        return;
    }
    enqueuings_destroy(act->enqueuings);
    pool_destroy(act->pool);
    courier_destroy(act->courier);
    joblog_destroy(act->joblog);
    if (act->payloads) {
        payload_cache_destroy(act->payloads);
    }
    blobs_destroy(act->blobs);
    if (act->inputs) {
        object_store_destroy(act->inputs);
    }
    if (act->own) {
        object_store_destroy(act->own);
    }
    free(act->jobs_url);
    free(act);
}
