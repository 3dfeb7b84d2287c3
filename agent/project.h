/* SPDX-License-Identifier: Apache-2.0 */
/* project.h - how a project's files get onto this machine
 *
 * An archive is downloaded once, checked against the SHA-256 that is its name and kept
 * in a cache folder; every worker gets a fresh copy unpacked from it. Archives are
 * hostile: only tar in gzip (or plain), only regular files and folders with relative
 * paths and no "..", each path once, within the limits below. All block; any thread,
 * but two calls for the same folder must not run side by side. */
#ifndef CORTEX_AGENT_PROJECT_H
#define CORTEX_AGENT_PROJECT_H

#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

#define PROJECT_ARCHIVE_MAX  (600u << 20)  /* bytes; the CLI packs 512 MiB at most */
#define PROJECT_UNPACKED_MAX (1024u << 20) /* bytes of all files */
#define PROJECT_ENTRIES_MAX  100000

/* Adds the archive's bytes from offset on to *out, at least one, and tells the whole
 * archive's size. */
typedef int (*project_piece_fn)(void *arg,
                                const char *project_id,
                                uint64_t offset,
                                struct buffer *out,
                                uint64_t *out_size,
                                struct error *err);

/* Makes sure that "<cache>/<project_id>" is the archive and sets *out_path, which the
 * caller frees. INVALID_ARGUMENT for an id that is not 64 lower-case hex digits;
 * DATA_LOSS if the bytes that came are not those it names. */
int project_fetch(const char *cache,
                  const char *project_id,
                  project_piece_fn piece,
                  void *arg,
                  char **out_path,
                  struct error *err);

/* Unpacks into `folder`, which is made and must not exist. On failure it is removed. */
int project_unpack(const char *archive, const char *folder, struct error *err);

#endif
