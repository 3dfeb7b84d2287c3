/* SPDX-License-Identifier: Apache-2.0 */
/* payload.h - where the bytes of a job's batches are kept
 *
 * A job's batches lie in segments: immutable objects of a few MiB below a URL prefix of
 * the job's own, numbered from 0, each with a run of batches. A writer fills one in
 * memory and stores it durably; readers fetch whole segments, check them and keep some
 * in a cache that all threads share.
 *
 * A segment, little-endian: the batches' bytes one after another; their sizes, 4 bytes
 * each; and a footer: 8 bytes of magic, 8 of the first batch's index, 4 of the count, 4
 * of the CRC-32 (zlib's) of all before them.
 *
 * All calls block on the store where said. Errors begin with the URL; a segment that is
 * missing, cut or changed is DATA_LOSS.
 */
#ifndef CORTEX_MASTER_PAYLOAD_H
#define CORTEX_MASTER_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/json_text.h"
#include "common/object.h"

#define PAYLOAD_SEGMENT_SIZE_MAX  (4u << 20) /* of batches; a larger batch is alone */
#define PAYLOAD_SEGMENT_COUNT_MAX 4096u      /* batches */

/* All that is remembered of a segment. */
struct payload_segment {
    uint64_t number; /* names it below the job's prefix */
    uint64_t first_index;
    uint32_t count;    /* batches */
    uint32_t checksum; /* the footer's */
    uint64_t bytes;    /* of the whole object */
};

/* "<prefix>/00000007.batches"; the caller frees. */
char *payload_url(const char *prefix_url, uint64_t number);

/* One thread. size_max and count_max of 0 are the limits above. */
struct payload_writer;
struct payload_writer *payload_writer_create(struct object_store *store,
                                             const char *prefix_url,
                                             size_t size_max,
                                             uint32_t count_max,
                                             uint64_t next_number,
                                             uint64_t next_index);
void payload_writer_destroy(struct payload_writer *writer); /* NULL is fine */

/* Whether the batch has room in the segment being filled; an empty one has for any. */
bool payload_writer_fits(const struct payload_writer *writer, size_t size);
void payload_writer_add(struct payload_writer *writer, struct json_slice batch);

/* Batches that were added and not flushed. */
uint32_t payload_writer_pending(const struct payload_writer *writer);

/* Stores the segment, which must not be empty; blocks until it is durable, then begins
 * the next. A segment of the same number is replaced. */
int payload_writer_flush(struct payload_writer *writer,
                         struct payload_segment *out_segment,
                         struct error *err);

/* Checked segments in memory. Thread-safe. */
struct payload_cache;
struct payload_cache *payload_cache_create(struct object_store *store,
                                           size_t bytes_max);
void payload_cache_destroy(struct payload_cache *cache); /* no reader may be in it */

/* Adds batches [first_index, ...) of the segment to *out and their sizes to out_sizes:
 * at least one, at most count_max, none after size_max bytes, none beyond the segment.
 * Blocks while the segment is fetched. INVALID_ARGUMENT if the segment does not hold
 * first_index. */
int payload_cache_read(struct payload_cache *cache,
                       const char *prefix_url,
                       const struct payload_segment *segment,
                       uint64_t first_index,
                       uint32_t count_max,
                       size_t size_max,
                       struct buffer *out,
                       uint32_t *out_sizes,
                       uint32_t *out_count,
                       struct error *err);

/* The job's segments leave memory, but for those that are being read. */
void payload_cache_forget(struct payload_cache *cache, const char *prefix_url);

/* Deletes all segments of a job; none is fine. Blocks. */
int payload_delete(struct object_store *store,
                   const char *prefix_url,
                   struct error *err);

#endif
