/* SPDX-License-Identifier: Apache-2.0 */
/* session_server.c - who has proven which key, and what is accepted from him */
#include "common/session_server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/bytes.h"
#include "common/id.h"
#include "common/session_table.h"

struct session_server {
    struct session_server_options options;
    unsigned char prologue[SESSION_PROLOGUE_SIZE + KEY_CLUSTER_SIZE];

    pthread_mutex_t lock; /* guards what follows, and options.key, next, has_next */
    uint64_t epoch;       /* counts rekeyings */
    struct session_cookie cookie;
    struct session_table table;
};

/* The server's own keys, as they are at a time. */
struct own_keys {
    struct key_pair pairs[2];
    size_t count;
    uint64_t epoch;
};

/* A hello on its way to a welcome. */
struct greeting {
    struct own_keys own;
    struct noise_handshake handshake;
    struct session_hello hello;
    enum key_role role;
};

/* The session of a handshake that has ended well. Returns its id. */
static uint64_t add_session(struct session_server *server,
                            int64_t now_ms,
                            const char *host,
                            const unsigned char key[KEY_SIZE],
                            const struct greeting *greeting,
                            const struct session_entry *keys)
{
    struct session_entry *session = memory_zalloc(sizeof(*session));

    *session = *keys;
    session->state = SESSION_PENDING;
    session->used_ms = now_ms;
    session->checked_ms = now_ms;
    session->expires_ms = now_ms + SESSION_PENDING_MS;
    session->epoch = greeting->own.epoch;
    session->role = greeting->role;
    session->wanted = greeting->hello.role;
    (void)snprintf(session->host, sizeof(session->host), "%s", host);
    memcpy(session->name, greeting->hello.name, sizeof(session->name));
    memcpy(session->token, greeting->hello.token, sizeof(session->token));

    pthread_mutex_lock(&server->lock);
    uint64_t id = session_table_add(&server->table, now_ms, key, session);
    pthread_mutex_unlock(&server->lock);
    return id;
}

/* --- hello --- */

static enum session_arrival_kind reject(struct session_arrival *out,
                                        enum session_reject code)
{
    session_frame_put_header(out->answer, CODEC_REJECT);
    bytes_put_u16(out->answer + SESSION_HEADER_SIZE, (uint16_t)code);
    out->answer_size = SESSION_HEADER_SIZE + 2;
    return SESSION_ANSWER;
}

static enum session_arrival_kind ask_for_cookie(const uint8_t *cookie,
                                                struct session_arrival *out)
{
    session_frame_put_header(out->answer, CODEC_COOKIE);
    memcpy(out->answer + SESSION_HEADER_SIZE, cookie, SESSION_COOKIE_SIZE);
    out->answer_size = SESSION_HEADER_SIZE + SESSION_COOKIE_SIZE;
    return SESSION_ANSWER;
}

static void copy_own_keys(struct session_server *server, struct own_keys *out)
{
    pthread_mutex_lock(&server->lock);
    out->pairs[0] = server->options.key;
    out->pairs[1] = server->options.next;
    out->count = server->options.has_next ? 2 : 1;
    out->epoch = server->epoch;
    pthread_mutex_unlock(&server->lock);
}

/* Whether there is a hello of this pattern, for this key, behind the header. */
static bool read_hello(struct session_server *server,
                       const struct key_pair *own,
                       enum noise_pattern pattern,
                       const uint8_t *frame,
                       size_t size,
                       struct greeting *out)
{
    uint8_t payload[SESSION_PAYLOAD_MAX];

    noise_responder_init(
        &out->handshake, pattern, server->prologue, sizeof(server->prologue), own);
    return noise_hello_read(&out->handshake,
                            frame + SESSION_HEADER_SIZE,
                            size - SESSION_HEADER_SIZE,
                            payload) == 0 &&
           session_hello_unpack(
               payload, size - SESSION_HEADER_SIZE - NOISE_HELLO_OVERHEAD, &out->hello);
}

static bool read_any_hello(struct session_server *server,
                           const uint8_t *frame,
                           size_t size,
                           struct greeting *greeting)
{
    copy_own_keys(server, &greeting->own);
    for (size_t i = 0; i < greeting->own.count; i++) {
        const struct key_pair *own = &greeting->own.pairs[i];
        if (read_hello(server, own, NOISE_IK, frame, size, greeting) ||
            (server->options.find_token &&
             read_hello(server, own, NOISE_IK_PSK2, frame, size, greeting))) {
            return true;
        }
    }
    return false;
}

/* A token is named in the one pattern only, and its secret is known. */
static bool
check_token(struct session_server *server, int64_t wall_ms, struct greeting *greeting)
{
    unsigned char psk[KEY_SIZE];

    if (greeting->handshake.pattern == NOISE_IK) {
        return greeting->hello.token[0] == '\0';
    }
    if (!server->options.find_token(
            server->options.data, greeting->hello.token, wall_ms, psk)) {
        return false;
    }
    noise_handshake_set_psk(&greeting->handshake, psk);
    key_wipe(psk, sizeof(psk));
    return true;
}

static int authorize(struct session_server *server,
                     const struct session_claim *claim,
                     enum key_role *out_role,
                     struct error *err)
{
    return server->options.authorize(server->options.data, claim, out_role, err);
}

/* Notes the hello's time; ABORTED if the key has had a later one, which the welcome
 * then tells. */
static int check_time(struct session_server *server,
                      int64_t now_ms,
                      const struct greeting *greeting,
                      struct session_welcome *welcome,
                      struct error *err)
{
    uint64_t time_ns = greeting->hello.client_time_ns;

    pthread_mutex_lock(&server->lock);
    struct session_peer *peer =
        session_table_peer(&server->table, greeting->handshake.remote);
    uint64_t last_ns = peer->client_time_ns;
    if (time_ns > last_ns) {
        peer->client_time_ns = time_ns;
        peer->hello_ms = now_ms;
    }
    pthread_mutex_unlock(&server->lock);
    if (time_ns > last_ns) {
        return 0;
    }
    welcome->client_time_last_ns = last_ns;
    return error_set(err,
                     ERROR_ABORTED,
                     "the key has said hello with the time %llu ns, expected more "
                     "than %llu",
                     (unsigned long long)time_ns,
                     (unsigned long long)last_ns);
}

/* All that one who holds his key must fulfil besides; what is missing he is told. */
static int check_greeting(struct session_server *server,
                          struct session_time now,
                          const char *host,
                          struct greeting *greeting,
                          struct session_welcome *welcome,
                          struct error *err)
{
    const struct session_hello *hello = &greeting->hello;
    struct session_claim claim = {
        .key = greeting->handshake.remote,
        .host = host,
        .name = hello->name,
        .token = hello->token,
        .role = hello->role,
        .wall_ms = now.wall_ms,
    };

    if (hello->protocol_min > SESSION_PROTOCOL ||
        hello->protocol_max < SESSION_PROTOCOL) {
        return error_set(err,
                         ERROR_FAILED_PRECONDITION,
                         "this client speaks protocols %u to %u, expected %d",
                         hello->protocol_min,
                         hello->protocol_max,
                         SESSION_PROTOCOL);
    }
    if (authorize(server, &claim, &greeting->role, err) != 0) {
        return -1;
    }
    return check_time(server, now.monotonic_ms, greeting, welcome, err);
}

static enum session_arrival_kind answer_greeting(struct session_server *server,
                                                 struct session_time now,
                                                 const char *host,
                                                 struct greeting *greeting,
                                                 struct session_arrival *out)
{
    struct session_welcome welcome = {
        .code = ERROR_OK,
        .protocol = SESSION_PROTOCOL,
        .server_time_ms = (uint64_t)now.wall_ms,
        .frame_size_max = (uint32_t)server->options.frame_size_max,
        .lifetime_ms = SESSION_LIFETIME_MS,
        .messages_max = server->options.messages_max,
        .has_next = greeting->own.count > 1,
    };
    uint8_t payload[SESSION_WELCOME_PAYLOAD_MAX];
    unsigned char ephemeral[KEY_SIZE];
    unsigned char key[KEY_SIZE];
    struct session_entry keys = {.id = 0};
    uint64_t id = 0;
    struct error error;

    if (check_greeting(server, now, host, greeting, &welcome, &error) == 0) {
        welcome.role = greeting->role;
    } else {
        welcome.code = error.code;
        memcpy(welcome.sentence, error.message, sizeof(welcome.sentence));
    }
    memcpy(welcome.next, greeting->own.pairs[1].public_key, KEY_SIZE);
    size_t size = session_welcome_pack(&welcome, payload);
    memcpy(key, greeting->handshake.remote, sizeof(key));
    server->options.random(ephemeral, sizeof(ephemeral));
    int result = noise_welcome_write(&greeting->handshake,
                                     ephemeral,
                                     payload,
                                     size,
                                     out->answer + SESSION_HEADER_SIZE + sizeof(id));
    key_wipe(ephemeral, sizeof(ephemeral));
    if (result != 0 ||
        noise_handshake_split(&greeting->handshake, &keys.send, &keys.receive) != 0) {
        return SESSION_GARBAGE;
    }
    if (welcome.code == ERROR_OK) {
        id = add_session(server, now.monotonic_ms, host, key, greeting, &keys);
    }
    key_wipe(&keys, sizeof(keys));
    session_frame_put_header(out->answer, CODEC_WELCOME);
    bytes_put_u64(out->answer + SESSION_HEADER_SIZE, id);
    out->answer_size = SESSION_HEADER_SIZE + sizeof(id) + NOISE_WELCOME_OVERHEAD + size;
    return SESSION_ANSWER;
}

static enum session_arrival_kind take_hello(struct session_server *server,
                                            struct session_time now,
                                            const char *host,
                                            const uint8_t *given_cookie,
                                            const uint8_t *frame,
                                            size_t size,
                                            struct session_arrival *out)
{
    struct greeting greeting;
    uint8_t cookie[SESSION_COOKIE_SIZE];

    if (size < SESSION_HEADER_SIZE + NOISE_HELLO_OVERHEAD ||
        size > SESSION_PAYLOAD_MAX) {
        return SESSION_GARBAGE;
    }
    pthread_mutex_lock(&server->lock);
    bool admitted =
        session_cookie_admit(&server->cookie, now.monotonic_ms, host, given_cookie);
    session_cookie_make(&server->cookie, host, cookie);
    pthread_mutex_unlock(&server->lock);
    if (!admitted) {
        return ask_for_cookie(cookie, out);
    }
    enum session_arrival_kind kind;
    if (read_any_hello(server, frame, size, &greeting) &&
        check_token(server, now.wall_ms, &greeting)) {
        kind = answer_greeting(server, now, host, &greeting, out);
    } else {
        kind = reject(out, SESSION_REJECT_HELLO);
    }
    noise_handshake_wipe(&greeting.handshake);
    key_wipe(&greeting.own, sizeof(greeting.own));
    return kind;
}

static enum session_arrival_kind take_cookie(struct session_server *server,
                                             struct session_time now,
                                             const char *host,
                                             const uint8_t *frame,
                                             size_t size,
                                             struct session_arrival *out)
{
    size_t before = SESSION_HEADER_SIZE + SESSION_COOKIE_SIZE;
    enum codec_frame_type type;

    if (size < before || !session_frame_type(frame + before, size - before, &type) ||
        type != CODEC_HELLO) {
        return SESSION_GARBAGE;
    }
    return take_hello(server,
                      now,
                      host,
                      frame + SESSION_HEADER_SIZE,
                      frame + before,
                      size - before,
                      out);
}

/* --- data --- */

/* Copies the session, so that the lock need not be held while it is used. Whether it is
 * of former keys of the server's. */
static bool copy_session(struct session_server *server,
                         int64_t now_ms,
                         uint64_t id,
                         struct session_entry *out,
                         unsigned char out_key[KEY_SIZE],
                         bool *out_former)
{
    pthread_mutex_lock(&server->lock);
    const struct session_entry *session =
        session_table_find(&server->table, id, now_ms);
    if (session) {
        *out = *session;
        *out_former = session->epoch != server->epoch;
        memcpy(out_key, session->peer->key, KEY_SIZE);
    }
    pthread_mutex_unlock(&server->lock);
    return session != NULL;
}

/* Asks about the key again if that is due; if it is refused, the session ends. The
 * copy's role is what was answered. */
static bool recheck(struct session_server *server,
                    struct session_time now,
                    const char *host,
                    const unsigned char key[KEY_SIZE],
                    struct session_entry *copy)
{
    struct session_claim claim = {
        .key = key,
        .host = host,
        .name = copy->name,
        .token = copy->token,
        .role = copy->wanted,
        .wall_ms = now.wall_ms,
    };
    struct error error;

    if (now.monotonic_ms - copy->checked_ms < SESSION_RECHECK_MS &&
        strcmp(host, copy->host) == 0) {
        return true;
    }
    if (authorize(server, &claim, &copy->role, &error) == 0) {
        copy->checked_ms = now.monotonic_ms;
        return true;
    }
    pthread_mutex_lock(&server->lock);
    struct session_entry *session =
        session_table_find(&server->table, copy->id, now.monotonic_ms);
    if (session) {
        session_table_end(&server->table, session);
    }
    pthread_mutex_unlock(&server->lock);
    return false;
}

/* A new handshake is due, and is waited for no longer than this. */
static void begin_grace(struct session_entry *session, int64_t now_ms)
{
    if (session->expires_ms > now_ms + SESSION_GRACE_MS) {
        session->expires_ms = now_ms + SESSION_GRACE_MS;
    }
}

/* So it is after so many messages. */
static void wear(struct session_server *server,
                 struct session_entry *session,
                 uint64_t count,
                 int64_t now_ms)
{
    if (count >= server->options.messages_max) {
        begin_grace(session, now_ms);
    }
}

/* The session of former keys of the server's has its time of grace from now on. */
static void retire(struct session_server *server, uint64_t id, int64_t now_ms)
{
    pthread_mutex_lock(&server->lock);
    struct session_entry *session = session_table_find(&server->table, id, now_ms);
    if (session) {
        begin_grace(session, now_ms);
    }
    pthread_mutex_unlock(&server->lock);
}

/* An authentic message has come in; false if it came before, or the session has ended
 * since. */
static bool note_message(struct session_server *server,
                         int64_t now_ms,
                         const char *host,
                         uint64_t counter,
                         const struct session_entry *copy)
{
    pthread_mutex_lock(&server->lock);
    struct session_entry *session =
        session_table_find(&server->table, copy->id, now_ms);
    bool accepted = session && replay_window_accept(&session->window, counter);
    if (accepted) {
        if (session->state == SESSION_PENDING) {
            session->state = SESSION_LIVE;
            session->expires_ms = now_ms + SESSION_LIFETIME_MS + SESSION_GRACE_MS;
        }
        session->used_ms = now_ms;
        session->checked_ms = copy->checked_ms;
        session->role = copy->role;
        (void)snprintf(session->host, sizeof(session->host), "%s", host);
        wear(server, session, counter, now_ms);
    }
    pthread_mutex_unlock(&server->lock);
    return accepted;
}

static enum session_arrival_kind take_data(struct session_server *server,
                                           struct session_time now,
                                           const char *host,
                                           uint8_t *frame,
                                           size_t size,
                                           struct session_arrival *out)
{
    struct session_entry copy;
    bool former = false;
    uint64_t id;
    uint64_t counter;

    if (!session_data_claims(frame, size, &id, &counter)) {
        return SESSION_GARBAGE;
    }
    if (!copy_session(server, now.monotonic_ms, id, &copy, out->key, &former)) {
        return reject(out, SESSION_REJECT_SESSION);
    }
    enum session_arrival_kind kind = SESSION_GARBAGE;
    if (session_data_open(&copy.receive, frame, size) == 0) {
        if (former) {
            retire(server, id, now.monotonic_ms);
            kind = reject(out, SESSION_REJECT_SESSION);
        } else if (!recheck(server, now, host, out->key, &copy)) {
            kind = reject(out, SESSION_REJECT_SESSION);
        } else if (note_message(server, now.monotonic_ms, host, counter, &copy)) {
            kind = SESSION_OPENED;
            out->session = id;
            out->role = copy.role;
            memcpy(out->token, copy.token, sizeof(out->token));
        }
    }
    key_wipe(&copy, sizeof(copy));
    return kind;
}

/* --- the server --- */

static void set_defaults(struct session_server_options *options)
{
    options->sessions_max =
        options->sessions_max ? options->sessions_max : SESSIONS_MAX;
    options->sessions_per_key_max = options->sessions_per_key_max
                                        ? options->sessions_per_key_max
                                        : SESSIONS_PER_KEY_MAX;
    options->messages_max =
        options->messages_max ? options->messages_max : SESSION_MESSAGES_MAX;
    options->hellos_free =
        options->hellos_free ? options->hellos_free : SESSION_HELLOS_FREE;
    options->frame_size_max =
        options->frame_size_max ? options->frame_size_max : UINT32_MAX;
    options->random = options->random ? options->random : id_random_bytes;
}

void session_server_create(const struct session_server_options *options,
                           struct session_time now,
                           struct session_server **out_server)
{
    struct session_server *server = memory_zalloc(sizeof(*server));

    server->options = *options;
    set_defaults(&server->options);
    memcpy(server->prologue, SESSION_PROLOGUE, SESSION_PROLOGUE_SIZE);
    memcpy(
        server->prologue + SESSION_PROLOGUE_SIZE, options->cluster, KEY_CLUSTER_SIZE);
    server->table.sessions_max = server->options.sessions_max;
    server->table.sessions_per_key_max = server->options.sessions_per_key_max;
    server->table.peers_max = SESSION_KEYS_MAX;
    server->table.random = server->options.random;
    session_cookie_init(&server->cookie,
                        server->options.hellos_free,
                        server->options.random,
                        now.monotonic_ms);
    pthread_mutex_init(&server->lock, NULL);
    *out_server = server;
}

void session_server_rekey(struct session_server *server,
                          const struct key_pair *key,
                          const struct key_pair *next)
{
    pthread_mutex_lock(&server->lock);
    server->options.key = *key;
    server->options.has_next = next != NULL;
    if (next) {
        server->options.next = *next;
    } else {
        key_wipe(&server->options.next, sizeof(server->options.next));
    }
    server->epoch++;
    pthread_mutex_unlock(&server->lock);
}

void session_server_destroy(struct session_server *server)
{
    if (!server) {
        return;
    }
    session_table_fini(&server->table);
    session_cookie_fini(&server->cookie);
    pthread_mutex_destroy(&server->lock);
    key_wipe(server, sizeof(*server));
    free(server);
}

enum session_arrival_kind session_server_take(struct session_server *server,
                                              struct session_time now,
                                              const char *host,
                                              uint8_t *frame,
                                              size_t size,
                                              struct session_arrival *out)
{
    enum codec_frame_type type;

    if (!session_frame_type(frame, size, &type)) {
        return SESSION_GARBAGE;
    }
    switch (type) {
    case CODEC_HELLO:
        return take_hello(server, now, host, NULL, frame, size, out);
    case CODEC_COOKIE:
        return take_cookie(server, now, host, frame, size, out);
    case CODEC_DATA:
        return take_data(server, now, host, frame, size, out);
    case CODEC_WELCOME:
    case CODEC_REJECT:
    case CODEC_CLEAR:
        break;
    }
    return SESSION_GARBAGE;
}

int session_server_seal(struct session_server *server,
                        struct session_time now,
                        uint64_t id,
                        uint8_t *frame,
                        size_t size)
{
    bool former; // what was asked under former keys is answered
    struct session_entry copy;
    unsigned char key[KEY_SIZE];
    uint64_t counter = 0;

    if (!copy_session(server, now.monotonic_ms, id, &copy, key, &former)) {
        return -1;
    }
    bool allowed = recheck(server, now, copy.host, key, &copy);
    pthread_mutex_lock(&server->lock);
    struct session_entry *session =
        allowed ? session_table_find(&server->table, id, now.monotonic_ms) : NULL;
    if (session) {
        counter = session->sent++;
        session->checked_ms = copy.checked_ms;
        session->role = copy.role;
        wear(server, session, counter, now.monotonic_ms);
    }
    pthread_mutex_unlock(&server->lock);
    if (session) {
        session_data_seal(&copy.send, id, counter, frame, size);
    }
    key_wipe(&copy, sizeof(copy));
    return session ? 0 : -1;
}

struct session_counts session_server_count(struct session_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct session_counts counts = {
        .pending = session_table_count(&server->table, SESSION_PENDING),
        .live = session_table_count(&server->table, SESSION_LIVE),
        .keys = server->table.peer_count,
    };
    pthread_mutex_unlock(&server->lock);
    return counts;
}
