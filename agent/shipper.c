/* SPDX-License-Identifier: Apache-2.0 */
/* shipper.c - which lines of a worker's output go into the job's log, in which chunks
 */
#include <string.h>

#include "agent/shipper.h"
#include "common/utf8.h"

#define RUNNER_MARK 0x1e
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

void shipper_fini(struct shipper *shipper)
{
    buffer_fini(&shipper->line);
    buffer_fini(&shipper->ready);
    buffer_fini(&shipper->chunk);
    memset(shipper, 0, sizeof(*shipper));
}

/* An ASCII character that a log may hold. */
static bool plain(unsigned char c)
{
    return (c >= 0x20 && c < 0x7F) || c == '\t' || c == 0x1B;
}

/* Adds the text as valid UTF-8 without control characters. */
static void add_clean(struct buffer *out, const struct buffer *line)
{
    const unsigned char *text = (const unsigned char *)line->data;
    size_t from = 0;
    size_t at = 0;

    while (at < line->size) {
        uint32_t code = text[at];
        size_t size =
            plain(text[at]) ? 1 : utf8_decode(line->data + at, line->size - at, &code);

        if (size == 1 && !plain(text[at])) {
            size = 0; // a control character
        }

        if (size > 0) {
            at += size;
            continue;
        }
        buffer_add(out, text + from, at - from);
        buffer_add_text(out, REPLACEMENT);
        at++;
        from = at;
    }
    if (at > from) {
        buffer_add(out, text + from, at - from);
    }
}

static bool is_full(const struct shipper *shipper)
{
    return shipper->ready.size >= SHIPPER_WAITING_MAX;
}

static void add_dropped(struct shipper *shipper)
{
    if (shipper->dropped > 0) {
        buffer_add_format(&shipper->ready,
                          "... %llu lines are missing here: they came faster than the "
                          "log could be shipped\n",
                          (unsigned long long)shipper->dropped);
        shipper->dropped = 0;
    }
}

static void end_line(struct shipper *shipper, int64_t now_ms)
{
    size_t before = shipper->ready.size;

    // Once lines are being dropped, go on until there is room for many again.
    if (is_full(shipper) ||
        (shipper->dropped > 0 && shipper->ready.size > SHIPPER_WAITING_MAX / 2)) {
        shipper->dropped++;
    } else {
        add_dropped(shipper);
        add_clean(&shipper->ready, &shipper->line);
        if (shipper->cut) {
            buffer_add_format(
                &shipper->ready, " ... (line cut at %d bytes)", SHIPPER_LINE_MAX);
        }
        buffer_add_char(&shipper->ready, '\n');
        if (before == 0) {
            shipper->ready_since_ms = now_ms;
        }
        shipper->mark += shipper->ready.size - before;
        if (is_full(shipper) && shipper->full_since_ms == 0) {
            shipper->full_since_ms = now_ms;
        }
    }
    shipper->cut = false;
    buffer_clear(&shipper->line);
}

/* How many of the bytes are neither line ends nor marks. */
static size_t span(const unsigned char *data, size_t size)
{
    size_t i = 0;

    while (i < size && data[i] != '\n' && data[i] != '\r' && data[i] != RUNNER_MARK) {
        i++;
    }
    return i;
}

static void add_text(struct shipper *shipper, const void *data, size_t size)
{
    size_t room = SHIPPER_LINE_MAX - shipper->line.size;

    if (size > room) {
        shipper->cut = true;
        size = room;
    }
    if (size > 0) {
        buffer_add(&shipper->line, data, size);
    }
}

void shipper_add(struct shipper *shipper, const void *data, size_t size, int64_t now_ms)
{
    const unsigned char *at = data;
    const unsigned char *end = at + size;

    while (at < end) {
        size_t n = span(at, (size_t)(end - at));

        if (shipper->returned && *at != '\n' && *at != '\r') {
            // What follows a lone "\r" is written over the line.
            if (*at != RUNNER_MARK) {
                buffer_clear(&shipper->line);
                shipper->cut = false;
            }
            shipper->returned = false;
        }
        add_text(shipper, at, n);
        at += n;
        if (at == end) {
            break;
        }
        if (*at == '\r') {
            shipper->returned = true;
        } else if (*at == '\n' || shipper->line.size > 0) {
            end_line(shipper, now_ms);
            shipper->returned = false;
        }
        at++;
    }
}

void shipper_end(struct shipper *shipper, int64_t now_ms)
{
    if (shipper->line.size > 0) {
        end_line(shipper, now_ms);
    }
    if (shipper->dropped > 0) {
        size_t before = shipper->ready.size;

        add_dropped(shipper);
        shipper->mark += shipper->ready.size - before;
    }
}

bool shipper_accepts(const struct shipper *shipper,
                     int64_t now_ms,
                     int64_t *out_wake_ms)
{
    int64_t until_ms = shipper->full_since_ms + SHIPPER_PATIENCE_MS;

    if (shipper->full_since_ms == 0 || now_ms >= until_ms) {
        return true;
    }
    if (until_ms < *out_wake_ms) {
        *out_wake_ms = until_ms;
    }
    return false;
}

bool shipper_due(const struct shipper *shipper,
                 bool hurry,
                 int64_t now_ms,
                 int64_t *out_wake_ms)
{
    int64_t due_ms = shipper->ready_since_ms + SHIPPER_GATHER_MS;

    if (shipper->chunk.size > 0) {
        return true;
    }
    if (shipper->ready.size == 0) {
        return false;
    }
    if (hurry || shipper->ready.size >= SHIPPER_CHUNK_MAX || now_ms >= due_ms) {
        return true;
    }
    if (due_ms < *out_wake_ms) {
        *out_wake_ms = due_ms;
    }
    return false;
}

/* Bytes of whole lines at the front that fit into one chunk. */
static size_t chunk_size(const struct buffer *ready)
{
    const char *end;

    if (ready->size <= SHIPPER_CHUNK_MAX) {
        return ready->size;
    }
    end = memrchr(ready->data, '\n', SHIPPER_CHUNK_MAX);
    return (size_t)(end - ready->data) + 1;
}

const struct buffer *shipper_chunk(struct shipper *shipper, int64_t now_ms)
{
    size_t size;

    if (shipper->chunk.size > 0) {
        return &shipper->chunk;
    }
    if (shipper->ready.size == 0) {
        return NULL;
    }
    size = chunk_size(&shipper->ready);
    buffer_add(&shipper->chunk, shipper->ready.data, size);
    buffer_drop_front(&shipper->ready, size);
    shipper->ready_since_ms = now_ms;
    shipper->sequence++;
    if (!is_full(shipper)) {
        shipper->full_since_ms = 0;
    }
    return &shipper->chunk;
}

void shipper_acknowledge(struct shipper *shipper)
{
    shipper->shipped += shipper->chunk.size;
    buffer_clear(&shipper->chunk);
}

bool shipper_done(const struct shipper *shipper)
{
    return shipper->ready.size == 0 && shipper->chunk.size == 0;
}
