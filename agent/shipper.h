/* SPDX-License-Identifier: Apache-2.0 */
/* shipper.h - which lines of a worker's output go into the job's log, in which chunks
 *
 * What a worker writes comes in pieces and leaves as whole lines of valid UTF-8:
 *   - "\n" and "\r\n" end a line. Any other "\r" starts the line anew, so of a progress
 *     bar only the last state is kept.
 *   - The byte 0x1e, which begins the runner's own lines, ends a line left open.
 *   - Bytes that are no UTF-8, and control characters but tab and escape, become
 *     U+FFFD.
 *   - A line is cut at SHIPPER_LINE_MAX bytes, and says so.
 *
 * Lines wait in memory for the chunk they leave in; a chunk has a sequence number and
 * stays until it is acknowledged. Once SHIPPER_WAITING_MAX bytes wait, the owner should
 * stop reading (the worker's writes then block); after SHIPPER_PATIENCE_MS of that
 * lines are dropped and counted, and the log says how many. Memory is bounded, and a
 * worker is never held for long.
 *
 * Pure: time is an argument. Embedded in its owner; all zero is an empty one. */
#ifndef CORTEX_AGENT_SHIPPER_H
#define CORTEX_AGENT_SHIPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

#define SHIPPER_LINE_MAX    65536
#define SHIPPER_CHUNK_MAX   (512u << 10)
#define SHIPPER_WAITING_MAX (4u << 20)
#define SHIPPER_PATIENCE_MS 2000
#define SHIPPER_GATHER_MS   20 /* lines wait this long for more, unless hurried */

struct shipper {
    struct buffer line;  /* the open line */
    bool returned;       /* "\r" was the last byte */
    bool cut;            /* the open line is over its limit */
    struct buffer ready; /* whole lines for the next chunks */
    int64_t ready_since_ms;
    int64_t full_since_ms; /* 0: not full */
    uint64_t dropped;      /* lines, since the log last said so */
    uint64_t mark;         /* bytes of lines made so far */
    uint64_t shipped;      /* of which are acknowledged */
    struct buffer chunk;   /* not yet acknowledged; empty: none */
    uint64_t sequence;     /* of that chunk, or of the last one */
};

void shipper_fini(struct shipper *shipper);

/* Whether the owner should read on. If not, ask again at *out_wake_ms (lowered) or when
 * a chunk was acknowledged. */
bool shipper_accepts(const struct shipper *shipper,
                     int64_t now_ms,
                     int64_t *out_wake_ms);

void shipper_add(struct shipper *shipper,
                 const void *data,
                 size_t size,
                 int64_t now_ms);

/* Nothing more comes: an open line becomes a whole one. */
void shipper_end(struct shipper *shipper, int64_t now_ms);

/* Whether a chunk is due: one that waits for a repeat, or lines that are old enough,
 * many enough or hurried. *out_wake_ms is lowered to when one will be. */
bool shipper_due(const struct shipper *shipper,
                 bool hurry,
                 int64_t now_ms,
                 int64_t *out_wake_ms);

/* The chunk to send: the unacknowledged one, else a new one of the lines that wait.
 * NULL if there is nothing. Borrowed until it is acknowledged. */
const struct buffer *shipper_chunk(struct shipper *shipper, int64_t now_ms);
void shipper_acknowledge(struct shipper *shipper);

/* All that was made is acknowledged. An open line does not count. */
bool shipper_done(const struct shipper *shipper);

#endif
