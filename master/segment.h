/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h - what the master remembers of a stretch of batches
 *
 * Plain data. The stretch's payloads are one immutable file; the source_ fields say
 * where in the job's input enqueuing goes on behind it. */
#ifndef CORTEX_MASTER_SEGMENT_H
#define CORTEX_MASTER_SEGMENT_H

#include <stdint.h>

#define SEGMENT_SOURCE_KEY_SIZE 4097 /* bytes of a key or path, with NUL */

struct segment {
    uint64_t number;      /* counts a job's segments from 0; names the file */
    uint64_t first_index; /* of its first batch */
    uint32_t count;       /* of its batches */
    uint64_t bytes;       /* of the whole file */
    uint32_t checksum;    /* CRC-32 of the whole file */

    uint32_t source_entry;  /* which of the s3_paths */
    uint64_t source_offset; /* byte in the decompressed file, or in the item list */
    uint64_t source_item;   /* item in the file or list */
    char *source_key;       /* which file, "" : none yet; owned by whoever made it */
};

#endif
