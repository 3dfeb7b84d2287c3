/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h - how far along a job is, how fast it goes, and when it will be done
 *
 * The rate is that of the samples of about the last half minute, so that neither the
 * workers' start nor one slow batch spoils it. Pure: the caller tells the time. */
#ifndef CORTEX_CLIENT_CLI_PROGRESS_H
#define CORTEX_CLIENT_CLI_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

#define PROGRESS_SAMPLES 32 /* one a second */

/* All zero at the start. */
struct progress {
    int64_t at_ms[PROGRESS_SAMPLES];
    uint64_t done[PROGRESS_SAMPLES];
    size_t count; /* samples ever taken */
};

void progress_add(struct progress *progress, int64_t now_ms, uint64_t done);

/* Per second; 0 while it cannot be told. */
double progress_rate(const struct progress *progress);

/* Until all of total is done at that rate; -1 while it cannot be told. */
int64_t progress_left_ms(const struct progress *progress, uint64_t total);

/* "[====>     ]  42%   5/12 batches   2.1/s   3s left", without the parts that cannot
 * be told. No newline. */
void progress_render(struct buffer *out,
                     const struct progress *progress,
                     uint64_t total);

#endif
