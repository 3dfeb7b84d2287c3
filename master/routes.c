/* SPDX-License-Identifier: Apache-2.0 */
/* routes.c - which handler a method has */
#include "master/routes.h"

#include <string.h>

#include "common/buffer.h"
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

/* clang-format off */
static const struct route routes[] = {
    {"cortex.v1.AgentService/Work",         ROUTE_DIRECT,  false, work_handle,       0},
    {"cortex.v1.AgentService/Sync",         ROUTE_DIRECT,  false, sync_handle,       0},
    {"cortex.v1.AgentService/AppendLog",    ROUTE_DIRECT,  false, supply_log,        PIECE_MAX},
    {"cortex.v1.AgentService/GetSetup",     ROUTE_DIRECT,  false, supply_setup,      0},
    {"cortex.v1.AgentService/GetProject",   ROUTE_DIRECT,  false, supply_project,    0},
    {"cortex.v1.Client/Info",               ROUTE_DIRECT,  true,  query_info,        0},
    {"cortex.v1.Client/PutProject",         ROUTE_PROJECT, false, NULL,              PIECE_MAX},
    {"cortex.v1.Client/Deploy",             ROUTE_DEPLOY,  false, deploy_handle,     0},
    {"cortex.v1.Client/ListApis",           ROUTE_DIRECT,  true,  query_list_apis,   0},
    {"cortex.v1.Client/GetApi",             ROUTE_DIRECT,  true,  query_api,         0},
    {"cortex.v1.Client/DeleteApi",          ROUTE_DIRECT,  false, deploy_delete,     0},
    {"cortex.v1.Client/ResolveEndpoint",    ROUTE_DIRECT,  true,  query_endpoint,    0},
    {"cortex.v1.Client/SubmitJob",          ROUTE_SUBMIT,  false, submit_handle,     BODY_MAX},
    {"cortex.v1.Client/DryRun",             ROUTE_DRY_RUN, false, NULL,              BODY_MAX},
    {"cortex.v1.Client/GetJob",             ROUTE_DIRECT,  true,  query_job,         0},
    {"cortex.v1.Client/StopJob",            ROUTE_DIRECT,  false, control_stop,      0},
    {"cortex.v1.Client/ListBatches",        ROUTE_DIRECT,  true,  batchlist_handle,  0},
    {"cortex.v1.Client/GetPayload",         ROUTE_DIRECT,  true,  batchlist_payload, 0},
    {"cortex.v1.Client/ReadLog",            ROUTE_DIRECT,  false, query_log,         0},
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

int route_handle(struct state *state,
                 const struct route *route,
                 const struct request *request,
                 struct error *err)
{
    struct error failure = {0};

    if (route->handler(state, request, &failure) == 0) {
        return 0;
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

void route_leave(struct state *state)
{
    control_answer_stops(state, true);
    sync_answer_all(state);
}
