/* SPDX-License-Identifier: Apache-2.0 */
/* framing.h - how long a request's body is, if that can be said for sure
 *
 * libmicrohttpd takes the first of two lengths, and a transfer encoding over a length.
 * A proxy in front may see it the other way round, and then one client's bytes become
 * another's request. So whatever is not said once and clearly is refused. Pure.
 * Source: RFC 9112, sections 3.2, 5.1, 6.1 and 6.3.
 */
#ifndef CORTEX_CLIENT_BRIDGE_FRAMING_H
#define CORTEX_CLIENT_BRIDGE_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct framing {
    unsigned lengths;   /* Content-Length headers */
    unsigned encodings; /* Transfer-Encoding headers */
    unsigned hosts;     /* Host headers */
    bool odd_name;      /* a name that is no token, or hides a folded line */
    bool odd_length;    /* one that is not just digits */
    bool odd_encoding;  /* one that is not "chunked" */
    uint64_t length;    /* bytes of the body; 0 if not said; huge ones are UINT64_MAX */
};

/* Takes note of a header. Begin with an all-zero struct. */
void framing_header(struct framing *framing, const char *name, const char *value);

/* INVALID_ARGUMENT unless the headers that were seen leave no doubt. */
int framing_check(const struct framing *framing, struct error *err);

#endif
