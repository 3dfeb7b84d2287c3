/* SPDX-License-Identifier: Apache-2.0 */
/* object.c - bytes behind a URL: s3://bucket/key or file:///absolute/path */
#include "common/object.h"

#include <stdlib.h>
#include <string.h>

#include "common/id.h"
#include "common/object_file.h"
#include "common/pool.h"
#include "common/s3.h"

#define OBJECT_TRANSFERS   64
#define OBJECT_ATTEMPTS    6
#define OBJECT_BACKOFF_MS  100
#define OBJECT_STALL_S     30
#define OBJECT_THREADS     4 // that write files and fetch keys
#define OBJECT_QUOTE_BYTES 200

struct object_store {
    bool allow_file;
    struct pool *pool;
    struct object_files files;
    struct s3_service *s3;
};

int object_store_create(const struct object_options *options,
                        struct object_store **out_store,
                        struct error *err)
{
    struct object_store *store = memory_zalloc(sizeof(*store));
    const struct aws_transfer_options transfer = {
        .calls_max = options->transfers_max ? options->transfers_max : OBJECT_TRANSFERS,
        .attempts_max = options->attempts_max ? options->attempts_max : OBJECT_ATTEMPTS,
        .backoff_ms = options->backoff_ms ? options->backoff_ms : OBJECT_BACKOFF_MS,
        .stall_s = options->stall_s ? options->stall_s : OBJECT_STALL_S,
    };

    store->allow_file = options->allow_file;
    if (id_init() != 0) {
        free(store);
        return error_set(err, ERROR_INTERNAL, "there is no source of random numbers");
    }
    if (pool_create(OBJECT_THREADS, &store->pool, err) != 0) {
        free(store);
        return -1;
    }
    if (s3_service_create(&transfer, store->pool, &store->s3, err) != 0) {
        pool_destroy(store->pool);
        free(store);
        return -1;
    }
    store->files.pool = store->pool;
    *out_store = store;
    return 0;
}

void object_store_destroy(struct object_store *store)
{
    if (!store) {
        return;
    }
    atomic_store(&store->files.ending, true);
    s3_service_stop(store->s3);
    pool_destroy(store->pool);
    s3_service_destroy(store->s3);
    free(store);
}

// The kind of store the URL belongs to and what it was made with, if it is well formed.
static const struct object_kind *find(const struct object_store *store,
                                      const char *url,
                                      bool with_key,
                                      void **out_self,
                                      struct error *err)
{
    const struct {
        const struct object_kind *kind;
        const void *self;
        bool allowed;
    } rows[] = {
        {&s3_kind, store->s3, true},
        {&object_file_kind, &store->files, store->allow_file},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *scheme = rows[i].kind->scheme;
        if (rows[i].allowed && strncmp(url, scheme, strlen(scheme)) == 0) {
            if (rows[i].kind->check(url, with_key, err) != 0) {
                return NULL;
            }
            *out_self = (void *)rows[i].self;
            return rows[i].kind;
        }
    }
    error_set_kind(err,
                   ERROR_INVALID_ARGUMENT,
                   "aws.invalid_s3_path",
                   "%.*s: expected s3://bucket/folder/file%s",
                   OBJECT_QUOTE_BYTES,
                   url,
                   store->allow_file ? " or file:///folder/file" : "");
    return NULL;
}

int object_check_url(const struct object_store *store,
                     const char *url,
                     struct error *err)
{
    void *self;

    return find(store, url, false, &self, err) ? 0 : -1;
}

int object_stat(struct object_store *store,
                const char *url,
                struct object_info *out_info,
                struct error *err)
{
    void *self;
    const struct object_kind *kind = find(store, url, true, &self, err);

    return kind ? kind->stat(self, url, out_info, err) : -1;
}

int object_get(struct object_store *store,
               const char *url,
               uint64_t offset,
               uint64_t size,
               uint64_t size_max,
               const char *etag,
               struct buffer *out,
               struct object_info *out_info,
               struct error *err)
{
    struct object_info info;
    void *self;
    const struct object_kind *kind = find(store, url, true, &self, err);

    if (!kind ||
        kind->get(
            self, url, offset, size, size_max, etag ? etag : "", out, &info, err) !=
            0) {
        return -1;
    }
    if (out_info) {
        *out_info = info;
    }
    return 0;
}

int object_put(struct object_store *store,
               const char *url,
               const void *data,
               size_t size,
               const char *content_type,
               struct error *err)
{
    void *self;
    const struct object_kind *kind = find(store, url, true, &self, err);

    return kind ? kind->put(self, url, data, size, content_type, err) : -1;
}

void object_put_start(struct object_store *store,
                      const char *url,
                      const void *data,
                      size_t size,
                      const char *content_type,
                      object_done_fn done,
                      void *arg)
{
    struct error err = {0};
    void *self;
    const struct object_kind *kind = find(store, url, true, &self, &err);

    if (kind) {
        kind->put_start(self, url, data, size, content_type, done, arg);
    } else {
        done(arg, &err);
    }
}

int object_delete(struct object_store *store, const char *url, struct error *err)
{
    void *self;
    const struct object_kind *kind = find(store, url, true, &self, err);

    return kind ? kind->remove(self, url, err) : -1;
}

int object_list_open(struct object_store *store,
                     const char *prefix_url,
                     const char *start_after,
                     struct object_list **out_list,
                     struct error *err)
{
    void *self;
    const struct object_kind *kind = find(store, prefix_url, false, &self, err);

    return kind ? kind->list_open(
                      self, prefix_url, start_after ? start_after : "", out_list, err)
                : -1;
}

int object_list_next(struct object_list *list,
                     struct object_entry *out_entry,
                     struct error *err)
{
    return list->next(list, out_entry, err);
}

void object_list_close(struct object_list *list)
{
    if (list) {
        list->close(list);
    }
}

int object_reader_open(struct object_store *store,
                       const char *url,
                       uint64_t offset,
                       struct object_reader **out_reader,
                       struct error *err)
{
    void *self;
    const struct object_kind *kind = find(store, url, true, &self, err);

    return kind ? kind->reader_open(self, url, offset, out_reader, err) : -1;
}

ssize_t object_reader_read(struct object_reader *reader,
                           void *out,
                           size_t size,
                           struct error *err)
{
    return reader->read(reader, out, size, err);
}

const struct object_info *object_reader_info(const struct object_reader *reader)
{
    return &reader->info;
}

void object_reader_close(struct object_reader *reader)
{
    if (reader) {
        reader->close(reader);
    }
}

char *object_store_describe(struct object_store *store)
{
    return s3_service_describe(store->s3);
}
