/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - an object store whose only object is the fuzzer's input
 *
 * For the targets whose CMake lines wrap object_*: what they call comes here. Include
 * it in one file. */
#ifndef CORTEX_TESTS_FUZZ_STORE_H
#define CORTEX_TESTS_FUZZ_STORE_H

#include "common/object.h"
#include "tests/fuzz/fuzz.h"

static struct fuzz_input store_object;
static size_t store_piece = SIZE_MAX; /* bytes that a reader gives at a time */

int __wrap_object_stat(struct object_store *store,
                       const char *url,
                       struct object_info *out_info,
                       struct error *err);
int __wrap_object_get(struct object_store *store,
                      const char *url,
                      uint64_t offset,
                      uint64_t size,
                      uint64_t size_max,
                      const char *etag,
                      struct buffer *out,
                      struct object_info *out_info,
                      struct error *err);
int __wrap_object_reader_open(struct object_store *store,
                              const char *url,
                              uint64_t offset,
                              struct object_reader **out_reader,
                              struct error *err);
ssize_t __wrap_object_reader_read(struct object_reader *reader,
                                  void *out,
                                  size_t size,
                                  struct error *err);
const struct object_info *__wrap_object_reader_info(const struct object_reader *reader);
void __wrap_object_reader_close(struct object_reader *reader);

struct object_reader {
    struct fuzz_input left;
    struct object_info info;
};

int __wrap_object_stat(struct object_store *store,
                       const char *url,
                       struct object_info *out_info,
                       struct error *err)
{
    (void)store;
    (void)url;
    (void)err;
    *out_info = (struct object_info){.size = store_object.size};
    return 0;
}

int __wrap_object_get(struct object_store *store,
                      const char *url,
                      uint64_t offset,
                      uint64_t size,
                      uint64_t size_max,
                      const char *etag,
                      struct buffer *out,
                      struct object_info *out_info,
                      struct error *err)
{
    (void)store;
    (void)etag;
    uint64_t left = offset < store_object.size ? store_object.size - offset : 0;

    size = size < left ? size : left;
    if (size > size_max) {
        return error_set(err, ERROR_OUT_OF_RANGE, "%s: too large", url);
    }
    buffer_add(out, store_object.data + store_object.size - left, (size_t)size);
    if (out_info) {
        *out_info = (struct object_info){.size = store_object.size};
    }
    return 0;
}

int __wrap_object_reader_open(struct object_store *store,
                              const char *url,
                              uint64_t offset,
                              struct object_reader **out_reader,
                              struct error *err)
{
    (void)store;
    (void)url;
    (void)err;
    uint64_t skip = offset < store_object.size ? offset : store_object.size;
    struct object_reader *reader = memory_zalloc(sizeof(*reader));

    reader->left.data = store_object.data + skip;
    reader->left.size = store_object.size - skip;
    reader->info.size = store_object.size;
    *out_reader = reader;
    return 0;
}

ssize_t __wrap_object_reader_read(struct object_reader *reader,
                                  void *out,
                                  size_t size,
                                  struct error *err)
{
    (void)err;
    size = size < reader->left.size ? size : reader->left.size;
    size = size < store_piece ? size : store_piece;
    if (size > 0) {
        memcpy(out, reader->left.data, size);
    }
    reader->left.data += size;
    reader->left.size -= size;
    return (ssize_t)size;
}

const struct object_info *__wrap_object_reader_info(const struct object_reader *reader)
{
    return &reader->info;
}

void __wrap_object_reader_close(struct object_reader *reader)
{
    free(reader);
}

/* What the targets' files also call, but never on the way they are fuzzed. */
int __wrap_object_put(void);
int __wrap_object_delete(void);
int __wrap_object_list_open(void);
int __wrap_object_list_next(void);
void __wrap_object_list_close(void);

int __wrap_object_put(void)
{
    abort();
}

int __wrap_object_delete(void)
{
    abort();
}

int __wrap_object_list_open(void)
{
    abort();
}

int __wrap_object_list_next(void)
{
    abort();
}

void __wrap_object_list_close(void)
{
    abort();
}

#endif
