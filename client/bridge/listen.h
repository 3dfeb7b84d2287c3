/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - where HTTP is listened for
 *
 * Blocks while a name is looked up. Start-up only.
 */
#ifndef CORTEX_CLIENT_BRIDGE_LISTEN_H
#define CORTEX_CLIENT_BRIDGE_LISTEN_H

#include <stdbool.h>

#include "common/error.h"

/* Opens a listening TCP socket at "HOST:PORT" ("[::1]:8888", "localhost:0"). An address
 * beyond this machine is PERMISSION_DENIED unless `insecure`. *out_url is "http://HOST:
 * PORT" with the port the system chose for 0; the caller frees it and closes *out_fd.
 */
int listen_open(
    const char *place, bool insecure, int *out_fd, char **out_url, struct error *err);

#endif
