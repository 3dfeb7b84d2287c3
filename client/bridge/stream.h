/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h - a response body that comes in pieces, from calls yet to be made
 *
 * While it has nothing to send, its connection is suspended: no thread waits for it.
 * When all it had has been sent, its source is asked for more; the source sees to it
 * that stream_put is called once, from any thread, as soon as there is something. So a
 * client that reads slowly holds one piece and nothing else.
 *
 * Shared by the connection and whoever owes it a piece; the last to let go frees it.
 */
#ifndef CORTEX_CLIENT_BRIDGE_STREAM_H
#define CORTEX_CLIENT_BRIDGE_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include <microhttpd.h>

struct stream;

enum stream_next {
    STREAM_MORE,  /* ask again when this is sent */
    STREAM_END,   /* this is the last */
    STREAM_BREAK, /* so is this, and the client is to see that something is missing */
};

struct stream_source {
    /* On the server's thread; must not block. */
    void (*ask)(void *arg, struct stream *stream);
    /* Nobody has the stream any longer: free arg. Any thread. */
    void (*free)(void *arg);
};

/* Takes arg over. The caller holds the first reference. */
struct stream *stream_create(const struct stream_source *source, void *arg);
struct stream *stream_ref(struct stream *stream);
void stream_unref(struct stream *stream); /* NULL is fine */

/* Adds a piece (a copy). Also allowed before the response exists. */
void stream_put(struct stream *stream,
                const void *data,
                size_t size,
                enum stream_next next);

/* Whether anybody may still read it. Any thread. */
bool stream_wanted(struct stream *stream);

/* On the server's thread: the response that reads it, which holds a reference of its
 * own until MHD destroys it. wake_fd is an eventfd that is written to when the
 * connection was resumed. */
struct MHD_Response *
stream_response(struct stream *stream, struct MHD_Connection *connection, int wake_fd);

/* The client has hung up, or the server leaves: ends it broken, now. Server's thread.
 */
void stream_abandon(struct stream *stream);

/* Whether its connection is suspended, so that MHD would not see a hang-up. */
bool stream_suspended(struct stream *stream);

#endif
