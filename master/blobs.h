/* SPDX-License-Identifier: Apache-2.0 */
/* blobs.h - where project archives are kept
 *
 * Content-addressed: an archive's name is its SHA-256, so it is stored once and never
 * changes. It comes in pieces, which lie in a folder of this machine's until it is
 * whole, and is then put below a URL prefix. All calls block; thread-safe, but pieces
 * of one archive must come one after another. */
#ifndef CORTEX_MASTER_BLOBS_H
#define CORTEX_MASTER_BLOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/object.h"

#define BLOBS_ARCHIVE_SIZE_MAX  (UINT64_C(512) << 20)
#define BLOBS_UNPACKED_SIZE_MAX (1024u << 20) /* agents unpack no more (project.h) */
#define BLOBS_PIECE_SIZE_MAX    (4u << 20)
#define BLOBS_ENTRIES_MAX       1000000 /* files of an archive that are looked at */

struct blobs;

struct blobs *blobs_create(struct object_store *store,
                           const char *prefix_url,
                           const char *incoming_folder);
void blobs_destroy(struct blobs *blobs); /* NULL is fine */

/* True for 64 lower-case hex digits. */
bool blobs_valid_id(const char *project_id);

/* Takes a piece (size 0: only asks). *out_complete: the whole archive is stored,
 * durably; else *out_next is where to go on. DATA_LOSS: the bytes do not hash to the
 * id; what came so far is dropped. */
int blobs_put(struct blobs *blobs,
              const char *project_id,
              uint64_t offset,
              uint64_t total,
              const void *piece,
              size_t size,
              bool *out_complete,
              uint64_t *out_next,
              struct error *err);

/* Adds at most BLOBS_PIECE_SIZE_MAX bytes from offset on to *out. */
int blobs_read(struct blobs *blobs,
               const char *project_id,
               uint64_t offset,
               struct buffer *out,
               uint64_t *out_total,
               struct error *err);

/* The paths of an archive's regular files, each ended by a NUL, added to *out.
 * OUT_OF_RANGE: there are too many, or they are too large together. */
int blobs_list(struct blobs *blobs,
               const char *project_id,
               struct buffer *out,
               struct error *err);

#endif
