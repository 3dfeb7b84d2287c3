/* SPDX-License-Identifier: Apache-2.0 */
/* follow.h - how jobs' logs reach those who read them
 *
 * Readers that stand at the same byte of the same log share one ReadLog call, so that
 * fifty who follow one job cost the master what one does. Up to FOLLOW_THREADS_MAX
 * calls are parked at the master at a time. While there are no more places to read than
 * that, every line is pushed when it is written; with more, the calls take turns, each
 * parked so briefly that every place has its turn about once a second.
 */
#ifndef CORTEX_CLIENT_BRIDGE_FOLLOW_H
#define CORTEX_CLIENT_BRIDGE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "client/bridge/callers.h"
#include "client/bridge/stream.h"

#define FOLLOW_THREADS_MAX 16  /* threads and connections of the pool */
#define FOLLOW_READERS_MAX 512 /* logs being sent at a time */

struct follow;

/* pool is borrowed and serves nothing else. */
struct follow *follow_create(struct callers *pool);

/* A stream of a job's log from offset on: until the job is terminal and all is sent if
 * `live`, else only what there is. RESOURCE_EXHAUSTED past FOLLOW_READERS_MAX. The
 * caller holds the stream's reference. Thread-safe. */
int follow_open(struct follow *follow,
                const char *api_name,
                uint64_t job_id,
                uint64_t offset,
                bool live,
                struct stream **out_stream,
                struct error *err);

#endif
