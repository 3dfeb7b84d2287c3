/* SPDX-License-Identifier: Apache-2.0 */
/* session_server.h - who has proven which key, and what is accepted from him
 *
 * The server's side of the sealed channel: it answers hellos, opens data and seals
 * replies. Frames are session_frame.h's.
 *
 *   (nothing) --hello accepted--> PENDING --first data opened--> LIVE
 *   PENDING --30 s, or room needed--> (nothing)
 *   LIVE --61 minutes, 60 s after messages_max, or room needed--> (nothing)
 *   either --its key is refused--> (nothing)
 *
 * A hello can be replayed by nature: it makes a pending session at most, and only if
 * its client time is newer than the key's last. Whose key is accepted is asked of
 * `authorize` at the hello, and again when a session is used and was not asked for in
 * the last SESSION_RECHECK_MS: so the sessions of a key that is refused are worth
 * nothing after that time, and what its parked requests would have been told is not
 * sealed.
 *
 * Pure of sockets and clocks: monotonic and wall time are arguments. Thread-safe; the
 * lock is never held over a computation with keys nor over a callback. */
#ifndef CORTEX_COMMON_SESSION_SERVER_H
#define CORTEX_COMMON_SESSION_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/key.h"
#include "common/session_cookie.h"
#include "common/session_frame.h"

#define SESSION_LIFETIME_MS  3600000
#define SESSION_GRACE_MS     60000 /* how long a session is honoured after its end */
#define SESSION_PENDING_MS   30000
#define SESSION_RECHECK_MS   1000
#define SESSION_MESSAGES_MAX (UINT64_C(1) << 32)

#define SESSIONS_MAX         16384
#define SESSIONS_PER_KEY_MAX 256
#define SESSION_KEYS_MAX     SESSIONS_MAX /* whose last client time is remembered */
#define SESSION_HELLOS_FREE  200          /* a second that cost no cookie */

/* Time as a caller has it. */
struct session_time {
    int64_t monotonic_ms;
    int64_t wall_ms;
};

/* Who wants a session, or goes on with one. */
struct session_claim {
    const unsigned char *key; /* KEY_SIZE bytes, proven */
    const char *host;         /* where he is, without port */
    const char *name;         /* as he calls himself */
    const char *token;        /* id of the join token he proved to know, or "" */
    enum key_role role;       /* wanted; KEY_ROLE_NONE: whichever he has */
    int64_t wall_ms;
};

/* Any thread; must not block. -1: UNAUTHENTICATED or PERMISSION_DENIED with a sentence
 * that is told to the claimant, under seal. */
typedef int (*session_authorize_fn)(void *data,
                                    const struct session_claim *claim,
                                    enum key_role *out_role,
                                    struct error *err);
/* The secret of a join token that is valid now; false if there is none. */
typedef bool (*session_token_fn)(void *data,
                                 const char *token,
                                 int64_t wall_ms,
                                 unsigned char out_psk[KEY_SIZE]);

struct session_server_options {
    struct key_pair key;
    struct key_pair next; /* that the server is going to have; with has_next */
    bool has_next;
    unsigned char cluster[KEY_CLUSTER_SIZE];
    session_authorize_fn authorize;
    session_token_fn find_token; /* NULL: nobody joins by token */
    void *data;                  /* of the callbacks */

    /* 0 or NULL stands for what is defined above: */
    size_t sessions_max;
    size_t sessions_per_key_max;
    uint64_t messages_max;
    unsigned hellos_free;
    size_t frame_size_max;    /* told to clients; 0: any */
    session_random_fn random; /* id_random_bytes */
};

/* What a frame turned out to be. */
enum session_arrival_kind {
    SESSION_GARBAGE, /* not authentic, replayed, or no frame: say nothing, hang up */
    SESSION_ANSWER,  /* part of a handshake: send `answer` back */
    SESSION_OPENED,  /* a request: its clear frame stands SESSION_CLEAR_AT bytes in */
};

struct session_arrival {
    uint8_t answer[SESSION_WELCOME_MAX];
    size_t answer_size;
    uint64_t session;
    unsigned char key[KEY_SIZE];
    enum key_role role;
    char token[SESSION_TOKEN_SIZE]; /* that the session was made with, or "" */
};

struct session_server;

void session_server_create(const struct session_server_options *options,
                           struct session_time now,
                           struct session_server **out_server);
void session_server_destroy(struct session_server *server);

/* The server has this key from now on and is going to have `next`; NULL: keeps it.
 * Hellos to either are taken, and welcomes announce the next one. Whoever has a session
 * shakes hands anew when he says something, and so hears of it; what he has asked
 * before is still answered. */
void session_server_rekey(struct session_server *server,
                          const struct key_pair *key,
                          const struct key_pair *next);

/* Takes a frame from `host`; a data frame is opened in place. */
enum session_arrival_kind session_server_take(struct session_server *server,
                                              struct session_time now,
                                              const char *host,
                                              uint8_t *frame,
                                              size_t size,
                                              struct session_arrival *out);

/* Seals a reply in place, as session_data_seal does. -1 if the session has ended, by
 * itself or because its key is refused now: nobody may be told. */
int session_server_seal(struct session_server *server,
                        struct session_time now,
                        uint64_t session,
                        uint8_t *frame,
                        size_t size);

struct session_counts {
    size_t pending;
    size_t live;
    size_t keys;
};
struct session_counts session_server_count(struct session_server *server);

#endif
