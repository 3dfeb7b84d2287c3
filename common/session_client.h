/* SPDX-License-Identifier: Apache-2.0 */
/* session_client.h - how a client proves its key and keeps a session with a server
 *
 * The client's side of the sealed channel. Frames are session_frame.h's:
 *
 *   NONE --hello--> GREETING --welcome--> LIVE --reject, an hour, messages_max--> NONE
 *                   GREETING --anything else--> NONE
 *
 * While session_client_is_live says no, send session_client_hello's frame and give the
 * answer to session_client_take. Pure: time is an argument. Not thread-safe: one
 * conversation, one request in flight. */
#ifndef CORTEX_COMMON_SESSION_CLIENT_H
#define CORTEX_COMMON_SESSION_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/key.h"
#include "common/session_cookie.h"
#include "common/session_frame.h"
#include "common/trust.h"

/* Puts the client's own key in `key`, where the one before stands. May block. */
typedef void (*session_own_key_fn)(void *arg, struct key_pair *key);

struct session_client_options {
    struct key_pair key;        /* the client's own, */
    session_own_key_fn own_key; /* or asked for before each hello; NULL: never */
    void *own_key_arg;
    unsigned char server[KEY_SIZE]; /* the server's public key, */
    struct trust *trust; /* or those that it may have, borrowed; NULL: the one above */
    unsigned char cluster[KEY_CLUSTER_SIZE]; /* with it, of the join string */
    enum key_role role; /* wanted; KEY_ROLE_NONE: whichever the key has */
    const char *name;   /* for the server's log, at most SESSION_NAME_SIZE - 1 printable
                           ASCII characters; NULL: none */
    const char *token;  /* id of the join token to join with; NULL: none */
    unsigned char token_secret[KEY_SIZE]; /* the token's; with token only */
    session_random_fn random;             /* NULL: id_random_bytes */
};

/* What the answer to a hello means. With `trust`, a hello that is rejected is said
 * again to the next key, before it counts as rejected. */
enum session_greeted {
    SESSION_GREETED,       /* there is a session */
    SESSION_GREET_AGAIN,   /* say hello again, at once: it will be another */
    SESSION_GREET_LATER,   /* say hello again after a pause: it was rejected */
    SESSION_GREET_REFUSED, /* the server, and nobody else, says why in the error */
    SESSION_GREET_GARBAGE, /* this is no answer of the server */
};

struct session_client;

/* INVALID_ARGUMENT for a name or token that is too long or not printable. Copies all
 * of the options. */
int session_client_create(const struct session_client_options *options,
                          struct session_client **out_client,
                          struct error *err);
void session_client_destroy(struct session_client *client);

/* Whether what is sealed now will be accepted, as far as a client can know. */
bool session_client_is_live(const struct session_client *client, int64_t now_ms);

/* Begins a handshake, whatever there was before. Returns the frame's size; 0 if the
 * server's key is none, which is for ever. */
size_t session_client_hello(struct session_client *client,
                            int64_t wall_ns,
                            uint8_t out[SESSION_GREETING_MAX]);
enum session_greeted session_client_take(struct session_client *client,
                                         int64_t now_ms,
                                         const uint8_t *frame,
                                         size_t size,
                                         struct error *err);

/* The largest clear frame that the server takes, in bytes; SIZE_MAX before it is
 * known. */
size_t session_client_frame_size_max(const struct session_client *client);

/* Seals a request in place, as session_data_seal does. Only while live. */
void session_client_seal(struct session_client *client, uint8_t *frame, size_t size);

enum session_reply {
    SESSION_REPLY_OPENED,   /* the clear frame stands SESSION_CLEAR_AT bytes in */
    SESSION_REPLY_REJECTED, /* the session is over: shake hands, then ask again */
    SESSION_REPLY_GARBAGE,  /* this is no answer of the server */
};
/* Opens a reply in place. Which request it answers stands in it (its counter). */
enum session_reply
session_client_open(struct session_client *client, uint8_t *frame, size_t size);

#endif
