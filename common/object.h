/* SPDX-License-Identifier: Apache-2.0 */
/* object.h - bytes behind a URL: s3://bucket/key or file:///absolute/path
 *
 * One interface over two stores. An S3 key is bytes: it is taken from the URL as it
 * stands, never decoded, cleaned or normalised. file:// URLs work only where the
 * process allows them, with the path's bytes as they stand.
 *
 * Every call may be made from any thread; the blocking ones wait while one I/O thread
 * runs all transfers side by side, with keep-alive, deadlines and retries (5xx,
 * SlowDown, timeouts, broken transfers: exponential backoff with full jitter). Errors
 * begin with the URL. Codes: INVALID_ARGUMENT (kind aws.invalid_s3_path for a malformed
 * URL), NOT_FOUND (bucket or key), PERMISSION_DENIED, UNAUTHENTICATED (there are no
 * credentials), UNAVAILABLE (retries used up), OUT_OF_RANGE (over a size limit),
 * ABORTED (the object changed while it was read), DATA_LOSS (the disk is full or
 * broken).
 *
 * Source: Amazon S3 API Reference (API_GetObject, API_PutObject, API_ListObjectsV2,
 * API_CreateMultipartUpload), "Common errors".
 */
#ifndef CORTEX_COMMON_OBJECT_H
#define CORTEX_COMMON_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buffer.h"
#include "common/error.h"

#define OBJECT_KEY_SIZE_MAX   1024        /* bytes of an S3 key */
#define OBJECT_MULTIPART_SIZE (16u << 20) /* puts from this size on are multipart */

struct object_store;

struct object_options {
    bool allow_file;        /* whether file:// is taken */
    unsigned transfers_max; /* at a time; 0: 64 */
    unsigned attempts_max;  /* of one request; 0: 6 */
    int64_t backoff_ms;     /* first backoff's upper bound; 0: 100; tests set 1 */
    unsigned stall_s;       /* a transfer without progress ends after; 0: 30 */
};

/* Reads the AWS settings of environment and profile (aws_credentials.h) when it first
 * needs them, not here. Starts the I/O thread. */
int object_store_create(const struct object_options *options,
                        struct object_store **out_store,
                        struct error *err);
/* Ends the I/O thread; puts under way that were started without waiting end with
 * CANCELLED. No other call may be under way, and lists and readers must be closed. May
 * wait for a source of credentials (aws_credentials.h), up to 30 s. */
void object_store_destroy(struct object_store *store);

/* 0 if the URL is well formed and of a kind the store takes. No I/O. */
int object_check_url(const struct object_store *store,
                     const char *url,
                     struct error *err);

struct object_info {
    uint64_t size; /* of the whole object */
    char etag[80]; /* quotes included; for file: size and mtime; "" if none */
};

int object_stat(struct object_store *store,
                const char *url,
                struct object_info *out_info,
                struct error *err);

/* Adds bytes [offset, offset + size) to *out, fewer at the object's end; size
 * UINT64_MAX is "to the end". With more than size_max bytes to come: OUT_OF_RANGE.
 * etag, if not NULL or "", must still be the object's (ABORTED). out_info may be NULL.
 */
int object_get(struct object_store *store,
               const char *url,
               uint64_t offset,
               uint64_t size,
               uint64_t size_max,
               const char *etag,
               struct buffer *out,
               struct object_info *out_info,
               struct error *err);

/* Stores the bytes whole or not at all, replacing what was there. From
 * OBJECT_MULTIPART_SIZE on in concurrent parts (aborted if it fails). What was tried
 * more than once and has failed for good is looked for, and is no failure if it is
 * there: only its answer was lost. content_type may be NULL. */
int object_put(struct object_store *store,
               const char *url,
               const void *data,
               size_t size,
               const char *content_type,
               struct error *err);

/* The same without waiting: `done` is called once, on the I/O thread or a thread of the
 * store's, and must not block; err is NULL when it went well. data is borrowed until
 * then. */
typedef void (*object_done_fn)(void *arg, const struct error *err);
void object_put_start(struct object_store *store,
                      const char *url,
                      const void *data,
                      size_t size,
                      const char *content_type,
                      object_done_fn done,
                      void *arg);

/* A missing object is fine. */
int object_delete(struct object_store *store, const char *url, struct error *err);

/* All objects whose URL begins with the prefix, as plain text, in ascending byte order
 * of the key; "s3://bucket" is the whole bucket. Directory markers (keys ending in "/")
 * are included. Pages of at most 1,000 are fetched as needed. start_after, a full URL
 * or NULL: only those that sort behind it. */
struct object_list;
struct object_entry {
    const char *url; /* borrowed until the next call */
    uint64_t size;
    const char *etag;
};
int object_list_open(struct object_store *store,
                     const char *prefix_url,
                     const char *start_after,
                     struct object_list **out_list,
                     struct error *err);
/* 1 and *out_entry, 0 at the end, -1 on failure. */
int object_list_next(struct object_list *list,
                     struct object_entry *out_entry,
                     struct error *err);
void object_list_close(struct object_list *list);

/* A whole object in order, from `offset` on, with the next range already on its way:
 * memory is bounded whatever the size. The object must not change between ranges
 * (ABORTED). read returns bytes, 0 at the end, -1 on failure. */
struct object_reader;
int object_reader_open(struct object_store *store,
                       const char *url,
                       uint64_t offset,
                       struct object_reader **out_reader,
                       struct error *err);
ssize_t object_reader_read(struct object_reader *reader,
                           void *out,
                           size_t size,
                           struct error *err);
const struct object_info *object_reader_info(const struct object_reader *reader);
void object_reader_close(struct object_reader *reader);

/* For messages and `cluster info`: where credentials and endpoint come from, such as
 * "environment, https://s3.us-west-2.amazonaws.com". The caller frees. */
char *object_store_describe(struct object_store *store);

#endif
