/* SPDX-License-Identifier: Apache-2.0 */
/* input_file.h - what an input file holds, decompressed
 *
 * A URL that ends in ".gz" (gzip, several members too) or ".zst" (Zstandard, several
 * frames too) is read decompressed, any other as it is; a file of no bytes is empty
 * whatever its name. Memory is bounded whatever the file's size. All calls may block on
 * the store. Errors begin with the URL; broken or cut compressed data is
 * INVALID_ARGUMENT. One thread at a time.
 *
 * Source: RFC 1952, RFC 8878.
 */
#ifndef CORTEX_MASTER_INPUT_FILE_H
#define CORTEX_MASTER_INPUT_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/object.h"

struct input_file;

/* Opens the file at `offset` of what it holds decompressed (up to there it is read and
 * dropped if it is compressed). etag: if not "", the object must still have it, else
 * ABORTED. */
int input_file_open(struct object_store *store,
                    const char *url,
                    uint64_t offset,
                    const char *etag,
                    struct input_file **out_file,
                    struct error *err);
void input_file_close(struct input_file *file); /* NULL is fine */

/* The next bytes, borrowed until the next call: how many, 0 at the end, -1. */
ssize_t
input_file_read(struct input_file *file, const char **out_data, struct error *err);

/* The object's etag, "" if it has none. */
const char *input_file_etag(const struct input_file *file);

#endif
