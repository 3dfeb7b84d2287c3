/* SPDX-License-Identifier: Apache-2.0 */
/* test_noise.c - is the handshake Noise's, and is nothing else accepted?
 *
 * Runs the published vectors in tests/vectors/noise (see PROVENANCE.md there). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/noise.h"

#define VECTORS      TEST_SOURCE_DIR "/tests/vectors/noise/ik.json"
#define VECTOR_COUNT 3
#define BYTES_MAX    512

struct bytes {
    unsigned char data[BYTES_MAX];
    size_t size;
};

/* Both sides, before the first message. */
struct sides {
    struct noise_handshake initiator;
    struct noise_handshake responder;
    unsigned char initiator_ephemeral[KEY_SIZE];
    unsigned char responder_ephemeral[KEY_SIZE];
};

static const char prologue[] = "cortex/1";

/* --- the vectors --- */

static cJSON *read_vectors(void)
{
    struct buffer text = BUFFER_INIT;
    struct error err;

    if (fs_read(VECTORS, 1 << 20, &text, &err) != 0) {
        fail_msg("%s", err.message);
    }
    cJSON *tree = cJSON_Parse(buffer_text(&text));
    assert_non_null(tree);
    buffer_fini(&text);
    return tree;
}

static struct bytes of_hex(const cJSON *item)
{
    struct bytes bytes = {.size = 0};

    assert_true(cJSON_IsString(item));
    assert_int_equal(sodium_hex2bin(bytes.data,
                                    sizeof(bytes.data),
                                    item->valuestring,
                                    strlen(item->valuestring),
                                    NULL,
                                    &bytes.size,
                                    NULL),
                     0);
    return bytes;
}

static struct bytes field(const cJSON *vector, const char *name)
{
    return of_hex(cJSON_GetObjectItemCaseSensitive(vector, name));
}

static struct key_pair pair_of(const cJSON *vector, const char *name)
{
    struct bytes secret = field(vector, name);
    struct key_pair pair;

    assert_int_equal(secret.size, KEY_SIZE);
    key_pair_of_secret(secret.data, &pair);
    return pair;
}

static void
set_psk_of(struct noise_handshake *handshake, const cJSON *vector, const char *name)
{
    const cJSON *psks = cJSON_GetObjectItemCaseSensitive(vector, name);

    if (handshake->pattern == NOISE_IK_PSK2) {
        assert_int_equal(cJSON_GetArraySize(psks), 1);
        noise_handshake_set_psk(handshake, of_hex(cJSON_GetArrayItem(psks, 0)).data);
    }
}

static struct sides sides_of(const cJSON *vector)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(vector, "protocol_name");
    bool with_psk = strstr(name->valuestring, "psk2") != NULL;
    enum noise_pattern pattern = with_psk ? NOISE_IK_PSK2 : NOISE_IK;
    struct key_pair initiator = pair_of(vector, "init_static");
    struct key_pair responder = pair_of(vector, "resp_static");
    struct bytes remote = field(vector, "init_remote_static");
    struct bytes text = field(vector, "init_prologue");
    struct sides sides;

    assert_memory_equal(remote.data, responder.public_key, KEY_SIZE);
    noise_initiator_init(
        &sides.initiator, pattern, text.data, text.size, &initiator, remote.data);
    text = field(vector, "resp_prologue");
    noise_responder_init(&sides.responder, pattern, text.data, text.size, &responder);
    set_psk_of(&sides.initiator, vector, "init_psks");
    set_psk_of(&sides.responder, vector, "resp_psks");
    memcpy(sides.initiator_ephemeral, field(vector, "init_ephemeral").data, KEY_SIZE);
    memcpy(sides.responder_ephemeral, field(vector, "resp_ephemeral").data, KEY_SIZE);
    return sides;
}

static void run_vector(const cJSON *vector)
{
    struct sides sides = sides_of(vector);
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(vector, "messages");
    const cJSON *hash = cJSON_GetObjectItemCaseSensitive(vector, "handshake_hash");
    struct noise_key send[2];
    struct noise_key receive[2];
    const cJSON *message;
    uint64_t turn = 0;

    cJSON_ArrayForEach(message, messages)
    {
        struct bytes payload = field(message, "payload");
        struct bytes expected = field(message, "ciphertext");
        unsigned char out[BYTES_MAX];
        unsigned char back[BYTES_MAX];
        if (turn == 0) {
            assert_int_equal(noise_hello_write(&sides.initiator,
                                               sides.initiator_ephemeral,
                                               payload.data,
                                               payload.size,
                                               out),
                             0);
            assert_int_equal(expected.size, payload.size + NOISE_HELLO_OVERHEAD);
            assert_int_equal(
                noise_hello_read(&sides.responder, out, expected.size, back), 0);
        } else if (turn == 1) {
            assert_int_equal(noise_welcome_write(&sides.responder,
                                                 sides.responder_ephemeral,
                                                 payload.data,
                                                 payload.size,
                                                 out),
                             0);
            assert_int_equal(expected.size, payload.size + NOISE_WELCOME_OVERHEAD);
            assert_int_equal(
                noise_welcome_read(&sides.initiator, out, expected.size, back), 0);
            assert_memory_equal(
                sides.initiator.hash, sides.responder.hash, NOISE_HASH_SIZE);
            if (hash) {
                assert_memory_equal(
                    sides.initiator.hash, of_hex(hash).data, NOISE_HASH_SIZE);
            }
            assert_int_equal(
                noise_handshake_split(&sides.initiator, &send[0], &receive[0]), 0);
            assert_int_equal(
                noise_handshake_split(&sides.responder, &send[1], &receive[1]), 0);
        } else {
            uint64_t counter = turn / 2 - 1;
            memcpy(out, payload.data, payload.size);
            noise_seal(&send[turn % 2], counter, NULL, 0, out, payload.size);
            memcpy(back, out, expected.size);
            assert_int_equal(
                noise_open(
                    &receive[1 - turn % 2], counter, NULL, 0, back, expected.size),
                0);
        }
        assert_memory_equal(out, expected.data, expected.size);
        assert_memory_equal(back, payload.data, payload.size);
        turn++;
    }
    assert_true(turn > 2);
}

static void the_published_vectors_come_out_to_the_byte(void **state)
{
    (void)state;
    cJSON *tree = read_vectors();
    const cJSON *vectors = cJSON_GetObjectItemCaseSensitive(tree, "vectors");
    const cJSON *vector;
    int with_hash = 0;

    assert_int_equal(cJSON_GetArraySize(vectors), VECTOR_COUNT);
    cJSON_ArrayForEach(vector, vectors)
    {
        run_vector(vector);
        with_hash += cJSON_HasObjectItem(vector, "handshake_hash");
    }
    assert_true(with_hash >= 2);
    cJSON_Delete(tree);
}

/* --- what must be refused --- */

static struct sides make_sides(enum noise_pattern pattern)
{
    struct sides sides;
    struct key_pair initiator;
    struct key_pair responder;
    unsigned char psk[KEY_SIZE];

    key_generate(&initiator);
    key_generate(&responder);
    id_random_bytes(psk, sizeof(psk));
    id_random_bytes(sides.initiator_ephemeral, KEY_SIZE);
    id_random_bytes(sides.responder_ephemeral, KEY_SIZE);
    noise_initiator_init(&sides.initiator,
                         pattern,
                         prologue,
                         sizeof(prologue),
                         &initiator,
                         responder.public_key);
    noise_responder_init(
        &sides.responder, pattern, prologue, sizeof(prologue), &responder);
    noise_handshake_set_psk(&sides.initiator, psk);
    noise_handshake_set_psk(&sides.responder, psk);
    return sides;
}

static int say_hello(struct sides *sides, unsigned char *out)
{
    return noise_hello_write(
        &sides->initiator, sides->initiator_ephemeral, "hi", 2, out);
}

static int say_welcome(struct sides *sides, unsigned char *out)
{
    return noise_welcome_write(
        &sides->responder, sides->responder_ephemeral, "oh", 2, out);
}

/* A whole handshake, with both messages as they are. */
static void shake_hands(struct sides *sides)
{
    unsigned char message[BYTES_MAX];
    unsigned char payload[BYTES_MAX];

    assert_int_equal(say_hello(sides, message), 0);
    assert_int_equal(
        noise_hello_read(&sides->responder, message, NOISE_HELLO_OVERHEAD + 2, payload),
        0);
    assert_memory_equal(payload, "hi", 2);
    assert_int_equal(say_welcome(sides, message), 0);
    assert_int_equal(
        noise_welcome_read(
            &sides->initiator, message, NOISE_WELCOME_OVERHEAD + 2, payload),
        0);
    assert_memory_equal(payload, "oh", 2);
}

static void flip(unsigned char *bytes, size_t bit)
{
    bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
}

static void a_hello_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    for (int pattern = NOISE_IK; pattern <= NOISE_IK_PSK2; pattern++) {
        struct sides sides = make_sides((enum noise_pattern)pattern);
        size_t size = NOISE_HELLO_OVERHEAD + 2;
        unsigned char message[BYTES_MAX];
        unsigned char payload[BYTES_MAX];

        assert_int_equal(say_hello(&sides, message), 0);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            struct noise_handshake responder = sides.responder;
            flip(message, bit);
            assert_int_equal(noise_hello_read(&responder, message, size, payload), -1);
            assert_int_equal(responder.state, NOISE_FAILED);
            flip(message, bit);
        }
        for (size_t shorter = 0; shorter < size; shorter++) {
            struct noise_handshake responder = sides.responder;
            assert_int_equal(noise_hello_read(&responder, message, shorter, payload),
                             -1);
        }
        assert_int_equal(noise_hello_read(&sides.responder, message, size, payload), 0);
    }
}

static void a_welcome_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    for (int pattern = NOISE_IK; pattern <= NOISE_IK_PSK2; pattern++) {
        struct sides sides = make_sides((enum noise_pattern)pattern);
        size_t size = NOISE_WELCOME_OVERHEAD + 2;
        unsigned char message[BYTES_MAX];
        unsigned char payload[BYTES_MAX];

        assert_int_equal(say_hello(&sides, message), 0);
        assert_int_equal(
            noise_hello_read(
                &sides.responder, message, NOISE_HELLO_OVERHEAD + 2, payload),
            0);
        assert_int_equal(say_welcome(&sides, message), 0);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            struct noise_handshake initiator = sides.initiator;
            flip(message, bit);
            assert_int_equal(noise_welcome_read(&initiator, message, size, payload),
                             -1);
            flip(message, bit);
        }
        assert_int_equal(noise_welcome_read(&sides.initiator, message, size, payload),
                         0);
    }
}

static void a_hello_made_for_another_key_or_prologue_is_refused(void **state)
{
    (void)state;
    struct sides sides = make_sides(NOISE_IK);
    struct sides stranger = make_sides(NOISE_IK);
    struct noise_handshake elsewhere;
    unsigned char message[BYTES_MAX];
    unsigned char payload[BYTES_MAX];
    size_t size = NOISE_HELLO_OVERHEAD + 2;

    noise_responder_init(&elsewhere, NOISE_IK, "cortex/2", 9, &sides.responder.own);
    assert_int_equal(say_hello(&sides, message), 0);
    assert_int_equal(noise_hello_read(&stranger.responder, message, size, payload), -1);
    assert_int_equal(noise_hello_read(&elsewhere, message, size, payload), -1);
    assert_int_equal(noise_hello_read(&sides.responder, message, size, payload), 0);
}

static void a_hello_of_one_pattern_is_none_of_the_other(void **state)
{
    (void)state;
    struct sides sides = make_sides(NOISE_IK);
    struct noise_handshake other;
    unsigned char message[BYTES_MAX];
    unsigned char payload[BYTES_MAX];

    noise_responder_init(
        &other, NOISE_IK_PSK2, prologue, sizeof(prologue), &sides.responder.own);
    assert_int_equal(say_hello(&sides, message), 0);
    assert_int_equal(
        noise_hello_read(&other, message, NOISE_HELLO_OVERHEAD + 2, payload), -1);
}

static void sides_with_different_psks_do_not_meet(void **state)
{
    (void)state;
    struct sides sides = make_sides(NOISE_IK_PSK2);
    static const unsigned char psk[KEY_SIZE] = "another";
    unsigned char message[BYTES_MAX];
    unsigned char payload[BYTES_MAX];

    noise_handshake_set_psk(&sides.responder, psk);
    assert_int_equal(say_hello(&sides, message), 0);
    assert_int_equal(
        noise_hello_read(&sides.responder, message, NOISE_HELLO_OVERHEAD + 2, payload),
        0);
    assert_int_equal(say_welcome(&sides, message), 0);
    assert_int_equal(
        noise_welcome_read(
            &sides.initiator, message, NOISE_WELCOME_OVERHEAD + 2, payload),
        -1);
}

/* Points of a small order would make a secret that everybody knows. */
static void a_key_that_takes_no_part_is_refused(void **state)
{
    (void)state;
    static const unsigned char weak[][KEY_SIZE] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    };

    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
        struct sides sides = make_sides(NOISE_IK);
        unsigned char message[BYTES_MAX];
        unsigned char payload[BYTES_MAX];

        noise_initiator_init(&sides.initiator,
                             NOISE_IK,
                             prologue,
                             sizeof(prologue),
                             &sides.responder.own,
                             weak[i]);
        assert_int_equal(say_hello(&sides, message), -1);
        memset(message, 0, sizeof(message));
        memcpy(message, weak[i], KEY_SIZE);
        assert_int_equal(noise_hello_read(&sides.responder, message, 200, payload), -1);
    }
}

static void a_step_out_of_turn_fails_and_ends_the_handshake(void **state)
{
    (void)state;
    struct sides sides = make_sides(NOISE_IK);
    unsigned char message[BYTES_MAX];
    unsigned char payload[BYTES_MAX];
    struct noise_key send;
    struct noise_key receive;

    assert_int_equal(noise_handshake_split(&sides.initiator, &send, &receive), -1);
    assert_int_equal(say_hello(&sides, message), -1);

    sides = make_sides(NOISE_IK);
    assert_int_equal(say_hello(&sides, message), 0);
    assert_int_equal(say_hello(&sides, message), -1);

    sides = make_sides(NOISE_IK);
    assert_int_equal(say_welcome(&sides, message), -1);
    assert_int_equal(noise_hello_read(&sides.initiator, message, 200, payload), -1);
}

static void secrets_are_gone_after_the_split_and_after_a_failure(void **state)
{
    (void)state;
    static const struct noise_handshake nothing;
    struct sides sides = make_sides(NOISE_IK);
    unsigned char message[BYTES_MAX] = {0};
    unsigned char payload[BYTES_MAX];
    struct noise_key send;
    struct noise_key receive;

    shake_hands(&sides);
    assert_int_equal(noise_handshake_split(&sides.initiator, &send, &receive), 0);
    assert_memory_equal(&sides.initiator, &nothing, sizeof(nothing));

    sides = make_sides(NOISE_IK);
    assert_int_equal(noise_hello_read(&sides.responder, message, 200, payload), -1);
    assert_memory_equal(&sides.responder, &nothing, sizeof(nothing));
}

/* --- the transport --- */

static void what_is_sealed_opens_only_whole_and_under_its_counter(void **state)
{
    (void)state;
    struct sides sides = make_sides(NOISE_IK);
    struct noise_key send[2];
    struct noise_key receive[2];
    unsigned char sealed[5 + NOISE_TAG_SIZE] = "hello";
    unsigned char copy[sizeof(sealed)];
    unsigned char header[] = "header";

    shake_hands(&sides);
    assert_int_equal(noise_handshake_split(&sides.initiator, &send[0], &receive[0]), 0);
    assert_int_equal(noise_handshake_split(&sides.responder, &send[1], &receive[1]), 0);
    noise_seal(&send[0], 7, header, sizeof(header), sealed, 5);
    assert_memory_not_equal(sealed, "hello", 5);
    for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
        memcpy(copy, sealed, sizeof(copy));
        flip(copy, bit);
        assert_int_equal(
            noise_open(&receive[1], 7, header, sizeof(header), copy, sizeof(copy)), -1);
    }
    for (size_t bit = 0; bit < 8 * sizeof(header); bit++) {
        memcpy(copy, sealed, sizeof(copy));
        flip(header, bit);
        assert_int_equal(
            noise_open(&receive[1], 7, header, sizeof(header), copy, sizeof(copy)), -1);
        flip(header, bit);
    }
    memcpy(copy, sealed, sizeof(copy));
    assert_int_equal(
        noise_open(&receive[1], 8, header, sizeof(header), copy, sizeof(copy)), -1);
    memcpy(copy, sealed, sizeof(copy));
    assert_int_equal(
        noise_open(&receive[1], 7, header, sizeof(header), copy, NOISE_TAG_SIZE - 1),
        -1);
    assert_int_equal(
        noise_open(&receive[0], 7, header, sizeof(header), copy, sizeof(copy)), -1);
    memcpy(copy, sealed, sizeof(copy));
    assert_int_equal(
        noise_open(&receive[1], 7, header, sizeof(header), copy, sizeof(copy)), 0);
    assert_memory_equal(copy, "hello", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_come_out_to_the_byte),
        cmocka_unit_test(a_hello_with_any_bit_flipped_is_refused),
        cmocka_unit_test(a_welcome_with_any_bit_flipped_is_refused),
        cmocka_unit_test(a_hello_made_for_another_key_or_prologue_is_refused),
        cmocka_unit_test(a_hello_of_one_pattern_is_none_of_the_other),
        cmocka_unit_test(sides_with_different_psks_do_not_meet),
        cmocka_unit_test(a_key_that_takes_no_part_is_refused),
        cmocka_unit_test(a_step_out_of_turn_fails_and_ends_the_handshake),
        cmocka_unit_test(secrets_are_gone_after_the_split_and_after_a_failure),
        cmocka_unit_test(what_is_sealed_opens_only_whole_and_under_its_counter),
    };

    assert_int_equal(id_init(), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
