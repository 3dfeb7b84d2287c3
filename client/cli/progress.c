/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - how far along a job is, how fast it goes, and when it will be done */
#include "client/cli/progress.h"

#include <inttypes.h>

#include "client/cli/render.h"
#include "common/clock.h"

#define BAR_WIDTH   30
#define LEFT_MAX_MS (INT64_C(366) * 24 * 3600 * 1000) /* beyond, none is told */

static size_t newest(const struct progress *progress)
{
    return (progress->count - 1) % PROGRESS_SAMPLES;
}

static size_t oldest(const struct progress *progress)
{
    return progress->count > PROGRESS_SAMPLES ? progress->count % PROGRESS_SAMPLES : 0;
}

static uint64_t done_now(const struct progress *progress)
{
    return progress->count > 0 ? progress->done[newest(progress)] : 0;
}

void progress_add(struct progress *progress, int64_t now_ms, uint64_t done)
{
    size_t at = progress->count++ % PROGRESS_SAMPLES;

    progress->at_ms[at] = now_ms;
    progress->done[at] = done;
}

double progress_rate(const struct progress *progress)
{
    if (progress->count < 2) {
        return 0;
    }
    size_t first = oldest(progress);
    size_t last = newest(progress);
    int64_t passed_ms = progress->at_ms[last] - progress->at_ms[first];
    if (passed_ms <= 0 || progress->done[last] <= progress->done[first]) {
        return 0;
    }
    uint64_t gained = progress->done[last] - progress->done[first];
    return (double)gained * 1000 / (double)passed_ms;
}

int64_t progress_left_ms(const struct progress *progress, uint64_t total)
{
    double rate = progress_rate(progress);
    uint64_t done = done_now(progress);

    if (rate <= 0) {
        return -1;
    }
    double left_ms = total > done ? (double)(total - done) * 1000 / rate : 0;
    return left_ms > (double)LEFT_MAX_MS ? -1 : (int64_t)left_ms;
}

void progress_render(struct buffer *out,
                     const struct progress *progress,
                     uint64_t total)
{
    double rate = progress_rate(progress);
    int64_t left_ms = progress_left_ms(progress, total);
    char text[CLOCK_TEXT_SIZE];

    render_bar(out, done_now(progress), total, BAR_WIDTH);
    buffer_add_format(
        out, "   %" PRIu64 "/%" PRIu64 " batches", done_now(progress), total);
    if (rate > 0) {
        buffer_add_format(out, "   %.*f/s", rate < 10 ? 1 : 0, rate);
    }
    if (left_ms >= 0) {
        clock_format_duration(left_ms + 500, text);
        buffer_add_format(out, "   %s left", text);
    }
}
