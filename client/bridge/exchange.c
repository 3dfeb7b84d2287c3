/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.c - how a request is read, refused or handed on, and answered */
#include "client/bridge/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>

#include "client/bridge/cors.h"
#include "client/bridge/framing.h"
#include "client/bridge/request.h"
#include "client/bridge/routes.h"
#include "client/bridge/stream.h"
#include "common/clock.h"

#define ORIGIN_SCHEME_SEPARATOR "://"

// Where a request is on its way.
enum exchange_state {
    EXCHANGE_HEADERS, /* the request line is there */
    EXCHANGE_BODY,    /* its body is being read */
    EXCHANGE_DISCARD, /* a refusal stands; the rest of the body is thrown away */
    EXCHANGE_ASKED,   /* a pool has it; afterwards the reply stands */
};

struct exchange {
    struct callers_work work;
    struct exchanges *all;
    struct MHD_Connection *connection;
    struct peer *peer;
    enum exchange_state state;
    struct request request;
    struct framing framing;
    const char *authorization; /* MHD's; NULL: none, or more than one */
    unsigned authorizations;
    bool allowed_origin; /* a page that is allowed to sends it (cors.h) */
    bool expects_continue;
    bool close;       /* the connection cannot be used further */
    size_t body_size; /* counted in all->bodies_size */
    uint64_t discarded;
    int64_t deadline_ms;
};

struct exchange *exchange_begin(struct exchanges *all,
                                const char *uri,
                                struct MHD_Connection *connection,
                                struct peer *peer)
{
    struct exchange *exchange = memory_zalloc(sizeof(*exchange));

    exchange->all = all;
    exchange->connection = connection;
    exchange->peer = peer;
    (void)target_parse(uri, &exchange->request.target, &exchange->request.target_error);
    all->count++;
    peers_enter(all->peers, peer, PEER_HEADER, clock_monotonic_ms());
    return exchange;
}

void exchange_end(struct exchange *exchange)
{
    if (!exchange) {
        return;
    }
    exchange->peer->stream = NULL;
    exchange->peer->token = NULL;
    peers_enter(exchange->all->peers, exchange->peer, PEER_IDLE, clock_monotonic_ms());
    exchange->all->bodies_size -= exchange->body_size;
    exchange->all->count--;
    request_fini(&exchange->request);
    free(exchange);
}

// curl -d sends a form's type without being asked, so only what cannot be JSON counts.
static bool is_unfit_type(const char *type)
{
    static const char *const unfit[] = {"multipart/",
                                        "image/",
                                        "audio/",
                                        "video/",
                                        "text/html",
                                        "text/xml",
                                        "application/xml",
                                        "application/zip",
                                        "application/gzip",
                                        "application/pdf"};

    for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
        if (strncasecmp(type, unfit[i], strlen(unfit[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void take_key(struct request *request, const char *value)
{
    size_t size = strlen(value);
    bool fine = size > 0 && size <= EXCHANGE_KEY_SIZE_MAX;

    for (size_t i = 0; i < size; i++) {
        fine = fine && value[i] >= 0x20 && value[i] <= 0x7E;
    }
    if (!fine || request->idempotency_key) {
        error_set(
            &request->target_error,
            ERROR_INVALID_ARGUMENT,
            "Idempotency-Key: expected one, of 1 to %d printable ASCII characters",
            EXCHANGE_KEY_SIZE_MAX);
        return;
    }
    request->idempotency_key = memory_strdup(value);
}

static bool is_foreign(struct MHD_Connection *connection, const char *origin)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *authority = strstr(origin, ORIGIN_SCHEME_SEPARATOR);

    return !host || !authority ||
           strcasecmp(authority + strlen(ORIGIN_SCHEME_SEPARATOR), host) != 0;
}

static enum MHD_Result
take_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *text)
{
    struct exchange *exchange = arg;
    struct request *request = &exchange->request;
    const char *value = text ? text : "";

    (void)kind;
    framing_header(&exchange->framing, name, value);
    if (strcasecmp(name, "Idempotency-Key") == 0) {
        take_key(request, value);
    } else if (strcasecmp(name, "Accept") == 0) {
        request->wants_json |= strcasestr(value, "application/json") != NULL;
    } else if (strcasecmp(name, "Content-Type") == 0) {
        request->unfit_media |= is_unfit_type(value);
    } else if (strcasecmp(name, "Content-Encoding") == 0) {
        request->unfit_media |= strcasecmp(value, "identity") != 0;
    } else if (strcasecmp(name, "Origin") == 0) {
        exchange->allowed_origin = cors_allows(exchange->all->cors_origin, value);
        request->foreign_origin |=
            !exchange->allowed_origin && is_foreign(exchange->connection, value);
    } else if (strcasecmp(name, "Authorization") == 0) {
        exchange->authorization = exchange->authorizations++ == 0 ? value : NULL;
    } else if (strcasecmp(name, "Expect") == 0) {
        exchange->expects_continue = true;
    }
    return MHD_YES;
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    struct reply *reply = &exchange->request.reply;

    if (reply->stream) {
        return stream_response(
            reply->stream, exchange->connection, exchange->all->wake_fd);
    }
    // The exchange, and with it the body, outlives the response's use of it.
    return MHD_create_response_from_buffer(
        reply->body.size, (void *)buffer_text(&reply->body), MHD_RESPMEM_PERSISTENT);
}

static void add_headers(const struct exchange *exchange, struct MHD_Response *response)
{
    const struct reply *reply = &exchange->request.reply;
    char number[16];

    (void)MHD_add_response_header(response, "Content-Type", reply->content_type);
    if (strcmp(reply->content_type, "application/json") != 0) {
        (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    }
    cors_add_headers(response, exchange->all->cors_origin, exchange->allowed_origin);
    if (reply->status == 401) {
        (void)MHD_add_response_header(
            response, "WWW-Authenticate", "Bearer realm=\"cortex\"");
    }
    if (*reply->allow) {
        (void)MHD_add_response_header(response, "Allow", reply->allow);
    }
    if (reply->retry_after_s > 0) {
        (void)snprintf(number, sizeof(number), "%u", reply->retry_after_s);
        (void)MHD_add_response_header(response, "Retry-After", number);
    }
    if (exchange->close || exchange->all->leaving) {
        (void)MHD_add_response_header(response, "Connection", "close");
    }
}

static bool send_reply(struct exchange *exchange)
{
    struct reply *reply = &exchange->request.reply;
    struct MHD_Response *response = make_response(exchange);

    if (!response) {
        return false;
    }
    add_headers(exchange, response);
    peers_enter(
        exchange->all->peers, exchange->peer, PEER_ANSWER, clock_monotonic_ms());
    exchange->peer->stream = reply->stream;
    exchange->peer->token = &exchange->request.token;
    bool queued =
        MHD_queue_response(exchange->connection, reply->status, response) == MHD_YES;
    MHD_destroy_response(response); // MHD keeps it until it is sent
    return queued;
}

static void refuse_size(struct exchange *exchange)
{
    (void)reply_refuse(&exchange->request.reply,
                       413,
                       "too_large",
                       "the request's body is larger than 10 MiB (10485760 bytes)");
}

static void refuse_bodies(struct exchange *exchange)
{
    (void)reply_refuse(&exchange->request.reply,
                       503,
                       "resource_exhausted",
                       "the requests being read hold %u MiB, which is the most this "
                       "bridge keeps at a time: try again",
                       EXCHANGE_BODIES_SIZE_MAX >> 20);
}

// Whether the reply is that the request is not allowed, as far as its path need not be
// known (routes.c has the rest). The same words whatever is wrong with the token.
static bool refuse_stranger(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct error err;

    if (routes_open(request)) {
        return false;
    }
    if (!access_admit(exchange->all->access,
                      exchange->authorization,
                      clock_wall_ms(),
                      &request->token)) {
        error_set(&err,
                  ERROR_UNAUTHENTICATED,
                  "this needs a token, expected \"Authorization: Bearer <token>\"");
    } else if (!token_may_call(&request->token, request->method)) {
        error_set(&err, ERROR_PERMISSION_DENIED, ROUTES_FORBIDDEN);
    } else {
        return false;
    }
    reply_fail(&request->reply, &err);
    return true;
}

// Whether the reply stands, whatever follows.
static bool answer_early(struct exchange *exchange)
{
    struct request *request = &exchange->request;

    if (cors_is_preflight(exchange->allowed_origin, request->method)) {
        request->reply.status = 204;
        request->reply.content_type = "text/plain";
        return true;
    }
    return refuse_stranger(exchange);
}

// The headers are there: what can be refused by them is, before any of the body.
static bool headers_done(struct exchange *exchange, const char *method)
{
    struct request *request = &exchange->request;
    struct error err;

    (void)snprintf(request->method, sizeof(request->method), "%s", method);
    (void)MHD_get_connection_values(
        exchange->connection, MHD_HEADER_KIND, take_header, exchange);
    if (framing_check(&exchange->framing, &err) != 0) {
        reply_fail(&request->reply, &err);
        exchange->close = true;
        return send_reply(exchange);
    }
    exchange->state = EXCHANGE_BODY;
    peers_enter(exchange->all->peers, exchange->peer, PEER_BODY, clock_monotonic_ms());
    bool answered = answer_early(exchange);
    if (!answered && exchange->framing.length > EXCHANGE_BODY_SIZE_MAX) {
        refuse_size(exchange);
        answered = true;
    }
    if (answered) {
        exchange->state = EXCHANGE_DISCARD;
        if (exchange->expects_continue ||
            exchange->framing.length > EXCHANGE_DISCARD_SIZE_MAX) {
            exchange->close = true;
            return send_reply(exchange);
        }
    }
    return true;
}

static void drop_body(struct exchange *exchange)
{
    exchange->all->bodies_size -= exchange->body_size;
    exchange->body_size = 0;
    buffer_fini(&exchange->request.body);
    exchange->state = EXCHANGE_DISCARD;
}

static bool body_piece(struct exchange *exchange, const char *data, size_t size)
{
    struct exchanges *all = exchange->all;

    if (exchange->state == EXCHANGE_BODY) {
        if (exchange->body_size + size > EXCHANGE_BODY_SIZE_MAX) {
            refuse_size(exchange);
            drop_body(exchange);
        } else if (all->bodies_size + size > EXCHANGE_BODIES_SIZE_MAX) {
            refuse_bodies(exchange);
            drop_body(exchange);
        } else {
            buffer_add(&exchange->request.body, data, size);
            exchange->body_size += size;
            all->bodies_size += size;
            return true;
        }
    }
    exchange->discarded += size;
    return exchange->discarded <= EXCHANGE_DISCARD_SIZE_MAX;
}

// On a pool's thread.
static void exchange_answer(struct callers_work *work, struct client_api *api)
{
    struct exchange *exchange = (struct exchange *)work; // its first member
    int wake_fd = exchange->all->wake_fd;

    routes_answer(
        exchange->all->bridge, api, &exchange->request, exchange->deadline_ms);
    MHD_resume_connection(exchange->connection); // exchange may be gone from here on
    (void)eventfd_write(wake_fd, 1);
}

// All of the request is there, and whoever needs the master waits for it.
static bool request_done(struct exchange *exchange)
{
    struct exchanges *all = exchange->all;
    int64_t now_ms = clock_monotonic_ms();

    if (routes_answer_now(&exchange->request)) {
        return send_reply(exchange);
    }
    peers_enter(all->peers, exchange->peer, PEER_ANSWER, now_ms);
    exchange->state = EXCHANGE_ASKED;
    exchange->deadline_ms = now_ms + all->bridge->timeout_ms;
    exchange->work.run = exchange_answer;
    exchange->work.client = exchange->peer->address;
    MHD_suspend_connection(exchange->connection);
    callers_submit(routes_pool(all->bridge, &exchange->request), &exchange->work);
    return true;
}

bool exchange_step(struct exchange *exchange,
                   const char *method,
                   const char *data,
                   size_t size)
{
    if (exchange->state == EXCHANGE_HEADERS) {
        return headers_done(exchange, method);
    }
    if (size > 0) {
        return body_piece(exchange, data, size);
    }
    return exchange->state == EXCHANGE_BODY ? request_done(exchange)
                                            : send_reply(exchange);
}
