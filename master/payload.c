/* SPDX-License-Identifier: Apache-2.0 */
/* payload.c - where the bytes of a job's batches are kept */
#include "master/payload.h"

#include <endian.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#define MAGIC       "cortexP1"
#define MAGIC_SIZE  8
#define SIZE_SIZE   4
#define FOOTER_SIZE (MAGIC_SIZE + 8 + 4 + 4)
#define CRC_SIZE    4

// The largest object that is taken for a segment: one batch of the largest size a
// master can be set to, or a full segment; more is corruption.
#define OBJECT_SIZE_MAX (UINT64_C(1) << 30)

static void add_u32(struct buffer *out, uint32_t value)
{
    value = htole32(value);
    buffer_add(out, &value, sizeof(value));
}

static void add_u64(struct buffer *out, uint64_t value)
{
    value = htole64(value);
    buffer_add(out, &value, sizeof(value));
}

static uint32_t u32_at(const char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static uint64_t u64_at(const char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static uint32_t checksum_of(const char *data, size_t size)
{
    return (uint32_t)crc32_z(0, (const unsigned char *)data, size);
}

/* What stands between a prefix and the names of its segments. */
static const char *separator(const char *prefix_url)
{
    size_t length = strlen(prefix_url);

    return length && prefix_url[length - 1] == '/' ? "" : "/";
}

char *payload_url(const char *prefix_url, uint64_t number)
{
    return memory_format(
        "%s%s%08" PRIu64 ".batches", prefix_url, separator(prefix_url), number);
}

struct payload_writer {
    struct object_store *store;
    char *prefix_url;
    size_t size_max;
    uint32_t count_max;
    struct payload_segment next; /* the one being filled */
    struct buffer data;
    struct buffer sizes;
};

struct payload_writer *payload_writer_create(struct object_store *store,
                                             const char *prefix_url,
                                             size_t size_max,
                                             uint32_t count_max,
                                             uint64_t next_number,
                                             uint64_t next_index)
{
    struct payload_writer *writer = memory_zalloc(sizeof(*writer));

    writer->store = store;
    writer->prefix_url = memory_strdup(prefix_url);
    writer->size_max = size_max ? size_max : PAYLOAD_SEGMENT_SIZE_MAX;
    writer->count_max = count_max ? count_max : PAYLOAD_SEGMENT_COUNT_MAX;
    writer->next.number = next_number;
    writer->next.first_index = next_index;
    return writer;
}

void payload_writer_destroy(struct payload_writer *writer)
{
    if (writer) {
        buffer_fini(&writer->data);
        buffer_fini(&writer->sizes);
        free(writer->prefix_url);
        free(writer);
    }
}

bool payload_writer_fits(const struct payload_writer *writer, size_t size)
{
    return writer->next.count == 0 || (writer->next.count < writer->count_max &&
                                       writer->data.size + size <= writer->size_max);
}

void payload_writer_add(struct payload_writer *writer, struct json_slice batch)
{
    buffer_add(&writer->data, batch.text, batch.size);
    add_u32(&writer->sizes, (uint32_t)batch.size);
    writer->next.count++;
}

uint32_t payload_writer_pending(const struct payload_writer *writer)
{
    return writer->next.count;
}

int payload_writer_flush(struct payload_writer *writer,
                         struct payload_segment *out_segment,
                         struct error *err)
{
    struct payload_segment *next = &writer->next;
    struct buffer *data = &writer->data;
    char *url = payload_url(writer->prefix_url, next->number);

    buffer_add(data, writer->sizes.data, writer->sizes.size);
    buffer_add(data, MAGIC, MAGIC_SIZE);
    add_u64(data, next->first_index);
    add_u32(data, next->count);
    next->checksum = checksum_of(data->data, data->size);
    add_u32(data, next->checksum);
    next->bytes = data->size;
    int result = object_put(writer->store, url, data->data, data->size, NULL, err);
    if (result == 0) {
        *out_segment = *next;
        *next = (struct payload_segment){
            .number = next->number + 1, .first_index = next->first_index + next->count};
        buffer_clear(data);
        buffer_clear(&writer->sizes);
    }
    free(url);
    return result;
}

// A checked segment, or one that a thread is about to fetch.
struct entry {
    struct entry *newer;
    struct entry *older;
    char *url;
    bool ready;
    unsigned readers;
    struct buffer data; /* the batches come first */
    uint64_t *ends;     /* per batch, behind its last byte in data */
    uint32_t count;
};

struct payload_cache {
    struct object_store *store;
    size_t bytes_max;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* an entry became ready or went */
    struct entry *newest;   /* the list is in order of use */
    struct entry *oldest;
    size_t bytes;
};

static void entry_destroy(struct entry *entry)
{
    buffer_fini(&entry->data);
    free(entry->ends);
    free(entry->url);
    free(entry);
}

static int corrupt(const char *url, const char *reason, struct error *err)
{
    return error_set(
        err, ERROR_DATA_LOSS, "%s: the segment of batches is damaged: %s", url, reason);
}

static int check_footer(const struct entry *entry,
                        const struct payload_segment *segment,
                        struct error *err)
{
    const struct buffer *data = &entry->data;

    if (data->size != segment->bytes ||
        data->size < FOOTER_SIZE + (uint64_t)segment->count * SIZE_SIZE) {
        return corrupt(entry->url, "its size is not the one that was written", err);
    }
    const char *footer = data->data + data->size - FOOTER_SIZE;
    if (memcmp(footer, MAGIC, MAGIC_SIZE) != 0) {
        return corrupt(entry->url, "its footer is not a segment's", err);
    }
    if (u64_at(footer + MAGIC_SIZE) != segment->first_index ||
        u32_at(footer + MAGIC_SIZE + 8) != segment->count) {
        return corrupt(entry->url, "it holds other batches", err);
    }
    uint32_t checksum = checksum_of(data->data, data->size - CRC_SIZE);
    if (checksum != u32_at(data->data + data->size - CRC_SIZE) ||
        checksum != segment->checksum) {
        return corrupt(entry->url, "its checksum is wrong", err);
    }
    return 0;
}

static int read_sizes(struct entry *entry, uint32_t count, struct error *err)
{
    uint64_t data_size = entry->data.size - FOOTER_SIZE - (uint64_t)count * SIZE_SIZE;
    const char *sizes = entry->data.data + data_size;
    uint64_t end = 0;

    entry->ends = memory_zalloc(count * sizeof(entry->ends[0]));
    entry->count = count;
    for (uint32_t i = 0; i < count; i++) {
        end += u32_at(sizes + (size_t)i * SIZE_SIZE);
        entry->ends[i] = end;
    }
    return end == data_size ? 0 : corrupt(entry->url, "its index is wrong", err);
}

static int entry_fetch(struct object_store *store,
                       struct entry *entry,
                       const struct payload_segment *segment,
                       struct error *err)
{
    struct error reason = {0};

    if (object_get(store,
                   entry->url,
                   0,
                   UINT64_MAX,
                   OBJECT_SIZE_MAX,
                   NULL,
                   &entry->data,
                   NULL,
                   &reason) != 0) {
        if (reason.code == ERROR_NOT_FOUND) {
            reason.code = ERROR_DATA_LOSS;
        }
        return error_copy(err, &reason);
    }
    return check_footer(entry, segment, err) != 0 ||
                   read_sizes(entry, segment->count, err) != 0
               ? -1
               : 0;
}

struct payload_cache *payload_cache_create(struct object_store *store, size_t bytes_max)
{
    struct payload_cache *cache = memory_zalloc(sizeof(*cache));

    cache->store = store;
    cache->bytes_max = bytes_max;
    (void)pthread_mutex_init(&cache->lock, NULL);
    (void)pthread_cond_init(&cache->changed, NULL);
    return cache;
}

static void list_remove(struct payload_cache *cache, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void list_add(struct payload_cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

void payload_cache_destroy(struct payload_cache *cache)
{
    if (cache) {
        for (struct entry *entry = cache->newest; entry;) {
            struct entry *older = entry->older;
            entry_destroy(entry);
            entry = older;
        }
        (void)pthread_cond_destroy(&cache->changed);
        (void)pthread_mutex_destroy(&cache->lock);
        free(cache);
    }
}

// Unless it is in use.
static void drop(struct payload_cache *cache, struct entry *entry)
{
    if (entry->ready && entry->readers == 0) {
        cache->bytes -= entry->data.size;
        list_remove(cache, entry);
        entry_destroy(entry);
    }
}

// Drops what was not used for longest, until the bound holds or all is in use.
static void shrink(struct payload_cache *cache)
{
    struct entry *entry = cache->oldest;

    while (entry && cache->bytes > cache->bytes_max) {
        struct entry *newer = entry->newer;
        drop(cache, entry);
        entry = newer;
    }
}

void payload_cache_forget(struct payload_cache *cache, const char *prefix_url)
{
    char *prefix = memory_format("%s%s", prefix_url, separator(prefix_url));
    size_t size = strlen(prefix);

    (void)pthread_mutex_lock(&cache->lock);
    for (struct entry *entry = cache->newest; entry;) {
        struct entry *older = entry->older;
        if (strncmp(entry->url, prefix, size) == 0 && !strchr(entry->url + size, '/')) {
            drop(cache, entry);
        }
        entry = older;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    free(prefix);
}

static struct entry *find(struct payload_cache *cache, const char *url)
{
    struct entry *entry = cache->newest;

    while (entry && strcmp(entry->url, url) != 0) {
        entry = entry->older;
    }
    return entry;
}

// Fetches what find did not find; the lock is given up meanwhile.
static struct entry *insert(struct payload_cache *cache,
                            const char *url,
                            const struct payload_segment *segment,
                            struct error *err)
{
    struct entry *entry = memory_zalloc(sizeof(*entry));

    entry->url = memory_strdup(url);
    list_add(cache, entry);
    (void)pthread_mutex_unlock(&cache->lock);
    int result = entry_fetch(cache->store, entry, segment, err);
    (void)pthread_mutex_lock(&cache->lock);
    if (result == 0) {
        entry->ready = true;
        cache->bytes += entry->data.size;
    } else {
        list_remove(cache, entry);
        entry_destroy(entry);
        entry = NULL;
    }
    (void)pthread_cond_broadcast(&cache->changed);
    return entry;
}

static struct entry *acquire(struct payload_cache *cache,
                             const char *url,
                             const struct payload_segment *segment,
                             struct error *err)
{
    struct entry *entry = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    while ((entry = find(cache, url)) && !entry->ready) {
        (void)pthread_cond_wait(&cache->changed, &cache->lock);
    }
    if (!entry) {
        entry = insert(cache, url, segment, err);
    }
    if (entry) {
        list_remove(cache, entry);
        list_add(cache, entry);
        entry->readers++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return entry;
}

static void release(struct payload_cache *cache, struct entry *entry)
{
    (void)pthread_mutex_lock(&cache->lock);
    entry->readers--;
    shrink(cache);
    (void)pthread_mutex_unlock(&cache->lock);
}

static uint32_t copy_run(const struct entry *entry,
                         uint32_t first,
                         uint32_t count_max,
                         size_t size_max,
                         struct buffer *out,
                         uint32_t *out_sizes)
{
    uint64_t begin = first ? entry->ends[first - 1] : 0;
    uint64_t end = begin;
    uint32_t count = 0;

    while (count < count_max && first + count < entry->count) {
        uint64_t next = entry->ends[first + count];
        if (count > 0 && next - begin > size_max) {
            break;
        }
        out_sizes[count++] = (uint32_t)(next - end);
        end = next;
    }
    buffer_add(out, entry->data.data + begin, end - begin);
    return count;
}

int payload_cache_read(struct payload_cache *cache,
                       const char *prefix_url,
                       const struct payload_segment *segment,
                       uint64_t first_index,
                       uint32_t count_max,
                       size_t size_max,
                       struct buffer *out,
                       uint32_t *out_sizes,
                       uint32_t *out_count,
                       struct error *err)
{
    char *url = payload_url(prefix_url, segment->number);
    int result = -1;

    if (first_index < segment->first_index ||
        first_index - segment->first_index >= segment->count) {
        (void)error_set(err,
                        ERROR_INVALID_ARGUMENT,
                        "%s: does not hold batch %" PRIu64,
                        url,
                        first_index);
        goto out;
    }
    struct entry *entry = acquire(cache, url, segment, err);
    if (entry) {
        uint32_t first = (uint32_t)(first_index - segment->first_index);
        *out_count = copy_run(entry, first, count_max, size_max, out, out_sizes);
        release(cache, entry);
        result = 0;
    }
out:
    free(url);
    return result;
}

int payload_delete(struct object_store *store,
                   const char *prefix_url,
                   struct error *err)
{
    char *prefix = memory_format("%s%s", prefix_url, separator(prefix_url));
    struct object_list *list = NULL;
    struct object_entry entry;
    int got = object_list_open(store, prefix, NULL, &list, err);

    while (got == 0 && (got = object_list_next(list, &entry, err)) > 0) {
        got = object_delete(store, entry.url, err);
    }
    object_list_close(list);
    free(prefix);
    return got;
}
