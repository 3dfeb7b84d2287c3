/* SPDX-License-Identifier: Apache-2.0 */
/* session_client.c - how a client proves its key and keeps a session with a server */
#include "common/session_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/bytes.h"
#include "common/id.h"

enum session_client_state { CLIENT_NONE, CLIENT_GREETING, CLIENT_LIVE };

struct session_client {
    struct session_client_options options; /* its texts are not used, but: */
    char name[SESSION_NAME_SIZE];
    char token[SESSION_TOKEN_SIZE];
    unsigned char prologue[SESSION_PROLOGUE_SIZE + KEY_CLUSTER_SIZE];

    enum session_client_state state;
    struct noise_handshake handshake; /* while GREETING */
    size_t turn;                      /* which of the trusted keys is asked for */
    size_t turns;
    unsigned char server[KEY_SIZE]; /* the one that was asked for last */
    uint64_t time_ns;               /* of the last hello, or the server's idea of it */
    bool has_cookie;                /* for the next hello */
    uint8_t cookie[SESSION_COOKIE_SIZE];

    /* While LIVE: */
    uint64_t session;
    struct noise_key send;
    struct noise_key receive;
    uint64_t sent; /* the next counter of ours */
    uint64_t messages_max;
    int64_t expires_ms;
    size_t frame_size_max;
};

static int take_text(
    const char *what, const char *text, char *out, size_t capacity, struct error *err)
{
    size_t size = text ? strlen(text) : 0;
    bool good = size < capacity;

    for (size_t i = 0; good && i < size; i++) {
        good = text[i] >= ' ' && text[i] <= '~';
    }
    if (!good) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%s \"%.100s\": expected at most %zu printable ASCII "
                         "characters",
                         what,
                         text,
                         capacity - 1);
    }
    (void)snprintf(out, capacity, "%s", text ? text : "");
    return 0;
}

int session_client_create(const struct session_client_options *options,
                          struct session_client **out_client,
                          struct error *err)
{
    struct session_client *client = memory_zalloc(sizeof(*client));

    client->options = *options;
    if (!client->options.random) {
        client->options.random = id_random_bytes;
    }
    client->frame_size_max = SIZE_MAX;
    memcpy(client->prologue, SESSION_PROLOGUE, SESSION_PROLOGUE_SIZE);
    memcpy(
        client->prologue + SESSION_PROLOGUE_SIZE, options->cluster, KEY_CLUSTER_SIZE);
    if (take_text(
            "client name", options->name, client->name, sizeof(client->name), err) ||
        take_text(
            "join token", options->token, client->token, sizeof(client->token), err)) {
        session_client_destroy(client);
        return -1;
    }
    *out_client = client;
    return 0;
}

void session_client_destroy(struct session_client *client)
{
    if (client) {
        key_wipe(client, sizeof(*client));
        free(client);
    }
}

/* --- the handshake --- */

/* Back to NONE, without a secret. */
static void forget(struct session_client *client)
{
    client->state = CLIENT_NONE;
    noise_handshake_wipe(&client->handshake);
    key_wipe(&client->send, sizeof(client->send));
    key_wipe(&client->receive, sizeof(client->receive));
}

bool session_client_is_live(const struct session_client *client, int64_t now_ms)
{
    return client->state == CLIENT_LIVE && now_ms < client->expires_ms &&
           client->sent < client->messages_max;
}

/* Every hello is newer than the one before, whatever the clock does. */
static uint64_t next_time_ns(struct session_client *client, int64_t wall_ns)
{
    uint64_t now_ns = wall_ns > 0 ? (uint64_t)wall_ns : 0;

    client->time_ns = now_ns > client->time_ns ? now_ns : client->time_ns + 1;
    return client->time_ns;
}

/* Which of the server's keys the next hello is for. */
static void choose_server(struct session_client *client)
{
    unsigned char keys[TRUST_KEYS_MAX][KEY_SIZE];

    client->turns = client->options.trust ? trust_keys(client->options.trust, keys) : 0;
    if (client->turn >= client->turns) {
        client->turn = 0;
    }
    memcpy(client->server,
           client->turns > 0 ? keys[client->turn] : client->options.server,
           KEY_SIZE);
}

static uint8_t *put_cookie(struct session_client *client, uint8_t *at)
{
    if (!client->has_cookie) {
        return at;
    }
    client->has_cookie = false;
    session_frame_put_header(at, CODEC_COOKIE);
    memcpy(at + SESSION_HEADER_SIZE, client->cookie, SESSION_COOKIE_SIZE);
    return at + SESSION_HEADER_SIZE + SESSION_COOKIE_SIZE;
}

size_t session_client_hello(struct session_client *client,
                            int64_t wall_ns,
                            uint8_t out[SESSION_GREETING_MAX])
{
    struct session_hello hello = {
        .client_time_ns = next_time_ns(client, wall_ns),
        .protocol_min = SESSION_PROTOCOL,
        .protocol_max = SESSION_PROTOCOL,
        .role = client->options.role,
    };
    uint8_t payload[SESSION_HELLO_PAYLOAD_MAX];
    unsigned char ephemeral[KEY_SIZE];
    bool joins = client->token[0] != '\0';

    memcpy(hello.name, client->name, sizeof(hello.name));
    memcpy(hello.token, client->token, sizeof(hello.token));
    size_t size = session_hello_pack(&hello, payload);
    forget(client);
    choose_server(client);
    if (client->options.own_key) {
        client->options.own_key(client->options.own_key_arg, &client->options.key);
    }
    noise_initiator_init(&client->handshake,
                         joins ? NOISE_IK_PSK2 : NOISE_IK,
                         client->prologue,
                         sizeof(client->prologue),
                         &client->options.key,
                         client->server);
    noise_handshake_set_psk(&client->handshake, client->options.token_secret);
    client->options.random(ephemeral, sizeof(ephemeral));
    uint8_t *at = put_cookie(client, out);
    session_frame_put_header(at, CODEC_HELLO);
    at += SESSION_HEADER_SIZE;
    int result = noise_hello_write(&client->handshake, ephemeral, payload, size, at);
    key_wipe(ephemeral, sizeof(ephemeral));
    if (result != 0) {
        return 0;
    }
    client->state = CLIENT_GREETING;
    return (size_t)(at - out) + NOISE_HELLO_OVERHEAD + size;
}

/* The server has said yes. */
static enum session_greeted begin_session(struct session_client *client,
                                          int64_t now_ms,
                                          uint64_t id,
                                          const struct session_welcome *welcome)
{
    if (noise_handshake_split(&client->handshake, &client->send, &client->receive) !=
        0) {
        return SESSION_GREET_GARBAGE;
    }
    if (client->options.trust) {
        trust_proven(client->options.trust,
                     client->server,
                     welcome->has_next ? welcome->next : NULL);
    }
    client->turn = 0;
    client->state = CLIENT_LIVE;
    client->session = id;
    client->sent = 0;
    client->messages_max = welcome->messages_max;
    client->expires_ms = now_ms + welcome->lifetime_ms;
    client->frame_size_max = welcome->frame_size_max;
    return SESSION_GREETED;
}

static enum session_greeted take_welcome(struct session_client *client,
                                         int64_t now_ms,
                                         const uint8_t *frame,
                                         size_t size,
                                         struct error *err)
{
    uint8_t payload[SESSION_PAYLOAD_MAX];
    struct session_welcome welcome;
    size_t before = SESSION_HEADER_SIZE + sizeof(client->session);

    if (size < before + NOISE_WELCOME_OVERHEAD || size > SESSION_PAYLOAD_MAX ||
        noise_welcome_read(
            &client->handshake, frame + before, size - before, payload) != 0 ||
        !session_welcome_unpack(
            payload, size - before - NOISE_WELCOME_OVERHEAD, &welcome)) {
        return SESSION_GREET_GARBAGE;
    }
    if (welcome.code == ERROR_OK) {
        return begin_session(
            client, now_ms, bytes_get_u64(frame + SESSION_HEADER_SIZE), &welcome);
    }
    if (welcome.client_time_last_ns >= client->time_ns &&
        welcome.client_time_last_ns < UINT64_MAX) {
        // Another process has the same key and a clock that is ahead.
        client->time_ns = welcome.client_time_last_ns;
        return SESSION_GREET_AGAIN;
    }
    (void)error_set(err, welcome.code, "%s", welcome.sentence);
    return SESSION_GREET_REFUSED;
}

enum session_greeted session_client_take(struct session_client *client,
                                         int64_t now_ms,
                                         const uint8_t *frame,
                                         size_t size,
                                         struct error *err)
{
    enum session_greeted greeted = SESSION_GREET_GARBAGE;
    enum codec_frame_type type;

    if (client->state != CLIENT_GREETING || !session_frame_type(frame, size, &type)) {
        type = CODEC_CLEAR; // nothing that is expected here
    }
    if (type == CODEC_WELCOME) {
        greeted = take_welcome(client, now_ms, frame, size, err);
    } else if (type == CODEC_COOKIE &&
               size == SESSION_HEADER_SIZE + SESSION_COOKIE_SIZE) {
        memcpy(client->cookie, frame + SESSION_HEADER_SIZE, SESSION_COOKIE_SIZE);
        client->has_cookie = true;
        greeted = SESSION_GREET_AGAIN;
    } else if (type == CODEC_REJECT) {
        client->turn = client->turn + 1 < client->turns ? client->turn + 1 : 0;
        greeted = client->turn > 0 ? SESSION_GREET_AGAIN : SESSION_GREET_LATER;
    }
    if (greeted != SESSION_GREETED) {
        forget(client);
    }
    return greeted;
}

/* --- a session --- */

size_t session_client_frame_size_max(const struct session_client *client)
{
    return client->frame_size_max;
}

void session_client_seal(struct session_client *client, uint8_t *frame, size_t size)
{
    assert(client->state == CLIENT_LIVE);
    session_data_seal(&client->send, client->session, client->sent++, frame, size);
}

enum session_reply
session_client_open(struct session_client *client, uint8_t *frame, size_t size)
{
    enum codec_frame_type type;
    uint64_t session;
    uint64_t counter;

    if (client->state != CLIENT_LIVE || !session_frame_type(frame, size, &type)) {
        return SESSION_REPLY_GARBAGE;
    }
    if (type == CODEC_REJECT) {
        forget(client);
        return SESSION_REPLY_REJECTED;
    }
    if (type != CODEC_DATA || !session_data_claims(frame, size, &session, &counter) ||
        session_data_open(&client->receive, frame, size) != 0) {
        return SESSION_REPLY_GARBAGE;
    }
    return SESSION_REPLY_OPENED;
}
