/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_hand.c - does a hand keep count, whatever runner and master do? */
#include "agent/hand.h"
#include "tests/fuzz/fuzz.h"

static void act(struct hand *hand, unsigned what, unsigned with, int64_t now_ms)
{
    const struct hand_end end = {.outcome = HAND_FAILED,
                                 .storing = what & 16,
                                 .start_ms = now_ms,
                                 .duration_us = (uint64_t)with << 20,
                                 .log_mark = with,
                                 .error =
                                     what & 32 && !(what & 16) ? "an error" : NULL};
    size_t cursor = 0;
    int64_t wake_ms = INT64_MAX;

    switch (what % 8) {
    case 0:
    case 1:
        hand_add(hand, with, (uint64_t)now_ms, with << 12, now_ms);
        break;
    case 2:
        hand_end(hand, &end, now_ms);
        break;
    case 3:
        (void)hand_stored(hand, with, end.error, now_ms);
        break;
    case 4:
        hand_give_back(hand, what & 16, end.error, now_ms);
        break;
    case 5:
        (void)hand_tell(hand, with, &cursor);
        break;
    case 6:
        hand_acknowledge(hand);
        break;
    default:
        if (what == 255) {
            hand_drop_held(hand);
        }
        fuzz_check(hand_wanted(hand, now_ms, &wake_ms) <= HAND_HELD_MAX,
                   "an ask's limit");
    }
}

static void check(const struct hand *hand)
{
    size_t by_state[HAND_SENT + 1] = {0};
    uint64_t held_bytes = 0;

    for (size_t i = 0; i < hand->count; i++) {
        const struct hand_batch *batch = &hand->batches[hand->first + i];
        by_state[batch->state]++;
        held_bytes += batch->state == HAND_HELD ? batch->size : 0;
        fuzz_check((batch->state == HAND_HELD) == (i >= hand->count - hand->held),
                   "what is held stands last");
    }
    fuzz_check(
        by_state[HAND_HELD] == hand->held && by_state[HAND_STORING] == hand->storing &&
            by_state[HAND_DONE] == hand->done && by_state[HAND_SENT] == hand->sent,
        "states are counted");
    fuzz_check(held_bytes == hand->held_bytes, "and bytes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size < 1024 ? size : 1024};
    struct hand hand = {0};

    for (int64_t now_ms = 0; input.size > 0; now_ms++) {
        unsigned what = fuzz_take_byte(&input);
        act(&hand, what, fuzz_take_byte(&input), now_ms);
        check(&hand);
    }
    hand_fini(&hand);
    return 0;
}
