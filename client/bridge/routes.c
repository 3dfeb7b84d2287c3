/* SPDX-License-Identifier: Apache-2.0 */
/* routes.c - which requests there are, and who answers each */
#include "client/bridge/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define OWN_PREFIX "/_/" /* no api's name begins so */

enum shape {
    SHAPE_NONE,    /* no path of ours */
    SHAPE_API,     /* <endpoint> */
    SHAPE_JOB,     /* <endpoint>/<job>, <endpoint>?jobID=<job> and so on */
    SHAPE_LOGS,    /* <endpoint>/<job>/logs */
    SHAPE_BATCHES, /* <endpoint>/<job>/batches */
    SHAPE_PAYLOAD, /* <endpoint>/<job>/batches/<batch>/payload */
    SHAPE_HEALTHZ,
    SHAPE_READYZ,
};

struct route {
    const char *method;
    enum shape shape;
    int (*answer)(const struct call *call, struct error *err);
};

static const struct route routes[] = {
    {"POST", SHAPE_API, translate_submit},
    {"GET", SHAPE_API, translate_get_api},
    {"DELETE", SHAPE_API, translate_no_job},
    {"GET", SHAPE_JOB, translate_get_job},
    {"DELETE", SHAPE_JOB, translate_stop_job},
    {"GET", SHAPE_LOGS, translate_get_log},
    {"GET", SHAPE_BATCHES, translate_list_batches},
    {"GET", SHAPE_PAYLOAD, translate_get_payload},
    {"GET", SHAPE_HEALTHZ, translate_healthy},
    {"GET", SHAPE_READYZ, translate_ready},
    {NULL, SHAPE_NONE, NULL},
};

// HEAD is GET, and the server leaves the body off.
static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static const struct route *find_route(const char *method, enum shape shape)
{
    for (const struct route *route = routes; route->method; route++) {
        if (route->shape == shape && method_fits(route, method)) {
            return route;
        }
    }
    return NULL;
}

static void refuse_method(struct request *request, enum shape shape)
{
    char allow[REQUEST_ALLOW_SIZE] = "";
    size_t used = 0;

    for (const struct route *route = routes; route->method; route++) {
        if (route->shape == shape) {
            used += (size_t)snprintf(allow + used,
                                     sizeof(allow) - used,
                                     "%s%s%s",
                                     used ? ", " : "",
                                     route->method,
                                     strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
        }
    }
    (void)reply_refuse(&request->reply,
                       405,
                       "method_not_allowed",
                       "%s is not a method of %s, expected one of: %s",
                       request->method,
                       request->target.path,
                       allow);
    memcpy(request->reply.allow, allow, sizeof(allow));
}

static void refuse_path(struct request *request)
{
    (void)reply_refuse(
        &request->reply,
        404,
        "not_found",
        "there is nothing at %s: expected an api's endpoint, a job of it "
        "(<endpoint>/<job id>), or its /logs, /batches or "
        "/batches/<batch id>/payload",
        request->target.path);
}

// Runs the route of a method and shape, or says that there is none.
static void run_route(const struct call *call, enum shape shape)
{
    const struct route *route = find_route(call->request->method, shape);
    struct error err;

    if (shape == SHAPE_NONE) {
        refuse_path(call->request);
    } else if (!route) {
        refuse_method(call->request, shape);
    } else if (route->answer(call, &err) != 0) {
        reply_fail(&call->request->reply, &err);
    }
}

static enum shape own_shape(const char *path)
{
    if (strcmp(path, OWN_PREFIX "healthz") == 0) {
        return SHAPE_HEALTHZ;
    }
    return strcmp(path, OWN_PREFIX "readyz") == 0 ? SHAPE_READYZ : SHAPE_NONE;
}

static bool is_own(const char *path)
{
    return strncmp(path, OWN_PREFIX, strlen(OWN_PREFIX)) == 0 || strcmp(path, "/") == 0;
}

bool routes_open(const struct request *request)
{
    return request->target_error.code == ERROR_OK &&
           own_shape(request->target.path) != SHAPE_NONE;
}

// What no master need be asked to refuse.
static bool refuse_unread(struct request *request)
{
    bool writes =
        strcmp(request->method, "POST") == 0 || strcmp(request->method, "DELETE") == 0;

    if (request->target_error.code != ERROR_OK) {
        reply_fail(&request->reply, &request->target_error);
        return true;
    }
    if (writes && request->foreign_origin) {
        (void)reply_refuse(&request->reply,
                           403,
                           "permission_denied",
                           "a page of another site may not %s here",
                           request->method);
        return true;
    }
    if (strcmp(request->method, "POST") == 0 && request->unfit_media) {
        (void)reply_refuse(&request->reply,
                           415,
                           "unsupported_media_type",
                           "the body's Content-Type or Content-Encoding is not that of "
                           "a JSON text, expected application/json");
        return true;
    }
    return false;
}

bool routes_answer_now(struct request *request)
{
    const struct call call = {.request = request};

    if (refuse_unread(request)) {
        return true;
    }
    if (!is_own(request->target.path)) {
        return false;
    }
    enum shape shape = own_shape(request->target.path);
    if (shape == SHAPE_READYZ && find_route(request->method, shape)) {
        return false;
    }
    run_route(&call, shape);
    return true;
}

struct callers *routes_pool(const struct bridge *bridge, const struct request *request)
{
    return strcmp(request->method, "POST") == 0 ? bridge->slow : bridge->quick;
}

// "/<batch>/payload" behind "/batches". The caller frees the batch.
static enum shape read_batch(const char *tail, char **out_batch)
{
    size_t size = *tail == '/' ? strcspn(tail + 1, "/") : 0;

    if (size == 0 || strcmp(tail + 1 + size, "/payload") != 0) {
        return SHAPE_NONE;
    }
    *out_batch = memory_strndup(tail + 1, size);
    return SHAPE_PAYLOAD;
}

// Splits what follows the endpoint into the job's segment, the batch's if there is one,
// which the caller frees, and a shape. A slash at the end is as good as none.
static enum shape read_rest(const char *rest, char **out_segment, char **out_batch)
{
    static const char batches[] = "/batches";
    const char *segment = *rest == '/' ? rest + 1 : rest;
    size_t size = strcspn(segment, "/");
    const char *tail = segment + size;

    *out_segment = memory_strndup(segment, size);
    if (strcmp(tail, "") == 0 || strcmp(tail, "/") == 0) {
        return size > 0 ? SHAPE_JOB : SHAPE_API;
    }
    if (size > 0 && strcmp(tail, "/logs") == 0) {
        return SHAPE_LOGS;
    }
    if (size == 0 || strncmp(tail, batches, strlen(batches)) != 0) {
        return SHAPE_NONE;
    }
    tail += strlen(batches);
    return *tail == '\0' ? SHAPE_BATCHES : read_batch(tail, out_batch);
}

// Finds out which job a call is about.
static int read_job(struct call *call,
                    const char *segment,
                    enum shape *inout_shape,
                    struct error *err)
{
    const char *text;

    if (target_get_job(&call->request->target, segment, &text, err) != 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    if (!id_job_parse(text, &call->job_id)) {
        return error_set_kind(err,
                              ERROR_NOT_FOUND,
                              "batchapi.job_not_found",
                              "%s (%s api): there is no such job: a job id has 16 hex "
                              "digits, lower case",
                              text,
                              call->api_name);
    }
    if (*inout_shape == SHAPE_API) {
        *inout_shape = SHAPE_JOB;
    }
    return 0;
}

// Which api it is about. A token with a scope does not learn which others there are.
static int resolve(const struct call *call,
                   char **out_api_name,
                   char **out_rest,
                   struct error *err)
{
    const struct request *request = call->request;
    int result = client_api_resolve(
        call->api, request->target.path, out_api_name, out_rest, err);

    if ((result == 0 || err->code == ERROR_NOT_FOUND) &&
        !token_may_use_api(&request->token, result == 0 ? *out_api_name : NULL)) {
        return error_set(err, ERROR_PERMISSION_DENIED, ROUTES_FORBIDDEN);
    }
    return result;
}

static int answer_api(struct call *call, struct error *err)
{
    char *api_name = NULL;
    char *rest = NULL;
    char *segment = NULL;
    char *batch_id = NULL;
    int result = -1;

    if (resolve(call, &api_name, &rest, err) != 0) {
        goto out;
    }
    call->api_name = api_name;
    enum shape shape = read_rest(rest, &segment, &batch_id);
    call->batch_id = batch_id;
    if (shape != SHAPE_NONE && read_job(call, segment, &shape, err) != 0) {
        goto out;
    }
    run_route(call, shape);
    result = 0;
out:
    free(api_name);
    free(rest);
    free(segment);
    free(batch_id);
    return result;
}

// The master holds the call to what the token may do, whatever is decided here.
static int act_for(const struct call *call, struct error *err)
{
    static const enum key_role roles[] = {
        [TOKEN_NOBODY] = KEY_ROLE_READ, // of whether the master answers
        [TOKEN_READ] = KEY_ROLE_READ,
        [TOKEN_SUBMIT] = KEY_ROLE_SUBMIT,
        [TOKEN_ADMIN] = KEY_ROLE_ADMIN,
    };
    const struct token *token = &call->request->token;

    return client_api_act_for(call->api, roles[token->role], token->apis, err);
}

void routes_answer(struct bridge *bridge,
                   struct client_api *api,
                   struct request *request,
                   int64_t deadline_ms)
{
    struct call call = {.bridge = bridge, .api = api, .request = request};
    int64_t left_ms = deadline_ms - clock_monotonic_ms();
    struct error err;

    if (left_ms <= 0) { // it has waited for a thread behind others who waited
        error_set(
            &err, ERROR_UNAVAILABLE, "the master does not answer in time: try again");
        reply_fail(&request->reply, &err);
        return;
    }
    client_api_set_timeout(api, left_ms);
    if (act_for(&call, &err) != 0) {
        reply_fail(&request->reply, &err);
        return;
    }
    if (is_own(request->target.path)) {
        run_route(&call, own_shape(request->target.path));
    } else if (answer_api(&call, &err) != 0) {
        reply_fail(&request->reply, &err);
    }
}
