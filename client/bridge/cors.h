/* SPDX-License-Identifier: Apache-2.0 */
/* cors.h - which page of another site may use the API from a browser
 *
 * None, unless an origin is set; then pages of just that one. Browsers ask before they
 * send what a form could not (a preflight), and tell nothing to a page whose origin the
 * answer does not name. Server's thread.
 * Source: the Fetch standard, "CORS protocol".
 */
#ifndef CORTEX_CLIENT_BRIDGE_CORS_H
#define CORTEX_CLIENT_BRIDGE_CORS_H

#include <stdbool.h>

#include <microhttpd.h>

#include "common/error.h"

/* INVALID_ARGUMENT for what is no origin such as https://app.example:8443. */
int cors_check(const char *origin, struct error *err);

/* allowed is what is set, or NULL. */
bool cors_allows(const char *allowed, const char *origin);
/* Whether a request of an allowed page only asks what it may send; it needs no token.
 */
bool cors_is_preflight(bool allowed, const char *method);

/* What an answer says to a browser; `fits`: the request came from an allowed page. */
void cors_add_headers(struct MHD_Response *response, const char *allowed, bool fits);

#endif
