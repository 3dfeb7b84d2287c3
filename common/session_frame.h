/* SPDX-License-Identifier: Apache-2.0 */
/* session_frame.h - how the frames of a sealed channel are laid out
 *
 * All numbers are little-endian; `e` is an ephemeral public key. The header is that of
 * every frame (proto/rpc.proto): 'C' 'X', version 1, type, 4 zero bytes.
 *
 *   1 hello    header, e (32), sealed static key (48), sealed struct session_hello
 *   2 welcome  header, session id (8; 0: refused), e (32), sealed struct
 * session_welcome 3 data     header, session id (8), counter (8), ciphertext, tag (16);
 * the 24 bytes in front of the ciphertext are authenticated with it. What is sealed is
 *              a clear frame from its counter on: so a reply carries the counter of
 *              its request under the seal
 *   4 cookie   from the server: header, cookie (16). From the client: the same with
 *              its hello, header and all, behind it
 *   5 reject   header, code (2). Not authentic: may only make a client shake hands
 *
 * Hello and welcome may grow at their end: what is behind the known fields is ignored.
 * Pure, thread-safe. */
#ifndef CORTEX_COMMON_SESSION_FRAME_H
#define CORTEX_COMMON_SESSION_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/error.h"
#include "common/key.h"
#include "common/noise.h"

#define SESSION_HEADER_SIZE 8
#define SESSION_PREFIX_SIZE 24 /* of data: header, session id, counter */

/* A frame sealed is this much longer than it was clear. While it is being sealed or
 * opened, the clear frame stands SESSION_CLEAR_AT bytes into the sealed one. */
#define SESSION_OVERHEAD 24
#define SESSION_CLEAR_AT 8

/* The handshake's prologue: this and the cluster's id. */
#define SESSION_PROLOGUE      "cortex/1"
#define SESSION_PROLOGUE_SIZE 8

#define SESSION_PROTOCOL      1 /* what is spoken under the seal */
#define SESSION_COOKIE_SIZE   16
#define SESSION_NAME_SIZE     65 /* text with NUL */
#define SESSION_HOST_SIZE     64 /* of where a client is, without port */
#define SESSION_TOKEN_SIZE    33 /* a join token's id, with NUL */
#define SESSION_SENTENCE_SIZE ERROR_MESSAGE_SIZE

#define SESSION_HELLO_PAYLOAD_MAX   (15 + SESSION_NAME_SIZE + SESSION_TOKEN_SIZE)
#define SESSION_WELCOME_PAYLOAD_MAX (42 + SESSION_SENTENCE_SIZE + KEY_SIZE)
#define SESSION_HELLO_MAX                                                              \
    (SESSION_HEADER_SIZE + NOISE_HELLO_OVERHEAD + SESSION_HELLO_PAYLOAD_MAX)
#define SESSION_GREETING_MAX /* a hello behind a cookie */                             \
    (SESSION_HEADER_SIZE + SESSION_COOKIE_SIZE + SESSION_HELLO_MAX)
#define SESSION_WELCOME_MAX                                                            \
    (SESSION_HEADER_SIZE + 8 + NOISE_WELCOME_OVERHEAD + SESSION_WELCOME_PAYLOAD_MAX)

/* Whoever takes these takes longer ones too, within reason. */
#define SESSION_PAYLOAD_MAX 4096

enum session_reject {
    SESSION_REJECT_SESSION = 1, /* there is no such session (any more) */
    SESSION_REJECT_HELLO = 2,   /* the hello is for another key or cluster */
};

struct session_hello {
    uint64_t client_time_ns; /* wall clock; more than in the key's hello before it */
    uint16_t protocol_min;
    uint16_t protocol_max;
    enum key_role role;             /* KEY_ROLE_NONE: whichever the key has */
    char name[SESSION_NAME_SIZE];   /* for logs */
    char token[SESSION_TOKEN_SIZE]; /* "" without one */
};

struct session_welcome {
    enum error_code code; /* OK, or why there is no session */
    uint16_t protocol;
    uint64_t server_time_ms; /* wall clock */
    enum key_role role;
    uint32_t frame_size_max;              /* bytes of a clear frame */
    uint32_t lifetime_ms;                 /* a new handshake is due after this, */
    uint64_t messages_max;                /* or after so many messages */
    uint64_t client_time_last_ns;         /* of the key; when refused as not newer */
    char sentence[SESSION_SENTENCE_SIZE]; /* when refused */
    bool has_next;                        /* the server is going to have another key: */
    unsigned char next[KEY_SIZE];         /* its public half */
};

void session_frame_put_header(uint8_t *out, enum codec_frame_type type);
/* Any of types 1 to 5; false for what does not begin as one. */
bool session_frame_type(const uint8_t *frame, size_t size, enum codec_frame_type *out);

/* Returns the size. */
size_t session_hello_pack(const struct session_hello *hello,
                          uint8_t out[SESSION_HELLO_PAYLOAD_MAX]);
size_t session_welcome_pack(const struct session_welcome *welcome,
                            uint8_t out[SESSION_WELCOME_PAYLOAD_MAX]);

/* False for what is none: too short, a role that does not exist, text that is not
 * printable ASCII (a name or token) or UTF-8 (a sentence). */
bool session_hello_unpack(const uint8_t *payload,
                          size_t size,
                          struct session_hello *out);
bool session_welcome_unpack(const uint8_t *payload,
                            size_t size,
                            struct session_welcome *out);

/* Seals the clear frame that stands SESSION_CLEAR_AT bytes into `frame`; `size` is the
 * sealed frame's, so that NOISE_TAG_SIZE bytes are free behind it. */
void session_data_seal(const struct noise_key *key,
                       uint64_t session,
                       uint64_t counter,
                       uint8_t *frame,
                       size_t size);

/* The session and counter that a data frame claims; false if it is too short. */
bool session_data_claims(const uint8_t *frame,
                         size_t size,
                         uint64_t *out_session,
                         uint64_t *out_counter);

/* Opens it in place: the clear frame stands SESSION_CLEAR_AT bytes into it then, and
 * has SESSION_OVERHEAD bytes less. -1 if it is not authentic. */
int session_data_open(const struct noise_key *key, uint8_t *frame, size_t size);

#endif
