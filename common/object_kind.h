/* SPDX-License-Identifier: Apache-2.0 */
/* object_kind.h - what a kind of store has to do for object.h
 *
 * Each kind (file://, s3://) is one such table; object.h says what its functions mean.
 * They get URLs that have passed `check`. `self` is what the kind was made with.
 */
#ifndef CORTEX_COMMON_OBJECT_KIND_H
#define CORTEX_COMMON_OBJECT_KIND_H

#include "common/object.h"

struct object_kind {
    const char *scheme; /* "s3://" */
    /* with_key: it must name an object, not a bucket or folder. */
    int (*check)(const char *url, bool with_key, struct error *err);
    int (*stat)(void *self,
                const char *url,
                struct object_info *out_info,
                struct error *err);
    int (*get)(void *self,
               const char *url,
               uint64_t offset,
               uint64_t size,
               uint64_t size_max,
               const char *etag, /* never NULL */
               struct buffer *out,
               struct object_info *out_info, /* never NULL */
               struct error *err);
    int (*put)(void *self,
               const char *url,
               const void *data,
               size_t size,
               const char *content_type,
               struct error *err);
    void (*put_start)(void *self,
                      const char *url,
                      const void *data,
                      size_t size,
                      const char *content_type,
                      object_done_fn done,
                      void *arg);
    int (*remove)(void *self, const char *url, struct error *err);
    int (*list_open)(void *self,
                     const char *prefix_url,
                     const char *start_after, /* never NULL */
                     struct object_list **out_list,
                     struct error *err);
    int (*reader_open)(void *self,
                       const char *url,
                       uint64_t offset,
                       struct object_reader **out_reader,
                       struct error *err);
};

/* A kind's own list and reader begin with these. */
struct object_list {
    int (*next)(struct object_list *list,
                struct object_entry *out_entry,
                struct error *err);
    void (*close)(struct object_list *list);
};

struct object_reader {
    struct object_info info;
    ssize_t (*read)(struct object_reader *reader,
                    void *out,
                    size_t size,
                    struct error *err);
    void (*close)(struct object_reader *reader);
};

#endif
