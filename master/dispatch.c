/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c - how a request comes to be decided */
#include "master/dispatch.h"

#include <stdlib.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/log.h"
#include "master/audit.h"
#include "master/message.h"
#include "master/submit.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

#define REFUSED_LINE_MS 1000

/* A request on its way. */
struct errand {
    struct dispatch *dispatch;
    const struct route *route;
    struct rpc_call *call;
    void *prepared;
    ProtobufCMessage *reply; /* to what was carried out outside of the loop */
};

void dispatch_init(struct dispatch *dispatch,
                   struct pool *pool,
                   const struct prepare *prepare,
                   struct admission *admission)
{
    *dispatch = (struct dispatch){
        .pool = pool,
        .prepare = prepare,
        .admission = admission,
        .keys = admission ? admission_keys(admission) : NULL,
    };
}

static void free_prepared(struct errand *errand)
{
    if (errand->route->prepare == ROUTE_SUBMIT) {
        submit_prepared_free(errand->prepared);
    } else if (errand->route->prepare == ROUTE_DEPLOY) {
        deploy_prepared_free(errand->prepared);
    }
}

static struct caller caller_of(const struct dispatch *dispatch,
                               const struct rpc_call *call)
{
    return (struct caller){.role = rpc_call_role(call),
                           .key = dispatch->keys ? rpc_call_key(call) : NULL,
                           .keys = dispatch->keys,
                           .acting = rpc_call_acting_role(call),
                           .acting_apis = rpc_call_acting_apis(call)};
}

static int decide(struct state *state, void *arg, struct error *err)
{
    struct errand *errand = arg;
    struct request request = {
        .caller = caller_of(errand->dispatch, errand->call),
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

    errand->prepared = prepare_submission(errand->dispatch->prepare, body, size);
    loop_post(errand->dispatch->loop, decide, errand);
}

static void prepare_deploy(void *arg)
{
    struct errand *errand = arg;
    const Cortex__V1__DeployRequest *said =
        (const Cortex__V1__DeployRequest *)rpc_call_message(errand->call);

    errand->prepared = prepare_deployment(errand->dispatch->prepare,
                                          said->config_file_name,
                                          said->config,
                                          said->project_id);
    loop_post(errand->dispatch->loop, decide, errand);
}

/* What was carried out outside of the loop is put on record there, and answered once
 * that is on disk. */
static int conclude(struct state *state, void *arg, struct error *err)
{
    struct errand *errand = arg;
    const struct request request = {
        .caller = caller_of(errand->dispatch, errand->call),
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

    if (blobs_put(errand->dispatch->prepare->blobs,
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
            loop_post(errand->dispatch->loop, conclude, errand);
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

    if (prepare_dry_run(errand->dispatch->prepare,
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
    struct caller caller = caller_of(errand->dispatch, errand->call);
    struct error failure = {0};

    (void)err;
    if (submit_find_api(state, &caller, said->api_name, &failure)) {
        pool_run(errand->dispatch->pool, dry_run, errand);
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

    if (admission_join(errand->dispatch->admission,
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
    loop_post(errand->dispatch->loop, conclude, errand);
}

static int
rotate_key(struct dispatch *dispatch, const struct rpc_call *call, struct error *err)
{
    const Cortex__V1__RotateKeyRequest *said =
        (const Cortex__V1__RotateKeyRequest *)rpc_call_message(call);

    if (!dispatch->admission) {
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
        dispatch->admission, rpc_call_key(call), said->next_key.data, err);
}

static void rotate(void *arg)
{
    struct errand *errand = arg;
    struct error err = {0};

    if (rotate_key(errand->dispatch, errand->call, &err) != 0) {
        rpc_call_fail(errand->call, &err, 0);
        free(errand);
        return;
    }
    Cortex__V1__RotateKeyReply *reply =
        message_new(&cortex__v1__rotate_key_reply__descriptor);
    errand->reply = &reply->base;
    loop_post(errand->dispatch->loop, conclude, errand);
}

/* At most one line a second, so that nobody fills the disk with them. */
static void tell_refused(struct dispatch *dispatch,
                         const struct route *route,
                         const struct rpc_call *call)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t last_ms = atomic_load(&dispatch->refused_ms);
    char key[KEY_TEXT_SIZE] = "none";

    if (now_ms - last_ms < REFUSED_LINE_MS ||
        !atomic_compare_exchange_strong(&dispatch->refused_ms, &last_ms, now_ms)) {
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

void dispatch_request(struct dispatch *dispatch,
                      const struct route *route,
                      struct rpc_call *call)
{
    struct caller caller = caller_of(dispatch, call);
    struct errand *errand;
    struct error err = {0};
    size_t size;

    (void)rpc_call_attachment(call, &size);
    if (route_permit(route, &caller, &err) != 0) {
        tell_refused(dispatch, route, call);
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
    errand = memory_zalloc(sizeof(*errand));
    errand->dispatch = dispatch;
    errand->route = route;
    errand->call = call;
    switch (route->prepare) {
    case ROUTE_DIRECT:
        loop_post(dispatch->loop, decide, errand);
        break;
    case ROUTE_SUBMIT:
        pool_run(dispatch->pool, prepare_submit, errand);
        break;
    case ROUTE_DEPLOY:
        pool_run(dispatch->pool, prepare_deploy, errand);
        break;
    case ROUTE_PROJECT:
        pool_run(dispatch->pool, put_project, errand);
        break;
    case ROUTE_DRY_RUN:
        loop_post(dispatch->loop, check_dry_run, errand);
        break;
    case ROUTE_JOIN: // only a session made with a token is in no role
        pool_run(dispatch->pool, join, errand);
        break;
    case ROUTE_ROTATE:
        pool_run(dispatch->pool, rotate, errand);
        break;
    }
}
