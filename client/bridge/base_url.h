/* SPDX-License-Identifier: Apache-2.0 */
/* base_url.h - what the endpoints in documents begin with
 *
 * The master's setting, or the address the bridge listens on where it has none. Asked
 * for again after BASE_URL_FRESH_MS. Thread-safe.
 */
#ifndef CORTEX_CLIENT_BRIDGE_BASE_URL_H
#define CORTEX_CLIENT_BRIDGE_BASE_URL_H

#include "client/api.h"

#define BASE_URL_FRESH_MS 10000

struct base_url;

/* own_url is copied. */
struct base_url *base_url_create(const char *own_url);

/* Blocks while the master is asked. *out_url, without a slash at its end, is for the
 * caller to free. An old answer serves while the master is away. */
int base_url_get(struct base_url *base,
                 struct client_api *api,
                 char **out_url,
                 struct error *err);

#endif
