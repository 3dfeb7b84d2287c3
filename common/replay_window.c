/* SPDX-License-Identifier: Apache-2.0 */
/* replay_window.c - has this counter been seen before? */
#include "common/replay_window.h"

#include <string.h>

static uint64_t *word_of(struct replay_window *window, uint64_t counter)
{
    return &window->seen[counter % REPLAY_WINDOW_SIZE / 64];
}

/* Makes room up to the counter: those that leave the window share bits with these. */
static void advance(struct replay_window *window, uint64_t counter)
{
    if (counter - window->next >= REPLAY_WINDOW_SIZE) {
        memset(window->seen, 0, sizeof(window->seen));
    } else {
        for (uint64_t i = window->next; i <= counter; i++) {
            *word_of(window, i) &= ~(UINT64_C(1) << i % 64);
        }
    }
    window->next = counter + 1;
}

bool replay_window_accept(struct replay_window *window, uint64_t counter)
{
    uint64_t bit = UINT64_C(1) << counter % 64;

    if (counter == UINT64_MAX) {
        return false;
    }
    if (counter >= window->next) {
        advance(window, counter);
    } else if (window->next - counter > REPLAY_WINDOW_SIZE) {
        return false;
    }
    uint64_t *word = word_of(window, counter);
    bool fresh = (*word & bit) == 0;
    *word |= bit;
    return fresh;
}
