/* SPDX-License-Identifier: Apache-2.0 */
/* fs.h - files that are there whole or not at all
 *
 * All block on the disk; all are thread-safe. Errors name the path. A full disk is
 * ERROR_DATA_LOSS (HTTP 507), a missing file ERROR_NOT_FOUND. */
#ifndef CORTEX_COMMON_FS_H
#define CORTEX_COMMON_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/buffer.h"
#include "common/error.h"

/* Makes the folder and those above it; one that exists already is fine. */
int fs_make_folder(const char *path, mode_t mode, struct error *err);

/* What an errno of a call on files is: DATA_LOSS if the disk is full or fails. */
enum error_code fs_error_code(int error);

/* Reads a whole file of at most size_max bytes (larger: ERROR_OUT_OF_RANGE) and adds
 * it to *out. */
int fs_read(const char *path, size_t size_max, struct buffer *out, struct error *err);

/* Writes through "<path>.tmp.<pid>.<n>", fsync, rename, fsync of the folder: after 0
 * the file survives a power cut, after -1 the old one stands and nothing else is left;
 * but if it was the folder that could not be synced, the new one stands where an old
 * one was. */
int fs_write_durable(
    const char *path, const void *data, size_t size, mode_t mode, struct error *err);

/* Removes what fs_write_durable left in a folder when its program was killed. For a
 * folder that nobody writes to meanwhile. */
void fs_remove_unfinished(const char *folder);

/* fsync of the folder that holds path, so that a rename or unlink in it is durable. */
int fs_sync_folder_of(const char *path, struct error *err);

/* Unlinks a file; a missing one is fine. */
int fs_remove(const char *path, struct error *err);

/* Removes a folder with all below it, however deep; a missing one is fine. Follows no
 * link but those of path itself, even if somebody changes the tree meanwhile. */
int fs_remove_tree(const char *path, struct error *err);

bool fs_exists(const char *path);

/* "<left>/<right>" with one slash between; the caller frees. */
char *fs_join(const char *left, const char *right);

/* The path seen from "/": a relative one is below the current folder. The caller
 * frees. */
char *fs_absolute(const char *path);

/* Writes all, over partial writes and EINTR. */
int fs_write_all(int fd, const void *data, size_t size, struct error *err);

/* Lets this process have `wanted` descriptors, or as many as the hard limit allows;
 * never fewer than before. Returns how many it may have. */
size_t fs_allow_descriptors(size_t wanted);

#endif
