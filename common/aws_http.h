/* SPDX-License-Identifier: Apache-2.0 */
/* aws_http.h - one small HTTP exchange, waited for
 *
 * For the services that hand out credentials. Blocks for at most timeout_ms. Any
 * thread.
 */
#ifndef CORTEX_COMMON_AWS_HTTP_H
#define CORTEX_COMMON_AWS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

#define AWS_HTTP_ANSWER_SIZE_MAX (1u << 20)

struct aws_http {
    const char *method; /* "GET", "PUT" or "POST" */
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL; NULL: none */
    const char *body;           /* NULL: none */
    const char *ca_file;        /* NULL: the system's */
    bool no_proxy;
    int64_t timeout_ms;
};

/* Any answer is a success: look at *out_status. UNAVAILABLE if there is none. */
int aws_http_run(const struct aws_http *http,
                 long *out_status,
                 struct buffer *out_body,
                 struct error *err);

#endif
