/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h - what the master remembers of a stretch of batches
 *
 * Plain data: where the payloads are, and where in the job's input enqueuing goes on
 * behind them. */
#ifndef CORTEX_MASTER_SEGMENT_H
#define CORTEX_MASTER_SEGMENT_H

#include "master/enqueuer.h"
#include "master/payload.h"

struct segment {
    struct payload_segment payload;
    struct enqueuer_position after;
};

#endif
