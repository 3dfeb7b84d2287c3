/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - a response body that comes in pieces, from calls yet to be made */
#include "client/bridge/stream.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/buffer.h"

#define BLOCK_SIZE (32u << 10) /* what MHD reads at a time */

struct stream {
    pthread_mutex_t lock;
    unsigned refs;
    const struct stream_source *source;
    void *arg;
    struct MHD_Connection *connection;
    int wake_fd;
    struct buffer piece;
    size_t sent; /* bytes of the piece that MHD has taken */
    enum stream_next next;
    bool asked;     /* the source owes a piece */
    bool suspended; /* resuming it is up to us */
    bool unwanted;
};

struct stream *stream_create(const struct stream_source *source, void *arg)
{
    struct stream *stream = memory_zalloc(sizeof(*stream));

    pthread_mutex_init(&stream->lock, NULL);
    stream->refs = 1;
    stream->source = source;
    stream->arg = arg;
    return stream;
}

struct stream *stream_ref(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->refs++;
    pthread_mutex_unlock(&stream->lock);
    return stream;
}

void stream_unref(struct stream *stream)
{
    if (!stream) {
        return;
    }
    pthread_mutex_lock(&stream->lock);
    unsigned left = --stream->refs;
    pthread_mutex_unlock(&stream->lock);
    if (left == 0) {
        stream->source->free(stream->arg);
        buffer_fini(&stream->piece);
        pthread_mutex_destroy(&stream->lock);
        free(stream);
    }
}

// With the lock held, so that nobody resumes what is not suspended.
static void resume(struct stream *stream)
{
    if (stream->suspended) {
        stream->suspended = false;
        MHD_resume_connection(stream->connection);
        (void)eventfd_write(stream->wake_fd, 1); // cannot fill up
    }
}

void stream_put(struct stream *stream,
                const void *data,
                size_t size,
                enum stream_next next)
{
    pthread_mutex_lock(&stream->lock);
    buffer_add(&stream->piece, data, size);
    stream->next = next;
    stream->asked = false;
    resume(stream);
    pthread_mutex_unlock(&stream->lock);
}

bool stream_wanted(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool wanted = !stream->unwanted;
    pthread_mutex_unlock(&stream->lock);
    return wanted;
}

bool stream_suspended(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool suspended = stream->suspended;
    pthread_mutex_unlock(&stream->lock);
    return suspended;
}

void stream_abandon(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->unwanted = true;
    resume(stream);
    pthread_mutex_unlock(&stream->lock);
}

static ssize_t take_piece(struct stream *stream, char *out, size_t size_max)
{
    size_t left = stream->piece.size - stream->sent;
    size_t size = left < size_max ? left : size_max;

    memcpy(out, stream->piece.data + stream->sent, size);
    stream->sent += size;
    if (size == left) {
        stream->sent = 0;
        buffer_fini(&stream->piece); // a quiet stream holds no memory
    }
    return (ssize_t)size;
}

// MHD asks for bytes. 0 means that the connection has been suspended.
static ssize_t stream_read(void *arg, uint64_t offset, char *out, size_t size_max)
{
    struct stream *stream = arg;
    bool ask = false;
    ssize_t result = 0;

    (void)offset;
    pthread_mutex_lock(&stream->lock);
    if (stream->piece.size > 0 && !stream->unwanted) {
        result = take_piece(stream, out, size_max);
    } else if (stream->unwanted || stream->next == STREAM_BREAK) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (stream->next == STREAM_END) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        ask = !stream->asked;
        stream->asked = true;
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&stream->lock);
    if (ask) {
        stream->source->ask(stream->arg, stream);
    }
    return result;
}

static void stream_read_done(void *arg)
{
    struct stream *stream = arg;

    pthread_mutex_lock(&stream->lock);
    stream->unwanted = true;
    stream->suspended = false;
    pthread_mutex_unlock(&stream->lock);
    stream_unref(stream);
}

struct MHD_Response *
stream_response(struct stream *stream, struct MHD_Connection *connection, int wake_fd)
{
    stream->connection = connection;
    stream->wake_fd = wake_fd;
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_SIZE, stream_read, stream, stream_read_done);
    if (response) {
        stream_ref(stream);
    }
    return response;
}
