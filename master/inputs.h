/* SPDX-License-Identifier: Apache-2.0 */
/* inputs.h - which files a lister finds, in which order
 *
 * For every entry of s3_paths that no other covers, in the order given: all objects
 * whose URL begins with it, in byte order, without directory markers (URLs ending in
 * '/'), that includes and excludes let through. All calls block on the store; listings
 * are fetched page by page, so memory is bounded.
 *
 * Errors of the store begin with the URL; a selected file whose URL is not UTF-8 is
 * INVALID_ARGUMENT. One thread at a time.
 */
#ifndef CORTEX_MASTER_INPUTS_H
#define CORTEX_MASTER_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/object.h"
#include "master/lister.h"

/* Longest URL of a file in bytes, with NUL: "s3://", a bucket and a key of the largest
 * size S3 has, and as much for files. A longer one is INVALID_ARGUMENT. */
#define INPUTS_URL_SIZE 1280

#define INPUTS_PAGE_PATHS_MAX 1000  /* of a page of inputs_page */
#define INPUTS_PAGE_KEYS_MAX  10000 /* looked at for a page */

struct inputs {
    struct object_store *store;
    const struct lister *lister;
    size_t entry;              /* of s3_paths, the last file's */
    uint64_t keys;             /* looked at so far */
    char url[INPUTS_URL_SIZE]; /* the last one looked at, "" if none */
    /* Private. */
    struct object_list *list; /* NULL: the entry's is not open */
};

/* Begins at an entry behind a URL of it; 0 and "" for the start. */
void inputs_init(struct inputs *inputs,
                 struct object_store *store,
                 const struct lister *lister,
                 size_t entry,
                 const char *after_url);
void inputs_fini(struct inputs *inputs);

/* 1: inputs->url and inputs->entry are the next file's; 0: there is none; -1. */
int inputs_next(struct inputs *inputs, struct error *err);

/* What a lister that finds no file is answered with: INVALID_ARGUMENT, kind
 * batchapi.no_s3_files_found. Returns -1. */
int inputs_none(const struct lister *lister, struct error *err);

/* Whether at least one file is meant, and for the entries behind it whether they can be
 * listed. What the submitter did wrong, a missing or forbidden bucket too, is
 * INVALID_ARGUMENT. stopped, asked now and then, may end it with CANCELLED. */
int inputs_check(struct object_store *store,
                 const struct lister *lister,
                 bool (*stopped)(void *arg),
                 void *arg,
                 struct error *err);

/* A page of what a dry run lists: calls each with every URL of it, and sets *out_token
 * to where the next page begins, "" if there is none. token is "" for the first page. A
 * page may be empty and yet have a next. inputs_none if the last page ends without any.
 */
int inputs_page(struct object_store *store,
                const struct lister *lister,
                const char *token,
                void (*each)(void *arg, const char *url),
                void *arg,
                struct buffer *out_token,
                struct error *err);

#endif
