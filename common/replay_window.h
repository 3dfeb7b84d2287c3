/* SPDX-License-Identifier: Apache-2.0 */
/* replay_window.h - has this counter been seen before?
 *
 * Remembers the newest REPLAY_WINDOW_SIZE counters up to the highest one seen; whatever
 * is older counts as seen. All zero is an empty one. Ask it only for what has been
 * found authentic, else a forger could move it. Pure; not thread-safe. */
#ifndef CORTEX_COMMON_REPLAY_WINDOW_H
#define CORTEX_COMMON_REPLAY_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WINDOW_SIZE 1024

struct replay_window {
    uint64_t next;                          /* one more than the highest seen */
    uint64_t seen[REPLAY_WINDOW_SIZE / 64]; /* bit i: the counter that is i mod size */
};

/* True, once, for a counter that was not seen; UINT64_MAX is none. */
bool replay_window_accept(struct replay_window *window, uint64_t counter);

#endif
