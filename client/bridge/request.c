/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - an HTTP request that has been read, and the answer to it */
#include "client/bridge/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/bridge/stream.h"
#include "client/document.h"

#define RETRY_AFTER_S 1 /* a master restarts in about that */

static void write_error(struct reply *reply, unsigned status, const struct error *err)
{
    reply->status = status;
    reply->content_type = "application/json";
    reply->retry_after_s = status == 503 || status == 429 ? RETRY_AFTER_S : 0;
    buffer_clear(&reply->body);
    document_error(&reply->body, err);
}

void reply_fail(struct reply *reply, const struct error *err)
{
    write_error(reply, (unsigned)error_code_http_status(err->code), err);
}

int reply_refuse(
    struct reply *reply, unsigned status, const char *kind, const char *format, ...)
{
    struct error err;
    char message[ERROR_MESSAGE_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    error_set_kind(&err, ERROR_INVALID_ARGUMENT, kind, "%s", message);
    write_error(reply, status, &err);
    return 0;
}

void request_fini(struct request *request)
{
    target_fini(&request->target);
    token_fini(&request->token);
    free(request->idempotency_key);
    buffer_fini(&request->body);
    buffer_fini(&request->reply.body);
    stream_unref(request->reply.stream);
    request->idempotency_key = NULL;
    request->reply.stream = NULL;
}
