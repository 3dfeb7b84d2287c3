/* SPDX-License-Identifier: Apache-2.0 */
/* input_file.c - what an input file holds, decompressed */
#include "master/input_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "common/buffer.h"

#define PIECE_SIZE  (256u << 10) /* bytes read, and bytes handed out, at a time */
#define GZIP_WINDOW (15 + 16)    /* the largest window, in a gzip wrapper */

struct input_file;

// How a kind of file is read. fill puts bytes into file->out, as many as *out_size
// says, none only at the end.
struct format {
    const char *suffix;
    int (*open)(struct input_file *file, struct error *err);
    int (*fill)(struct input_file *file, size_t *out_size, struct error *err);
    void (*close)(struct input_file *file);
};

struct input_file {
    const struct format *format;
    char *url;
    char etag[sizeof(((struct object_info *)NULL)->etag)];
    struct object_reader *reader; /* NULL: there is nothing to read */
    uint64_t skip;                /* bytes that are still to be dropped */
    bool ended;                   /* the reader has no more */
    bool inside;                  /* a member or frame has begun and not ended */
    char *in;                     /* compressed bytes, */
    size_t in_at;                 /* taken up to here */
    size_t in_size;
    char *out;
    z_stream gzip;
    ZSTD_DStream *zstd;
};

static int broken(const struct input_file *file, const char *reason, struct error *err)
{
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "%s: expected %s data, it is broken: %s",
                     file->url,
                     file->format->suffix + 1,
                     reason);
}

static int
read_raw(struct input_file *file, char *out, size_t *out_size, struct error *err)
{
    ssize_t got = file->reader && !file->ended
                      ? object_reader_read(file->reader, out, PIECE_SIZE, err)
                      : 0;

    if (got < 0) {
        return -1;
    }
    file->ended = got == 0;
    *out_size = (size_t)got;
    return 0;
}

// Sees to it that there are compressed bytes unless the file has ended.
static int refill(struct input_file *file, struct error *err)
{
    if (file->in_at < file->in_size) {
        return 0;
    }
    file->in_at = 0;
    file->in_size = 0;
    return read_raw(file, file->in, &file->in_size, err);
}

static int plain_open(struct input_file *file, struct error *err)
{
    (void)file;
    (void)err;
    return 0;
}

static int plain_fill(struct input_file *file, size_t *out_size, struct error *err)
{
    return read_raw(file, file->out, out_size, err);
}

static void plain_close(struct input_file *file)
{
    (void)file;
}

static int gzip_open(struct input_file *file, struct error *err)
{
    return inflateInit2(&file->gzip, GZIP_WINDOW) == Z_OK
               ? 0
               : error_set(err, ERROR_INTERNAL, "%s: zlib does not start", file->url);
}

static int gzip_step(struct input_file *file, size_t *out_size, struct error *err)
{
    z_stream *gzip = &file->gzip;

    if (!file->inside) {
        (void)inflateReset(gzip);
        file->inside = true;
    }
    gzip->next_in = (unsigned char *)file->in + file->in_at;
    gzip->avail_in = (unsigned)(file->in_size - file->in_at);
    gzip->next_out = (unsigned char *)file->out;
    gzip->avail_out = PIECE_SIZE;
    int result = inflate(gzip, Z_NO_FLUSH);
    file->in_at = file->in_size - gzip->avail_in;
    *out_size = PIECE_SIZE - gzip->avail_out;
    if (result == Z_STREAM_END) {
        file->inside = false;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return broken(file, gzip->msg ? gzip->msg : "unknown reason", err);
    }
    return 0;
}

static int zstd_open(struct input_file *file, struct error *err)
{
    file->zstd = ZSTD_createDStream();
    return file->zstd
               ? 0
               : error_set(err, ERROR_INTERNAL, "%s: zstd does not start", file->url);
}

static int zstd_step(struct input_file *file, size_t *out_size, struct error *err)
{
    ZSTD_inBuffer in = {file->in, file->in_size, file->in_at};
    ZSTD_outBuffer out = {file->out, PIECE_SIZE, 0};
    size_t result = ZSTD_decompressStream(file->zstd, &out, &in);

    if (ZSTD_isError(result)) {
        return broken(file, ZSTD_getErrorName(result), err);
    }
    file->inside = result != 0;
    file->in_at = in.pos;
    *out_size = out.pos;
    return 0;
}

// Decompresses until there is something or the file ends.
static int decompress(struct input_file *file,
                      int (*step)(struct input_file *, size_t *, struct error *),
                      size_t *out_size,
                      struct error *err)
{
    size_t got = 0;

    while (got == 0) {
        if (refill(file, err) != 0) {
            return -1;
        }
        bool more = file->in_at < file->in_size;
        if (!more && !file->inside) {
            break;
        }
        size_t before = file->in_at;
        if (step(file, &got, err) != 0) {
            return -1;
        }
        if (got == 0 && file->in_at == before && !more) {
            return broken(file, "the file ends too early", err);
        }
    }
    *out_size = got;
    return 0;
}

static int gzip_fill(struct input_file *file, size_t *out_size, struct error *err)
{
    return decompress(file, gzip_step, out_size, err);
}

static void gzip_close(struct input_file *file)
{
    (void)inflateEnd(&file->gzip);
}

static int zstd_fill(struct input_file *file, size_t *out_size, struct error *err)
{
    return decompress(file, zstd_step, out_size, err);
}

static void zstd_close(struct input_file *file)
{
    (void)ZSTD_freeDStream(file->zstd);
}

// The last one, whose suffix every URL has, is for all others.
static const struct format formats[] = {
    {".gz", gzip_open, gzip_fill, gzip_close},
    {".zst", zstd_open, zstd_fill, zstd_close},
    {"", plain_open, plain_fill, plain_close},
};

static const struct format *format_of(const char *url)
{
    const struct format *format = formats;
    size_t length = strlen(url);

    for (;; format++) {
        size_t suffix = strlen(format->suffix);
        if (suffix <= length && strcmp(url + length - suffix, format->suffix) == 0) {
            return format;
        }
    }
}

// Refuses another etag than the expected one, and remembers it.
static int take_etag(struct input_file *file,
                     const char *etag,
                     const char *want,
                     struct error *err)
{
    (void)snprintf(file->etag, sizeof(file->etag), "%s", etag);
    if (*want && strcmp(etag, want) != 0) {
        return error_set(err,
                         ERROR_ABORTED,
                         "%s: the file was changed while it was being read",
                         file->url);
    }
    return 0;
}

// Opens a plain file at an offset, which may be its end; there a range has no bytes.
static int open_at(struct object_store *store,
                   struct input_file *file,
                   const char *etag,
                   struct error *err)
{
    struct object_info info;

    if (object_stat(store, file->url, &info, err) != 0 ||
        take_etag(file, info.etag, etag, err) != 0) {
        return -1;
    }
    if (file->skip >= info.size) {
        return 0;
    }
    uint64_t offset = file->skip;
    file->skip = 0;
    return object_reader_open(store, file->url, offset, &file->reader, err);
}

static int open_start(struct object_store *store,
                      struct input_file *file,
                      const char *etag,
                      struct error *err)
{
    if (object_reader_open(store, file->url, 0, &file->reader, err) != 0) {
        return -1;
    }
    return take_etag(file, object_reader_info(file->reader)->etag, etag, err);
}

int input_file_open(struct object_store *store,
                    const char *url,
                    uint64_t offset,
                    const char *etag,
                    struct input_file **out_file,
                    struct error *err)
{
    struct input_file *file = memory_zalloc(sizeof(*file));

    file->format = format_of(url);
    file->url = memory_strdup(url);
    file->skip = offset;
    file->in = memory_realloc(NULL, PIECE_SIZE);
    file->out = memory_realloc(NULL, PIECE_SIZE);
    bool plain = !*file->format->suffix;
    int result = plain && offset ? open_at(store, file, etag, err)
                                 : open_start(store, file, etag, err);
    if (result != 0 || file->format->open(file, err) != 0) {
        input_file_close(file);
        return -1;
    }
    *out_file = file;
    return 0;
}

void input_file_close(struct input_file *file)
{
    if (file) {
        file->format->close(file);
        object_reader_close(file->reader);
        free(file->in);
        free(file->out);
        free(file->url);
        free(file);
    }
}

ssize_t
input_file_read(struct input_file *file, const char **out_data, struct error *err)
{
    size_t size = 0;
    size_t dropped = 0;

    do {
        file->skip -= dropped;
        if (file->format->fill(file, &size, err) != 0) {
            return -1;
        }
        dropped = file->skip < size ? (size_t)file->skip : size;
    } while (size > 0 && dropped == size);
    file->skip -= dropped;
    *out_data = file->out + dropped;
    return (ssize_t)(size - dropped);
}

const char *input_file_etag(const struct input_file *file)
{
    return file->etag;
}
