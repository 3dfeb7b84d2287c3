/* SPDX-License-Identifier: Apache-2.0 */
/* act.c - how decisions are carried out */
#include "master/act.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/object.h"
#include "common/pool.h"
#include "master/audit.h"
#include "master/blobs.h"
#include "master/courier.h"
#include "master/enqueuer.h"
#include "master/joblog.h"
#include "master/message.h"
#include "master/payload.h"
#include "master/prepare.h"
#include "master/submit.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

#define BODY_SIZE_MAX   (10u << 20)
#define REFUSED_LINE_MS 1000

struct act {
    struct loop *loop;
    struct admission *admission; /* NULL: there are no keys */
    struct keys *keys;           /* its own */
    struct pool *pool;
    struct pool *enqueuers;
    struct object_store *inputs;
    struct object_store *own;
    struct blobs *blobs;
    struct payload_cache *payloads;
    struct joblog *joblog;
    struct prepare prepare;
    struct courier *courier;
    char *jobs_url;
    _Atomic int64_t refused_ms; /* when a line last told of a refused command */
    pthread_mutex_t lock;       /* of what follows */
    struct enqueuing *enqueuings;
    bool ending;
};

/* A request on its way. */
struct errand {
    struct act *act;
    const struct route *route;
    struct rpc_call *call;
    void *prepared;
    struct action *action;
    ProtobufCMessage *reply; /* to what was carried out outside of the loop */
};

static struct errand *errand_create(struct act *act, struct rpc_call *call)
{
    struct errand *errand = memory_zalloc(sizeof(*errand));

    errand->act = act;
    errand->call = call;
    return errand;
}

/* Requests: from nng's threads, over the pool, to the loop */

static void free_prepared(struct errand *errand)
{
    if (errand->route->prepare == ROUTE_SUBMIT) {
        submit_prepared_free(errand->prepared);
    } else if (errand->route->prepare == ROUTE_DEPLOY) {
        deploy_prepared_free(errand->prepared);
    }
}

static struct caller caller_of(const struct act *act, const struct rpc_call *call)
{
    return (struct caller){.role = rpc_call_role(call),
                           .key = act->keys ? rpc_call_key(call) : NULL,
                           .keys = act->keys,
                           .acting = rpc_call_acting_role(call),
                           .acting_apis = rpc_call_acting_apis(call)};
}

static int decide(struct state *state, void *arg, struct error *err)
{
    struct errand *errand = arg;
    struct request request = {
        .caller = caller_of(errand->act, errand->call),
        .call = errand->call,
        .request_id = rpc_call_request_id(errand->call),
        .message = rpc_call_message(errand->call),
        .prepared = errand->prepared,
    };

    request.attachment = rpc_call_attachment(errand->call, &request.attachment_size);
    int result = route_handle(state, errand->route, &request, err);
    free_prepared(errand);
    free(errand);
    return result;
}

static void prepare_submit(void *arg)
{
    struct errand *errand = arg;
    size_t size;
    const void *body = rpc_call_attachment(errand->call, &size);

    errand->prepared = prepare_submission(&errand->act->prepare, body, size);
    loop_post(errand->act->loop, decide, errand);
}

static void prepare_deploy(void *arg)
{
    struct errand *errand = arg;
    const Cortex__V1__DeployRequest *said =
        (const Cortex__V1__DeployRequest *)rpc_call_message(errand->call);

    errand->prepared = prepare_deployment(
        &errand->act->prepare, said->config_file_name, said->config, said->project_id);
    loop_post(errand->act->loop, decide, errand);
}

/* What was carried out outside of the loop is put on record there, and answered once
 * that is on disk. */
static int conclude(struct state *state, void *arg, struct error *err)
{
    struct errand *errand = arg;
    const struct request request = {
        .caller = caller_of(errand->act, errand->call),
        .call = errand->call,
        .request_id = rpc_call_request_id(errand->call),
        .message = rpc_call_message(errand->call),
    };
    int result = 0;

    if (request.caller.key) {
        result = audit_command(state, errand->route->method, &request, err);
    }
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);
    action->call = errand->call;
    action->message = errand->reply;
    free(errand);
    return result;
}

static void put_project(void *arg)
{
    struct errand *errand = arg;
    const Cortex__V1__PutProjectRequest *said =
        (const Cortex__V1__PutProjectRequest *)rpc_call_message(errand->call);
    Cortex__V1__PutProjectReply *reply =
        message_new(&cortex__v1__put_project_reply__descriptor);
    struct error err = {0};
    bool complete = false;
    uint64_t next = 0;
    size_t size;
    const void *piece = rpc_call_attachment(errand->call, &size);

    if (blobs_put(errand->act->blobs,
                  said->project_id,
                  said->offset,
                  said->size,
                  piece,
                  size,
                  &complete,
                  &next,
                  &err) != 0) {
        rpc_call_fail(errand->call, &err, 0);
    } else {
        reply->complete = complete;
        reply->next_offset = next;
        if (complete && size > 0) {
            errand->reply = &reply->base;
            loop_post(errand->act->loop, conclude, errand);
            return;
        }
        rpc_call_reply(errand->call, &reply->base, NULL, 0);
    }
    codec_message_free(&reply->base);
    free(errand);
}

static void add_path(void *arg, const char *url)
{
    Cortex__V1__DryRunReply *reply = arg;

    message_append(&reply->n_paths, (void ***)&reply->paths, memory_strdup(url));
}

static void dry_run(void *arg)
{
    struct errand *errand = arg;
    const Cortex__V1__DryRunRequest *said =
        (const Cortex__V1__DryRunRequest *)rpc_call_message(errand->call);
    Cortex__V1__DryRunReply *reply =
        message_new(&cortex__v1__dry_run_reply__descriptor);
    struct buffer token = BUFFER_INIT;
    struct error err = {0};
    size_t size;
    const void *body = rpc_call_attachment(errand->call, &size);

    if (prepare_dry_run(&errand->act->prepare,
                        body,
                        size,
                        said->page_token,
                        add_path,
                        reply,
                        &token,
                        &err) != 0) {
        rpc_call_fail(errand->call, &err, 0);
    } else {
        message_text(&reply->next_page_token, buffer_text(&token));
        rpc_call_reply(errand->call, &reply->base, NULL, 0);
    }
    codec_message_free(&reply->base);
    buffer_fini(&token);
    free(errand);
}

// A dry run reads nothing for an api that is not there.
static int check_dry_run(struct state *state, void *arg, struct error *err)
{
    struct errand *errand = arg;
    const Cortex__V1__DryRunRequest *said =
        (const Cortex__V1__DryRunRequest *)rpc_call_message(errand->call);
    struct caller caller = caller_of(errand->act, errand->call);
    struct error failure = {0};

    (void)err;
    if (submit_find_api(state, &caller, said->api_name, &failure)) {
        pool_run(errand->act->pool, dry_run, errand);
    } else {
        rpc_call_fail(errand->call, &failure, 0);
        free(errand);
    }
    return 0;
}

static void join(void *arg)
{
    struct errand *errand = arg;
    const Cortex__V1__JoinRequest *said =
        (const Cortex__V1__JoinRequest *)rpc_call_message(errand->call);
    struct error err = {0};

    if (admission_join(errand->act->admission,
                       rpc_call_key(errand->call),
                       rpc_call_token(errand->call),
                       said->name,
                       &err) != 0) {
        rpc_call_fail(errand->call, &err, 0);
        free(errand);
        return;
    }
    Cortex__V1__JoinReply *reply = message_new(&cortex__v1__join_reply__descriptor);
    errand->reply = &reply->base;
    loop_post(errand->act->loop, conclude, errand);
}

static int rotate_key(struct act *act, const struct rpc_call *call, struct error *err)
{
    const Cortex__V1__RotateKeyRequest *said =
        (const Cortex__V1__RotateKeyRequest *)rpc_call_message(call);

    if (!act->admission) {
        return error_set(
            err, ERROR_FAILED_PRECONDITION, "this master has no keys to change");
    }
    if (said->next_key.len != KEY_SIZE) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "next_key: got %zu bytes, expected %d",
                         said->next_key.len,
                         KEY_SIZE);
    }
    return admission_rotate(
        act->admission, rpc_call_key(call), said->next_key.data, err);
}

static void rotate(void *arg)
{
    struct errand *errand = arg;
    struct error err = {0};

    if (rotate_key(errand->act, errand->call, &err) != 0) {
        rpc_call_fail(errand->call, &err, 0);
        free(errand);
        return;
    }
    Cortex__V1__RotateKeyReply *reply =
        message_new(&cortex__v1__rotate_key_reply__descriptor);
    errand->reply = &reply->base;
    loop_post(errand->act->loop, conclude, errand);
}

/* At most one line a second, so that nobody fills the disk with them. */
static void
tell_refused(struct act *act, const struct route *route, const struct rpc_call *call)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t last_ms = atomic_load(&act->refused_ms);
    char key[KEY_TEXT_SIZE] = "none";

    if (now_ms - last_ms < REFUSED_LINE_MS ||
        !atomic_compare_exchange_strong(&act->refused_ms, &last_ms, now_ms)) {
        return;
    }
    if (rpc_call_key(call)) {
        key_public_format(rpc_call_key(call), key);
    }
    log_warning("refused: %s by role=%s key=%s from %s",
                route->method,
                key_role_name(rpc_call_role(call)),
                key,
                rpc_call_peer(call));
}

void act_request(struct act *act, const struct route *route, struct rpc_call *call)
{
    struct caller caller = caller_of(act, call);
    struct errand *errand;
    struct error err = {0};
    size_t size;

    (void)rpc_call_attachment(call, &size);
    if (route_permit(route, &caller, &err) != 0) {
        tell_refused(act, route, call);
        rpc_call_fail(call, &err, 0);
        return;
    }
    if (size > route->attachment_max) {
        error_set(&err,
                  ERROR_OUT_OF_RANGE,
                  "the request has %zu bytes; the limit is %zu",
                  size,
                  route->attachment_max);
        rpc_call_fail(call, &err, 0);
        return;
    }
    errand = errand_create(act, call);
    errand->route = route;
    switch (route->prepare) {
    case ROUTE_DIRECT:
        loop_post(act->loop, decide, errand);
        break;
    case ROUTE_SUBMIT:
        pool_run(act->pool, prepare_submit, errand);
        break;
    case ROUTE_DEPLOY:
        pool_run(act->pool, prepare_deploy, errand);
        break;
    case ROUTE_PROJECT:
        pool_run(act->pool, put_project, errand);
        break;
    case ROUTE_DRY_RUN:
        loop_post(act->loop, check_dry_run, errand);
        break;
    case ROUTE_JOIN: // only a session made with a token is in no role
        pool_run(act->pool, join, errand);
        break;
    case ROUTE_ROTATE:
        pool_run(act->pool, rotate, errand);
        break;
    }
}

/* Enqueuing: on a thread of its own, segment by segment */

struct enqueuing {
    struct enqueuing *next;
    struct act *act;
    uint64_t job_id;
    struct segment *last; /* owned; NULL: from the start */
    bool stopped;         /* under act's lock */
};

/* A segment on its way through the loop, and whoever waits for it. */
struct crossing {
    uint64_t job_id;
    struct segment segment;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    bool going_on;
};

static int commit_segment(struct state *state, void *arg, struct error *err)
{
    struct crossing *crossing = arg;
    bool going_on;
    int result =
        submit_segment(state, crossing->job_id, &crossing->segment, &going_on, err);

    // Its waiter goes on before the commit: the next segment is only written, and
    // should this commit fail, the process ends.
    pthread_mutex_lock(&crossing->lock);
    crossing->over = true;
    crossing->going_on = result == 0 && going_on;
    pthread_cond_signal(&crossing->changed);
    pthread_mutex_unlock(&crossing->lock);
    return result;
}

static int cross(void *arg,
                 const struct payload_segment *payload,
                 const struct enqueuer_position *after,
                 struct error *err)
{
    struct enqueuing *enqueuing = arg;
    struct crossing crossing = {.job_id = enqueuing->job_id,
                                .segment = {.payload = *payload, .after = *after}};

    pthread_mutex_init(&crossing.lock, NULL);
    pthread_cond_init(&crossing.changed, NULL);
    loop_post(enqueuing->act->loop, commit_segment, &crossing);
    pthread_mutex_lock(&crossing.lock);
    while (!crossing.over) {
        pthread_cond_wait(&crossing.changed, &crossing.lock);
    }
    pthread_mutex_unlock(&crossing.lock);
    pthread_cond_destroy(&crossing.changed);
    pthread_mutex_destroy(&crossing.lock);
    return crossing.going_on
               ? 0
               : error_set(err, ERROR_CANCELLED, "the job is no longer enqueuing");
}

static void log_line(void *arg, const char *line)
{
    struct enqueuing *enqueuing = arg;
    char *whole = memory_format("%s\n", line);

    joblog_append(
        enqueuing->act->joblog, enqueuing->job_id, whole, strlen(whole), NULL, NULL);
    free(whole);
}

static bool is_stopped(void *arg)
{
    struct enqueuing *enqueuing = arg;

    pthread_mutex_lock(&enqueuing->act->lock);
    bool stopped = enqueuing->stopped || enqueuing->act->ending;
    pthread_mutex_unlock(&enqueuing->act->lock);
    return stopped;
}

/* How an enqueuing ended, on its way to the loop. */
struct ending {
    uint64_t job_id;
    bool failed;
    struct error error;
};

static int end_enqueuing(struct state *state, void *arg, struct error *err)
{
    struct ending *ending = arg;
    int result = submit_enqueued(
        state, ending->job_id, ending->failed ? &ending->error : NULL, err);

    free(ending);
    return result;
}

static int run_enqueuer(struct enqueuing *enqueuing, struct error *err)
{
    struct act *act = enqueuing->act;
    struct buffer body = BUFFER_INIT;
    char *body_url = prepare_body_url(&act->prepare, enqueuing->job_id);
    char *payload_url = prepare_payload_url(&act->prepare, enqueuing->job_id);
    uint64_t batches;
    int result = object_get(
        act->own, body_url, 0, UINT64_MAX, BODY_SIZE_MAX, NULL, &body, NULL, err);

    if (result == 0) {
        struct enqueuer_options options = {
            .body = body.data,
            .body_size = body.size,
            .limits = act->prepare.limits,
            .inputs = act->inputs,
            .payloads = act->own,
            .payload_prefix_url = payload_url,
            .last = enqueuing->last ? &enqueuing->last->payload : NULL,
            .after = enqueuing->last ? &enqueuing->last->after : NULL,
        };
        struct enqueuer_sink sink = {
            .arg = enqueuing, .segment = cross, .log = log_line, .stopped = is_stopped};
        result = enqueuer_run(&options, &sink, &batches, err);
    }
    buffer_fini(&body);
    free(body_url);
    free(payload_url);
    return result;
}

static void forget_enqueuing(struct enqueuing *enqueuing)
{
    struct act *act = enqueuing->act;

    pthread_mutex_lock(&act->lock);
    struct enqueuing **link = &act->enqueuings;
    while (*link != enqueuing) {
        link = &(*link)->next;
    }
    *link = enqueuing->next;
    pthread_mutex_unlock(&act->lock);
    free(enqueuing->last);
    free(enqueuing);
}

static void enqueue(void *arg)
{
    struct enqueuing *enqueuing = arg;
    struct ending *ending = memory_zalloc(sizeof(*ending));

    ending->job_id = enqueuing->job_id;
    ending->failed = run_enqueuer(enqueuing, &ending->error) != 0;
    // One that was told to stop has nothing to report: its job is over, or goes on
    // with the master's next start.
    if (is_stopped(enqueuing)) {
        free(ending);
    } else {
        loop_post(enqueuing->act->loop, end_enqueuing, ending);
    }
    forget_enqueuing(enqueuing);
}

static void start_enqueuing(struct act *act, struct action *action)
{
    struct enqueuing *enqueuing = memory_zalloc(sizeof(*enqueuing));

    enqueuing->act = act;
    enqueuing->job_id = action->job_id;
    enqueuing->last = action->last;
    action->last = NULL;
    pthread_mutex_lock(&act->lock);
    enqueuing->next = act->enqueuings;
    act->enqueuings = enqueuing;
    pthread_mutex_unlock(&act->lock);
    pool_run(act->enqueuers, enqueue, enqueuing);
}

static void cancel_enqueuing(struct act *act, uint64_t job_id)
{
    pthread_mutex_lock(&act->lock);
    for (struct enqueuing *at = act->enqueuings; at; at = at->next) {
        at->stopped = at->stopped || at->job_id == job_id;
    }
    pthread_mutex_unlock(&act->lock);
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
        start_enqueuing(act, action);
        break;
    case ACTION_ENQUEUE_CANCEL:
        cancel_enqueuing(act, action->job_id);
        break;
    case ACTION_LOG:
        joblog_append(act->joblog,
                      action->job_id,
                      action->text,
                      strlen(action->text),
                      NULL,
                      NULL);
        break;
    case ACTION_LOG_CLOSE:
        joblog_close(act->joblog, action->job_id);
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

    pthread_mutex_init(&act->lock, NULL);
    act->admission = options->admission;
    act->keys = act->admission ? admission_keys(act->admission) : NULL;
    if (open_stores(act, options, err) != 0 || open_files(act, options, err) != 0 ||
        pool_create(ACT_POOL_THREADS, &act->pool, err) != 0 ||
        pool_create(ACT_ENQUEUE_THREADS, &act->enqueuers, err) != 0 ||
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
    *out_act = act;
    return 0;
}

void act_set_loop(struct act *act, struct loop *loop)
{
    act->loop = loop;
}

void act_leave(struct act *act)
{
    pthread_mutex_lock(&act->lock);
    act->ending = true;
    pthread_mutex_unlock(&act->lock);
    joblog_release(act->joblog);
}

void act_destroy(struct act *act)
{
    if (!act) {
        return;
    }
    pthread_mutex_lock(&act->lock);
    act->ending = true;
    pthread_mutex_unlock(&act->lock);
    pool_destroy(act->enqueuers);
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
    pthread_mutex_destroy(&act->lock);
    free(act);
}
