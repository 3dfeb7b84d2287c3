/* SPDX-License-Identifier: Apache-2.0 */
/* dry_run.h - how a dry run's listing goes out, page after page
 *
 * Each page is one call, made when the client has taken the last one, so a listing of
 * any length takes the memory of a page.
 */
#ifndef CORTEX_CLIENT_BRIDGE_DRY_RUN_H
#define CORTEX_CLIENT_BRIDGE_DRY_RUN_H

#include "client/bridge/callers.h"
#include "client/bridge/stream.h"
#include "common/buffer.h"

/* Makes the first call with api, so that what is wrong with the submission is this
 * function's error; later pages are read on the pool. Takes *body over. The caller
 * holds the stream's reference. */
int dry_run_open(struct callers *pool,
                 struct client_api *api,
                 const char *api_name,
                 struct buffer *body,
                 struct stream **out_stream,
                 struct error *err);

#endif
