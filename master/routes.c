/* SPDX-License-Identifier: Apache-2.0 */
/* routes.c - which handler a method has */
#include "master/routes.h"

#include <string.h>

#include "common/buffer.h"
#include "master/audit.h"
#include "master/batchlist.h"
#include "master/control.h"
#include "master/deploy.h"
#include "master/placement.h"
#include "master/query.h"
#include "master/submit.h"
#include "master/supply.h"
#include "master/sync.h"
#include "master/work.h"

#define BODY_MAX  (10u << 20) /* of a submission */
#define PIECE_MAX (4u << 20)  /* of an archive, or of log */
#define LATE_MS   1000 /* a step that is later was held up: others are not to blame */

#define ADMIN  (1u << KEY_ROLE_ADMIN)
#define SUBMIT (1u << KEY_ROLE_SUBMIT)
#define READ   (1u << KEY_ROLE_READ)
#define AGENT  (1u << KEY_ROLE_AGENT)
#define BRIDGE (1u << KEY_ROLE_BRIDGE)

/* Users of these roles, themselves or over a bridge. */
#define ADMINS  (ADMIN | BRIDGE)
#define WRITERS (ADMIN | SUBMIT | BRIDGE)
#define READERS (ADMIN | SUBMIT | READ | BRIDGE)

#define AGENTS (ADMIN | AGENT) /* an admin's key may be an agent's too */

#define HOLDERS (ADMIN | SUBMIT | READ | AGENT) /* of a key of their own */
#define JOINERS (1u << KEY_ROLE_NONE) /* who has a token, and no key of a role */

/* clang-format off */
static const struct route routes[] = {
    {"cortex.v1.AgentService/Work",         AGENTS,  ROUTE_DIRECT,  false, work_handle,       0},
    {"cortex.v1.AgentService/Sync",         AGENTS,  ROUTE_DIRECT,  false, sync_handle,       0},
    {"cortex.v1.AgentService/AppendLog",    AGENTS,  ROUTE_DIRECT,  false, supply_log,        PIECE_MAX},
    {"cortex.v1.AgentService/GetSetup",     AGENTS,  ROUTE_DIRECT,  false, supply_setup,      0},
    {"cortex.v1.AgentService/GetProject",   AGENTS,  ROUTE_DIRECT,  false, supply_project,    0},
    {"cortex.v1.AgentService/Join",         JOINERS, ROUTE_JOIN,    false, NULL,              0},
    {"cortex.v1.Client/Info",               READERS, ROUTE_DIRECT,  true,  query_info,        0},
    {"cortex.v1.Client/PutProject",         WRITERS, ROUTE_PROJECT, false, NULL,              PIECE_MAX},
    {"cortex.v1.Client/Deploy",             WRITERS, ROUTE_DEPLOY,  false, deploy_handle,     0},
    {"cortex.v1.Client/ListApis",           READERS, ROUTE_DIRECT,  true,  query_list_apis,   0},
    {"cortex.v1.Client/GetApi",             READERS, ROUTE_DIRECT,  true,  query_api,         0},
    {"cortex.v1.Client/DeleteApi",          ADMINS,  ROUTE_DIRECT,  false, deploy_delete,     0},
    {"cortex.v1.Client/ResolveEndpoint",    READERS, ROUTE_DIRECT,  true,  query_endpoint,    0},
    {"cortex.v1.Client/SubmitJob",          WRITERS, ROUTE_SUBMIT,  false, submit_handle,     BODY_MAX},
    {"cortex.v1.Client/DryRun",             WRITERS, ROUTE_DRY_RUN, false, NULL,              BODY_MAX},
    {"cortex.v1.Client/GetJob",             READERS, ROUTE_DIRECT,  true,  query_job,         0},
    {"cortex.v1.Client/StopJob",            WRITERS, ROUTE_DIRECT,  false, control_stop,      0},
    {"cortex.v1.Client/ListBatches",        READERS, ROUTE_DIRECT,  true,  batchlist_handle,  0},
    {"cortex.v1.Client/GetPayload",         READERS, ROUTE_DIRECT,  true,  batchlist_payload, 0},
    {"cortex.v1.Client/RotateKey",          HOLDERS, ROUTE_ROTATE,  false, NULL,              0},
    {"cortex.v1.Client/ReadLog",            READERS, ROUTE_DIRECT,  false, query_log,         0},
};
/* clang-format on */

const struct route *route_find(const char *method)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(routes[i].method, method) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

const struct route *route_rows(size_t *out_count)
{
    *out_count = sizeof(routes) / sizeof(routes[0]);
    return routes;
}

static bool has_role(const struct route *route, enum key_role role)
{
    return (route->roles & 1u << role) != 0;
}

int route_permit(const struct route *route,
                 const struct caller *caller,
                 struct error *err)
{
    if (!has_role(route, caller->role)) {
        return error_set(err,
                         ERROR_PERMISSION_DENIED,
                         "a key of the role %s may not call %s",
                         key_role_name(caller->role),
                         route->method);
    }
    if (caller->role == KEY_ROLE_BRIDGE && caller->acting == KEY_ROLE_NONE) {
        return error_set(err,
                         ERROR_PERMISSION_DENIED,
                         "a bridge may call %s for somebody only",
                         route->method);
    }
    // None of a token's roles is bridge, so that this takes away and never gives.
    if (caller->acting != KEY_ROLE_NONE &&
        (caller->acting == KEY_ROLE_BRIDGE || !has_role(route, caller->acting))) {
        return error_set(err,
                         ERROR_PERMISSION_DENIED,
                         "a token of the role %s may not call %s",
                         key_role_name(caller->acting),
                         route->method);
    }
    return 0;
}

/* An agent with a key speaks for itself only. */
static int check_agent(const struct request *request, struct error *err)
{
    const ProtobufCBinaryData *agent_id =
        request->caller.key ? request_field(request, "agent_id", PROTOBUF_C_TYPE_BYTES)
                            : NULL;
    unsigned char own[KEY_NAME_SIZE];

    if (!agent_id) {
        return 0;
    }
    caller_agent_id(&request->caller, own);
    return agent_id->len == sizeof(own) && memcmp(agent_id->data, own, sizeof(own)) == 0
               ? 0
               : error_set(err,
                           ERROR_PERMISSION_DENIED,
                           "agent_id: it is another agent's: expected that of the "
                           "caller's key");
}

/* What a user who may only read may not call. */
static bool is_command(const struct route *route)
{
    return has_role(route, KEY_ROLE_BRIDGE) && !has_role(route, KEY_ROLE_READ);
}

int route_handle(struct state *state,
                 const struct route *route,
                 const struct request *request,
                 struct error *err)
{
    struct error failure = {0};

    if (check_agent(request, &failure) == 0 &&
        route->handler(state, request, &failure) == 0) {
        return is_command(route) && request->caller.key
                   ? audit_command(state, route->method, request, err)
                   : 0;
    }
    // The store's failures are not answers, whatever their code; others' are.
    if (store_failed(state->store)) {
        return error_copy(err, &failure);
    }
    struct action *action = outbox_add(&state->outbox, ACTION_FAIL);
    action->call = request->call;
    action->error = memory_zalloc(sizeof(*action->error));
    *action->error = failure;
    return 0;
}

int route_settle(struct state *state, struct error *err)
{
    // How much later than asked for this is. INT64_MAX, nothing asked for, is no
    // lateness.
    int64_t late_ms = state->now_ms - state->wake_ms;

    if (state->leaving) {
        control_answer_stops(state, true);
        sync_answer_all(state);
        state->wake_ms = INT64_MAX;
        return 0;
    }
    if (state->settings.read_only) {
        return 0;
    }
    if (late_ms > LATE_MS) {
        control_forgive(state, late_ms);
    }
    if (late_ms >= 0 && control_tick(state, err) != 0) {
        return -1;
    }
    if (placement_update(state, err) != 0 || deadletter_update(state, err) != 0) {
        return -1;
    }
    control_answer_stops(state, false);
    sync_answer(state);
    return 0;
}

int route_leave(struct state *state, void *arg, struct error *err)
{
    (void)arg;
    (void)err;
    state->leaving = true;
    return 0;
}
