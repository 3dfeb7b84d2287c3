/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h - what the master remembers of a stretch of batches
 *
 * Plain data. The stretch's payloads are a file (payload.h); its place in the input, so
 * that enqueuing can go on behind it, is the source_ part (enqueuer.h). */
#ifndef CORTEX_MASTER_SEGMENT_H
#define CORTEX_MASTER_SEGMENT_H

#include <stddef.h>

#include "master/enqueuer.h"
#include "master/payload.h"

struct segment {
    struct payload_segment payload;
    struct enqueuer_position after;
};

#endif
