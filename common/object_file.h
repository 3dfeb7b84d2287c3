/* SPDX-License-Identifier: Apache-2.0 */
/* object_file.h - file:///absolute/path as a kind of store
 *
 * `self` of the table is a struct object_files. An object is a regular file, or what a
 * link leads to; its etag is made of size and time of change. Every call blocks on the
 * disk but put_start, which uses the pool.
 */
#ifndef CORTEX_COMMON_OBJECT_FILE_H
#define CORTEX_COMMON_OBJECT_FILE_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "common/object_kind.h"
#include "common/pool.h"

struct object_files {
    struct pool *pool;
    atomic_bool ending; /* puts that have not begun end with CANCELLED */
};

extern const struct object_kind object_file_kind;

/* What a file's URL leads to, "/path". */
const char *object_file_path(const char *url);
void object_file_info(const struct stat *status, struct object_info *out);
/* The error of errno, said of the URL. */
int object_file_error(const char *url, const char *what, struct error *err);

#endif
