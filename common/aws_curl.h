/* SPDX-License-Identifier: Apache-2.0 */
/* aws_curl.h - how one call stands in libcurl
 *
 * Its request goes out as the call says (aws_transfer.h); the headers that matter and
 * the body of the answer come into it. On the thread that runs the transfers.
 * See also: libcurl-easy(3). */
#ifndef CORTEX_COMMON_AWS_CURL_H
#define CORTEX_COMMON_AWS_CURL_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "common/aws_transfer.h"

struct aws_curl {
    struct aws_call *call;
    CURL *easy; /* the owner's, used again and again */
    struct curl_slist *headers;
    size_t sent;    /* bytes of the call's body */
    bool too_large; /* the answer: broken off */
    char reason[CURL_ERROR_SIZE];
};

struct aws_curl_options {
    unsigned stall_s;    /* without progress, before it is broken off */
    const char *ca_file; /* NULL: the system's certificates */
};

/* Everything of an attempt at the call anew. Clear it once the attempt is over. */
void aws_curl_set(struct aws_curl *curl,
                  struct aws_call *call,
                  const struct aws_curl_options *options);
void aws_curl_clear(struct aws_curl *curl);

#endif
