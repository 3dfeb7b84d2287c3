/* SPDX-License-Identifier: Apache-2.0 */
/* session_table.c - which sessions a server has, and which keys have said hello to it
 */
#include "common/session_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/bytes.h"

#define SWEEP_MS 1000 /* between looks for sessions that have ended */

/* --- peers --- */

static uint64_t peer_hash(const unsigned char key[KEY_SIZE])
{
    return bytes_get_u64(key);
}

static struct session_peer *find_peer(struct session_table *table,
                                      const unsigned char key[KEY_SIZE])
{
    struct session_peer *peer = map_get(&table->peers, peer_hash(key));

    while (peer && memcmp(peer->key, key, KEY_SIZE) != 0) {
        peer = peer->next;
    }
    return peer;
}

static void forget_peer(struct session_table *table, struct session_peer *peer)
{
    uint64_t hash = peer_hash(peer->key);
    struct session_peer *first = map_get(&table->peers, hash);

    if (first == peer && !peer->next) {
        (void)map_remove(&table->peers, hash);
    } else if (first == peer) {
        map_put(&table->peers, hash, peer->next);
    } else {
        while (first->next != peer) {
            first = first->next;
        }
        first->next = peer->next;
    }
    table->peer_count--;
    free(peer);
}

/* Forgets the one without sessions that has been silent for longest. */
static void make_room_for_peer(struct session_table *table)
{
    struct session_peer *oldest = NULL;
    size_t cursor = 0;
    uint64_t hash;
    void *value;

    while (map_next(&table->peers, &cursor, &hash, &value)) {
        for (struct session_peer *peer = value; peer; peer = peer->next) {
            if (peer->sessions == 0 && (!oldest || peer->hello_ms < oldest->hello_ms)) {
                oldest = peer;
            }
        }
    }
    if (oldest) {
        forget_peer(table, oldest);
    }
}

struct session_peer *session_table_peer(struct session_table *table,
                                        const unsigned char key[KEY_SIZE])
{
    struct session_peer *peer = find_peer(table, key);

    if (!peer) {
        if (table->peer_count >= table->peers_max) {
            make_room_for_peer(table);
        }
        peer = memory_zalloc(sizeof(*peer));
        memcpy(peer->key, key, KEY_SIZE);
        peer->next = map_get(&table->peers, peer_hash(key));
        map_put(&table->peers, peer_hash(key), peer);
        table->peer_count++;
    }
    return peer;
}

/* --- sessions --- */

void session_table_end(struct session_table *table, struct session_entry *session)
{
    (void)map_remove(&table->sessions, session->id);
    session->peer->sessions--;
    key_wipe(session, sizeof(*session));
    free(session);
}

struct session_entry *
session_table_find(struct session_table *table, uint64_t id, int64_t now_ms)
{
    struct session_entry *session = map_get(&table->sessions, id);

    if (session && now_ms >= session->expires_ms) {
        session_table_end(table, session);
        return NULL;
    }
    return session;
}

static void end_expired(struct session_table *table, int64_t now_ms)
{
    uint64_t *ids = memory_zalloc((table->sessions.count + 1) * sizeof(*ids));
    size_t count = 0;
    size_t cursor = 0;
    uint64_t id;
    void *value;

    while (map_next(&table->sessions, &cursor, &id, &value)) {
        if (now_ms >= ((const struct session_entry *)value)->expires_ms) {
            ids[count++] = id; // the map must not change while it is walked
        }
    }
    for (size_t i = 0; i < count; i++) {
        session_table_end(table, map_get(&table->sessions, ids[i]));
    }
    free(ids);
}

static void sweep(struct session_table *table, int64_t now_ms)
{
    if (now_ms - table->swept_ms >= SWEEP_MS) {
        table->swept_ms = now_ms;
        end_expired(table, now_ms);
    }
}

/* Ends the session that will be missed least, of the peer or, if NULL, of all: pending
 * before live, then the one that has not been used for longest. */
static void make_room_for_session(struct session_table *table,
                                  const struct session_peer *peer)
{
    struct session_entry *least = NULL;
    size_t cursor = 0;
    uint64_t id;
    void *value;

    while (map_next(&table->sessions, &cursor, &id, &value)) {
        struct session_entry *session = value;
        bool less =
            !least || session->state < least->state ||
            (session->state == least->state && session->used_ms < least->used_ms);
        if (less && (!peer || session->peer == peer)) {
            least = session;
        }
    }
    if (least) {
        session_table_end(table, least);
    }
}

static uint64_t choose_id(struct session_table *table)
{
    uint64_t id;

    do {
        table->random(&id, sizeof(id));
    } while (id == 0 || map_get(&table->sessions, id));
    return id;
}

uint64_t session_table_add(struct session_table *table,
                           int64_t now_ms,
                           const unsigned char key[KEY_SIZE],
                           struct session_entry *session)
{
    sweep(table, now_ms);
    session->peer = session_table_peer(table, key);
    if (session->peer->sessions >= table->sessions_per_key_max) {
        make_room_for_session(table, session->peer);
    }
    if (table->sessions.count >= table->sessions_max) {
        make_room_for_session(table, NULL);
    }
    session->id = choose_id(table);
    session->peer->sessions++;
    map_put(&table->sessions, session->id, session);
    return session->id;
}

size_t session_table_count(const struct session_table *table, enum session_state state)
{
    size_t count = 0;
    size_t cursor = 0;
    uint64_t id;
    void *value;

    while (map_next(&table->sessions, &cursor, &id, &value)) {
        count += ((const struct session_entry *)value)->state == state;
    }
    return count;
}

void session_table_fini(struct session_table *table)
{
    end_expired(table, INT64_MAX);
    while (table->peer_count > 0) {
        make_room_for_peer(table);
    }
    map_fini(&table->sessions);
    map_fini(&table->peers);
}
