/* SPDX-License-Identifier: Apache-2.0 */
/* batchlist.h - what the master tells about single batches
 *
 * Handlers that only read. */
#ifndef CORTEX_MASTER_BATCHLIST_H
#define CORTEX_MASTER_BATCHLIST_H

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"

#define BATCHLIST_DEFAULT  100
#define BATCHLIST_MAX      1000
#define BATCHLIST_ROWS_MAX 20000 /* looked at for one page, which may be short then */

/* A page of a job's batches (ListBatches). */
int batchlist_handle(struct state *state,
                     const struct request *request,
                     struct error *err);

/* What a batch was made of (GetPayload): read behind the commit. */
int batchlist_payload(struct state *state,
                      const struct request *request,
                      struct error *err);

#endif
