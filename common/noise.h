/* SPDX-License-Identifier: Apache-2.0 */
/* noise.h - how two who hold keys agree on secrets, and seal with them
 *
 * Noise_IK_25519_ChaChaPoly_SHA256 and Noise_IKpsk2_25519_ChaChaPoly_SHA256: two
 * messages, after which each side knows the other's static key and has a cipher for
 * each direction.
 *
 *   initiator                                      responder
 *   noise_initiator_init                           noise_responder_init
 *   noise_hello_write     -- e, es, s, ss -->      noise_hello_read
 *   noise_welcome_read    <-- e, ee, se (, psk) -- noise_welcome_write
 *   noise_handshake_split                          noise_handshake_split
 *
 * Pure: no clock, and randomness is an argument (32 fresh random bytes for each
 * ephemeral key; only tests give chosen ones). A step out of turn, or after one that
 * failed, fails. There is one way to fail, so there is no error text: nothing is told
 * to who could not prove who he is. A struct belongs to one thread at a time.
 *
 * Source: The Noise Protocol Framework, revision 34 (noiseprotocol.org/noise.html). */
#ifndef CORTEX_COMMON_NOISE_H
#define CORTEX_COMMON_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/key.h"

#define NOISE_HASH_SIZE 32
#define NOISE_TAG_SIZE  16

/* Bytes that a message is longer than its payload. */
#define NOISE_HELLO_OVERHEAD   (KEY_SIZE + KEY_SIZE + NOISE_TAG_SIZE + NOISE_TAG_SIZE)
#define NOISE_WELCOME_OVERHEAD (KEY_SIZE + NOISE_TAG_SIZE)

enum noise_pattern { NOISE_IK, NOISE_IK_PSK2 };

/* HELLO -> WELCOME -> DONE; from any to FAILED. */
enum noise_state { NOISE_FAILED, NOISE_HELLO, NOISE_WELCOME, NOISE_DONE };

/* A handshake under way. Holds secrets: end it with noise_handshake_wipe. */
struct noise_handshake {
    enum noise_state state; /* which message is next */
    enum noise_pattern pattern;
    bool initiator;
    struct key_pair own;
    struct key_pair own_ephemeral;
    unsigned char remote[KEY_SIZE]; /* the responder learns it from the hello */
    unsigned char remote_ephemeral[KEY_SIZE];
    unsigned char psk[KEY_SIZE];
    unsigned char chaining_key[NOISE_HASH_SIZE];
    unsigned char hash[NOISE_HASH_SIZE]; /* when DONE: names the session */
    unsigned char key[KEY_SIZE];         /* of the handshake's cipher */
    uint64_t counter;
};

/* A direction's cipher. Whoever seals with it never uses a counter twice. */
struct noise_key {
    unsigned char bytes[KEY_SIZE];
};

void noise_initiator_init(struct noise_handshake *handshake,
                          enum noise_pattern pattern,
                          const void *prologue,
                          size_t prologue_size,
                          const struct key_pair *own,
                          const unsigned char remote[KEY_SIZE]);
void noise_responder_init(struct noise_handshake *handshake,
                          enum noise_pattern pattern,
                          const void *prologue,
                          size_t prologue_size,
                          const struct key_pair *own);

/* With NOISE_IK_PSK2, before the welcome is written or read. */
void noise_handshake_set_psk(struct noise_handshake *handshake,
                             const unsigned char psk[KEY_SIZE]);

/* Write: out takes payload_size + NOISE_*_OVERHEAD bytes.
 * Read: out_payload takes message_size - NOISE_*_OVERHEAD bytes; what is there is worth
 * nothing after -1. */
int noise_hello_write(struct noise_handshake *handshake,
                      const unsigned char ephemeral_secret[KEY_SIZE],
                      const void *payload,
                      size_t payload_size,
                      unsigned char *out);
int noise_hello_read(struct noise_handshake *handshake,
                     const unsigned char *message,
                     size_t message_size,
                     unsigned char *out_payload);
int noise_welcome_write(struct noise_handshake *handshake,
                        const unsigned char ephemeral_secret[KEY_SIZE],
                        const void *payload,
                        size_t payload_size,
                        unsigned char *out);
int noise_welcome_read(struct noise_handshake *handshake,
                       const unsigned char *message,
                       size_t message_size,
                       unsigned char *out_payload);

/* The two ciphers of a handshake that is DONE, and its end: the struct is wiped. */
int noise_handshake_split(struct noise_handshake *handshake,
                          struct noise_key *out_send,
                          struct noise_key *out_receive);
void noise_handshake_wipe(struct noise_handshake *handshake);

/* Seals `size` bytes in place and puts NOISE_TAG_SIZE bytes behind them. */
void noise_seal(const struct noise_key *key,
                uint64_t counter,
                const void *header,
                size_t header_size,
                unsigned char *bytes,
                size_t size);
/* Opens in place what noise_seal made; size counts the tag. -1 if a bit of it, of the
 * header or of the counter is another: the bytes are worthless then. */
int noise_open(const struct noise_key *key,
               uint64_t counter,
               const void *header,
               size_t header_size,
               unsigned char *bytes,
               size_t size);

#endif
