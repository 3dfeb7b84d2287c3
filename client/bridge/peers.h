/* SPDX-License-Identifier: Apache-2.0 */
/* peers.h - how long a client may take
 *
 * libmicrohttpd cuts a connection that is idle, but one that drips a byte a second is
 * never idle. So every connection has a phase with a deadline, and peers_sweep cuts
 * those past theirs:
 *
 *   accepted ──> HEADER ──> BODY ──> ANSWER ──> IDLE (kept alive) ──> HEADER ...
 *                 408        408     none(1)    closed
 *
 * (1) while the master is asked, the calls have deadlines; sending is cut by MHD when
 * nothing at all is taken for a while. All functions on the server's thread.
 */
#ifndef CORTEX_CLIENT_BRIDGE_PEERS_H
#define CORTEX_CLIENT_BRIDGE_PEERS_H

#include <stdint.h>
#include <sys/socket.h>

#include "client/bridge/access.h"
#include "client/bridge/stream.h"
#include "client/bridge/tls.h"

enum peer_phase { PEER_HEADER, PEER_BODY, PEER_ANSWER, PEER_IDLE };

struct peer {
    int fd;           /* MHD's; valid while the peer is listed */
    uint64_t address; /* a number that stands for it */
    enum peer_phase phase;
    int64_t deadline_ms;       /* monotonic; of the phase */
    struct stream *stream;     /* being sent; NULL: none. Borrowed. */
    const struct token *token; /* who reads it; valid while there is a stream */
    void *session;             /* GnuTLS's, MHD's; NULL: no TLS */
    struct tls_certificate *certificate; /* what the session shows; owned */
    struct peer *next;
    struct peer **link;
};

struct peers {
    struct peer *first;
    int64_t header_ms; /* how long each phase may take */
    int64_t body_ms;
    int64_t idle_ms;
};

/* A connection was accepted from there; it is in PEER_HEADER. */
struct peer *
peers_add(struct peers *peers, int fd, const struct sockaddr *address, int64_t now_ms);
/* MHD is about to close it. Frees the peer. */
void peers_remove(struct peer *peer);

void peers_enter(const struct peers *peers,
                 struct peer *peer,
                 enum peer_phase phase,
                 int64_t now_ms);

/* Cuts those past their deadlines, after telling them where HTTP has a word for it, and
 * those that closed in the middle of a body; abandons the streams of clients that hung
 * up while MHD was not looking. */
void peers_sweep(const struct peers *peers, int64_t now_ms);

/* Abandons the streams of those whose token no longer holds. */
void peers_abandon_strangers(const struct peers *peers,
                             const struct access *access,
                             int64_t wall_ms);

/* Abandons all streams: the server leaves. */
void peers_abandon_streams(const struct peers *peers);

#endif
