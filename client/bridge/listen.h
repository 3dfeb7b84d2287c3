/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - where HTTP is listened for
 *
 * Blocks while a name is looked up. Start-up only.
 */
#ifndef CORTEX_CLIENT_BRIDGE_LISTEN_H
#define CORTEX_CLIENT_BRIDGE_LISTEN_H

#include <stdbool.h>

#include "common/error.h"

struct listen_options {
    const char *place; /* "HOST:PORT", such as "[::1]:8888" or "localhost:0" */
    bool tls;          /* connections are encrypted */
    bool tokens;       /* and clients are asked who they are */
    bool insecure;     /* neither is needed, wherever it is */
};

/* Opens a listening TCP socket. An address beyond this machine is PERMISSION_DENIED
 * unless there are both TLS and tokens, or `insecure`. *out_url is "http://HOST:PORT",
 * or "https://...", with the port the system chose for 0; the caller frees it and
 * closes *out_fd. */
int listen_open(const struct listen_options *options,
                int *out_fd,
                char **out_url,
                struct error *err);

#endif
