/* SPDX-License-Identifier: Apache-2.0 */
/* noise.c - how two who hold keys agree on secrets, and seal with them */
#include "common/noise.h"

#include <string.h>

#include <sodium.h>

#define SEALED_KEY_SIZE (KEY_SIZE + NOISE_TAG_SIZE)
#define NONCE_SIZE      crypto_aead_chacha20poly1305_ietf_NPUBBYTES

static const char *const protocol_names[] = {
    [NOISE_IK] = "Noise_IK_25519_ChaChaPoly_SHA256",
    [NOISE_IK_PSK2] = "Noise_IKpsk2_25519_ChaChaPoly_SHA256",
};

_Static_assert(crypto_scalarmult_BYTES == KEY_SIZE, "X25519");
_Static_assert(crypto_auth_hmacsha256_BYTES == NOISE_HASH_SIZE, "HMAC-SHA256");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == NOISE_TAG_SIZE, "tag");

/* --- the primitives --- */

static void put_nonce(uint64_t counter, unsigned char out[NONCE_SIZE])
{
    memset(out, 0, NONCE_SIZE);
    for (int i = 0; i < 8; i++) {
        out[4 + i] = (unsigned char)(counter >> (8 * i));
    }
}

static void aead_seal(const unsigned char key[KEY_SIZE],
                      uint64_t counter,
                      const void *header,
                      size_t header_size,
                      const void *bytes,
                      size_t size,
                      unsigned char *out)
{
    unsigned char nonce[NONCE_SIZE];

    put_nonce(counter, nonce);
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(
        out, NULL, bytes, size, header, header_size, NULL, nonce, key);
}

static int aead_open(const unsigned char key[KEY_SIZE],
                     uint64_t counter,
                     const void *header,
                     size_t header_size,
                     const unsigned char *bytes,
                     size_t size,
                     unsigned char *out)
{
    unsigned char nonce[NONCE_SIZE];

    put_nonce(counter, nonce);
    return crypto_aead_chacha20poly1305_ietf_decrypt(
        out, NULL, NULL, bytes, size, header, header_size, nonce, key);
}

static void hmac(const unsigned char key[NOISE_HASH_SIZE],
                 const void *first,
                 size_t first_size,
                 const void *second,
                 size_t second_size,
                 unsigned char out[NOISE_HASH_SIZE])
{
    crypto_auth_hmacsha256_state state;

    (void)crypto_auth_hmacsha256_init(&state, key, NOISE_HASH_SIZE);
    (void)crypto_auth_hmacsha256_update(&state, first, first_size);
    (void)crypto_auth_hmacsha256_update(&state, second, second_size);
    (void)crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

/* HKDF of two outputs, or of three if third is not NULL (section 4.3). */
static void derive(const unsigned char chaining_key[NOISE_HASH_SIZE],
                   const void *input,
                   size_t input_size,
                   unsigned char first[NOISE_HASH_SIZE],
                   unsigned char second[NOISE_HASH_SIZE],
                   unsigned char *third)
{
    unsigned char temporary[NOISE_HASH_SIZE];

    hmac(chaining_key, input, input_size, NULL, 0, temporary);
    hmac(temporary, NULL, 0, "\x01", 1, first);
    hmac(temporary, first, NOISE_HASH_SIZE, "\x02", 1, second);
    if (third) {
        hmac(temporary, second, NOISE_HASH_SIZE, "\x03", 1, third);
    }
    sodium_memzero(temporary, sizeof(temporary));
}

/* --- the symmetric state (section 5.2) --- */

static void mix_hash(struct noise_handshake *handshake, const void *data, size_t size)
{
    crypto_hash_sha256_state state;

    (void)crypto_hash_sha256_init(&state);
    (void)crypto_hash_sha256_update(&state, handshake->hash, NOISE_HASH_SIZE);
    (void)crypto_hash_sha256_update(&state, data, size);
    (void)crypto_hash_sha256_final(&state, handshake->hash);
}

static void mix_key(struct noise_handshake *handshake, const unsigned char *input)
{
    unsigned char chaining_key[NOISE_HASH_SIZE];

    derive(
        handshake->chaining_key, input, KEY_SIZE, chaining_key, handshake->key, NULL);
    memcpy(handshake->chaining_key, chaining_key, sizeof(chaining_key));
    handshake->counter = 0;
    sodium_memzero(chaining_key, sizeof(chaining_key));
}

/* The token "psk": MixKeyAndHash. */
static void mix_psk(struct noise_handshake *handshake)
{
    unsigned char chaining_key[NOISE_HASH_SIZE];
    unsigned char hash[NOISE_HASH_SIZE];

    derive(handshake->chaining_key,
           handshake->psk,
           KEY_SIZE,
           chaining_key,
           hash,
           handshake->key);
    memcpy(handshake->chaining_key, chaining_key, sizeof(chaining_key));
    mix_hash(handshake, hash, sizeof(hash));
    handshake->counter = 0;
    sodium_memzero(chaining_key, sizeof(chaining_key));
    sodium_memzero(hash, sizeof(hash));
}

/* The tokens "es", "ss", "ee", "se": -1 for a point that takes no part in it. */
static int mix_shared(struct noise_handshake *handshake,
                      const struct key_pair *ours,
                      const unsigned char theirs[KEY_SIZE])
{
    unsigned char shared[KEY_SIZE];

    int result = crypto_scalarmult(shared, ours->secret_key, theirs);
    if (result == 0) {
        mix_key(handshake, shared);
    }
    sodium_memzero(shared, sizeof(shared));
    return result;
}

/* The token "e", after the public half was sent or received. */
static void mix_ephemeral(struct noise_handshake *handshake,
                          const unsigned char public_key[KEY_SIZE])
{
    mix_hash(handshake, public_key, KEY_SIZE);
    if (handshake->pattern == NOISE_IK_PSK2) {
        mix_key(handshake, public_key);
    }
}

static void seal_and_hash(struct noise_handshake *handshake,
                          const void *bytes,
                          size_t size,
                          unsigned char *out)
{
    aead_seal(handshake->key,
              handshake->counter++,
              handshake->hash,
              NOISE_HASH_SIZE,
              bytes,
              size,
              out);
    mix_hash(handshake, out, size + NOISE_TAG_SIZE);
}

static int open_and_hash(struct noise_handshake *handshake,
                         const unsigned char *bytes,
                         size_t size,
                         unsigned char *out)
{
    if (aead_open(handshake->key,
                  handshake->counter++,
                  handshake->hash,
                  NOISE_HASH_SIZE,
                  bytes,
                  size,
                  out) != 0) {
        return -1;
    }
    mix_hash(handshake, bytes, size);
    return 0;
}

/* --- the messages --- */

/* Everything goes, so that no step can follow. */
static int fail(struct noise_handshake *handshake)
{
    noise_handshake_wipe(handshake);
    return -1;
}

static bool
is_due(const struct noise_handshake *handshake, enum noise_state state, bool initiator)
{
    return handshake->state == state && handshake->initiator == initiator;
}

static void handshake_init(struct noise_handshake *handshake,
                           enum noise_pattern pattern,
                           const void *prologue,
                           size_t prologue_size,
                           const struct key_pair *own,
                           const unsigned char responder[KEY_SIZE])
{
    const char *name = protocol_names[pattern];
    size_t name_size = strlen(name);

    *handshake = (struct noise_handshake){.state = NOISE_HELLO, .pattern = pattern};
    handshake->own = *own;
    if (name_size <= NOISE_HASH_SIZE) {
        memcpy(handshake->hash, name, name_size);
    } else {
        (void)crypto_hash_sha256(handshake->hash, (const void *)name, name_size);
    }
    memcpy(handshake->chaining_key, handshake->hash, NOISE_HASH_SIZE);
    mix_hash(handshake, prologue, prologue_size);
    mix_hash(handshake, responder, KEY_SIZE);
}

void noise_initiator_init(struct noise_handshake *handshake,
                          enum noise_pattern pattern,
                          const void *prologue,
                          size_t prologue_size,
                          const struct key_pair *own,
                          const unsigned char remote[KEY_SIZE])
{
    handshake_init(handshake, pattern, prologue, prologue_size, own, remote);
    handshake->initiator = true;
    memcpy(handshake->remote, remote, KEY_SIZE);
}

void noise_responder_init(struct noise_handshake *handshake,
                          enum noise_pattern pattern,
                          const void *prologue,
                          size_t prologue_size,
                          const struct key_pair *own)
{
    handshake_init(handshake, pattern, prologue, prologue_size, own, own->public_key);
}

void noise_handshake_set_psk(struct noise_handshake *handshake,
                             const unsigned char psk[KEY_SIZE])
{
    memcpy(handshake->psk, psk, KEY_SIZE);
}

int noise_hello_write(struct noise_handshake *handshake,
                      const unsigned char ephemeral_secret[KEY_SIZE],
                      const void *payload,
                      size_t payload_size,
                      unsigned char *out)
{
    if (!is_due(handshake, NOISE_HELLO, true)) {
        return fail(handshake);
    }
    key_pair_of_secret(ephemeral_secret, &handshake->own_ephemeral);
    memcpy(out, handshake->own_ephemeral.public_key, KEY_SIZE);
    mix_ephemeral(handshake, out);
    if (mix_shared(handshake, &handshake->own_ephemeral, handshake->remote) != 0) {
        return fail(handshake);
    }
    out += KEY_SIZE;
    seal_and_hash(handshake, handshake->own.public_key, KEY_SIZE, out);
    if (mix_shared(handshake, &handshake->own, handshake->remote) != 0) {
        return fail(handshake);
    }
    out += SEALED_KEY_SIZE;
    seal_and_hash(handshake, payload, payload_size, out);
    handshake->state = NOISE_WELCOME;
    return 0;
}

int noise_hello_read(struct noise_handshake *handshake,
                     const unsigned char *message,
                     size_t message_size,
                     unsigned char *out_payload)
{
    if (!is_due(handshake, NOISE_HELLO, false) || message_size < NOISE_HELLO_OVERHEAD) {
        return fail(handshake);
    }
    const unsigned char *sealed_key = message + KEY_SIZE;
    const unsigned char *sealed_payload = sealed_key + SEALED_KEY_SIZE;
    size_t rest = message_size - KEY_SIZE - SEALED_KEY_SIZE;
    memcpy(handshake->remote_ephemeral, message, KEY_SIZE);
    mix_ephemeral(handshake, handshake->remote_ephemeral);
    if (mix_shared(handshake, &handshake->own, handshake->remote_ephemeral) != 0 ||
        open_and_hash(handshake, sealed_key, SEALED_KEY_SIZE, handshake->remote) != 0 ||
        mix_shared(handshake, &handshake->own, handshake->remote) != 0 ||
        open_and_hash(handshake, sealed_payload, rest, out_payload) != 0) {
        return fail(handshake);
    }
    handshake->state = NOISE_WELCOME;
    return 0;
}

int noise_welcome_write(struct noise_handshake *handshake,
                        const unsigned char ephemeral_secret[KEY_SIZE],
                        const void *payload,
                        size_t payload_size,
                        unsigned char *out)
{
    if (!is_due(handshake, NOISE_WELCOME, false)) {
        return fail(handshake);
    }
    const struct key_pair *ephemeral = &handshake->own_ephemeral;
    key_pair_of_secret(ephemeral_secret, &handshake->own_ephemeral);
    memcpy(out, ephemeral->public_key, KEY_SIZE);
    mix_ephemeral(handshake, out);
    if (mix_shared(handshake, ephemeral, handshake->remote_ephemeral) != 0 ||
        mix_shared(handshake, ephemeral, handshake->remote) != 0) {
        return fail(handshake);
    }
    if (handshake->pattern == NOISE_IK_PSK2) {
        mix_psk(handshake);
    }
    seal_and_hash(handshake, payload, payload_size, out + KEY_SIZE);
    handshake->state = NOISE_DONE;
    return 0;
}

int noise_welcome_read(struct noise_handshake *handshake,
                       const unsigned char *message,
                       size_t message_size,
                       unsigned char *out_payload)
{
    if (!is_due(handshake, NOISE_WELCOME, true) ||
        message_size < NOISE_WELCOME_OVERHEAD) {
        return fail(handshake);
    }
    memcpy(handshake->remote_ephemeral, message, KEY_SIZE);
    const unsigned char *ephemeral = handshake->remote_ephemeral;
    mix_ephemeral(handshake, ephemeral);
    if (mix_shared(handshake, &handshake->own_ephemeral, ephemeral) != 0 ||
        mix_shared(handshake, &handshake->own, ephemeral) != 0) {
        return fail(handshake);
    }
    if (handshake->pattern == NOISE_IK_PSK2) {
        mix_psk(handshake);
    }
    if (open_and_hash(
            handshake, message + KEY_SIZE, message_size - KEY_SIZE, out_payload) != 0) {
        return fail(handshake);
    }
    handshake->state = NOISE_DONE;
    return 0;
}

int noise_handshake_split(struct noise_handshake *handshake,
                          struct noise_key *out_send,
                          struct noise_key *out_receive)
{
    if (handshake->state != NOISE_DONE) {
        return fail(handshake);
    }
    bool initiator = handshake->initiator;
    derive(handshake->chaining_key,
           NULL,
           0,
           (initiator ? out_send : out_receive)->bytes,
           (initiator ? out_receive : out_send)->bytes,
           NULL);
    noise_handshake_wipe(handshake);
    return 0;
}

void noise_handshake_wipe(struct noise_handshake *handshake)
{
    sodium_memzero(handshake, sizeof(*handshake)); // the state is NOISE_FAILED then
}

/* --- the transport --- */

void noise_seal(const struct noise_key *key,
                uint64_t counter,
                const void *header,
                size_t header_size,
                unsigned char *bytes,
                size_t size)
{
    aead_seal(key->bytes, counter, header, header_size, bytes, size, bytes);
}

int noise_open(const struct noise_key *key,
               uint64_t counter,
               const void *header,
               size_t header_size,
               unsigned char *bytes,
               size_t size)
{
    return aead_open(key->bytes, counter, header, header_size, bytes, size, bytes);
}
