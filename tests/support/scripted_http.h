/* SPDX-License-Identifier: Apache-2.0 */
/* scripted_http.h - an HTTP server for a test, which misbehaves on demand
 *
 * On 127.0.0.1 and a port of the system's choice, a thread for each connection. The
 * test's handler is called for one request at a time; it says what to answer and how to
 * fail.
 */
#ifndef CORTEX_TESTS_SCRIPTED_HTTP_H
#define CORTEX_TESTS_SCRIPTED_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"

struct scripted_request {
    const char *method;
    const char *target; /* "/bucket/key?query" */
    const char *body;
    size_t body_size;
    const char *head; /* all lines, for scripted_header */
};

struct scripted_reply {
    int status; /* 200 unless set */
    struct buffer
        headers; /* "Name: value\r\n" each; Content-Length is not among them */
    struct buffer body;
    bool no_body;      /* a HEAD's: the length is told, nothing sent */
    bool reset;        /* the connection breaks before anything is sent */
    size_t cut_bytes;  /* if not 0, it breaks after so many bytes of the body */
    unsigned stall_ms; /* nothing is sent for so long */
};

typedef void (*scripted_fn)(void *arg,
                            const struct scripted_request *request,
                            struct scripted_reply *reply);

struct scripted_http;

struct scripted_http *scripted_http_start(scripted_fn handle, void *arg);
/* Breaks all connections. */
void scripted_http_stop(struct scripted_http *server);

/* "http://127.0.0.1:34567" */
const char *scripted_http_url(const struct scripted_http *server);
/* How many requests were being answered at the same time, at most. */
unsigned scripted_http_peak(const struct scripted_http *server);

/* The header's value in out, "" if there is none; name in lower case. Returns out. */
const char *scripted_header(const struct scripted_request *request,
                            const char *name,
                            char *out,
                            size_t out_size);

#endif
