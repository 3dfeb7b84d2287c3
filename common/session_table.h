/* SPDX-License-Identifier: Apache-2.0 */
/* session_table.h - which sessions a server has, and which keys have said hello to it
 *
 * Bounded: for a session that is one too many the one is ended that will be missed
 * least, pending before live, then whichever has not been used for longest; for a key
 * that is one too many the one without sessions is forgotten that has been silent for
 * longest. Pure: time is an argument. Not thread-safe: its server has a lock. */
#ifndef CORTEX_COMMON_SESSION_TABLE_H
#define CORTEX_COMMON_SESSION_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/key.h"
#include "common/map.h"
#include "common/noise.h"
#include "common/replay_window.h"
#include "common/session_cookie.h"
#include "common/session_frame.h"

enum session_state { SESSION_PENDING, SESSION_LIVE };

/* A key that has said hello. */
struct session_peer {
    unsigned char key[KEY_SIZE];
    uint64_t client_time_ns; /* of its last hello */
    int64_t hello_ms;        /* when that came */
    size_t sessions;
    struct session_peer *next; /* one whose key begins with the same 8 bytes */
};

struct session_entry {
    uint64_t id;
    enum session_state state;
    struct session_peer *peer;
    struct noise_key send;
    struct noise_key receive;
    uint64_t sent; /* the next counter of ours */
    struct replay_window window;
    int64_t used_ms;
    int64_t expires_ms;
    int64_t checked_ms; /* when its key was last accepted */
    uint64_t epoch;     /* of the server's keys that it was made under */
    enum key_role role;
    enum key_role wanted;
    char host[SESSION_HOST_SIZE]; /* where it was last used from */
    char name[SESSION_NAME_SIZE];
    char token[SESSION_TOKEN_SIZE];
};

struct session_table {
    size_t sessions_max;
    size_t sessions_per_key_max;
    size_t peers_max;
    session_random_fn random; /* for ids */
    struct map sessions;      /* by id */
    struct map peers;         /* by the first 8 bytes of the key */
    size_t peer_count;
    int64_t swept_ms; /* when sessions that have ended were last looked for */
};

/* Before the first call its owner sets the three limits and `random`; the rest is zero.
 */
void session_table_fini(struct session_table *table);

/* The key's; made if it was not known. Lives until another key's is made. */
struct session_peer *session_table_peer(struct session_table *table,
                                        const unsigned char key[KEY_SIZE]);

/* Takes the session, which was made with malloc, as the key's; returns the id that it
 * gets. */
uint64_t session_table_add(struct session_table *table,
                           int64_t now_ms,
                           const unsigned char key[KEY_SIZE],
                           struct session_entry *session);

/* NULL if there is none, or its time is over. */
struct session_entry *
session_table_find(struct session_table *table, uint64_t id, int64_t now_ms);

/* Wipes and frees it. */
void session_table_end(struct session_table *table, struct session_entry *session);

size_t session_table_count(const struct session_table *table, enum session_state state);

#endif
