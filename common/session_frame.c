/* SPDX-License-Identifier: Apache-2.0 */
/* session_frame.c - how the frames of a sealed channel are laid out */
#include "common/session_frame.h"

#include <string.h>

#include "common/bytes.h"
#include "common/utf8.h"

#define FRAME_VERSION 1
#define SESSION_AT    8
#define COUNTER_AT    16

/* Where the fields of the payloads stand. */
enum {
    HELLO_TIME_AT = 0,
    HELLO_PROTOCOL_MIN_AT = 8,
    HELLO_PROTOCOL_MAX_AT = 10,
    HELLO_ROLE_AT = 12,
    HELLO_TEXTS_AT = 13, /* name and token, each behind its size in one byte */

    WELCOME_CODE_AT = 0,
    WELCOME_PROTOCOL_AT = 2,
    WELCOME_TIME_AT = 4,
    WELCOME_ROLE_AT = 12,
    WELCOME_FRAME_SIZE_AT = 13,
    WELCOME_LIFETIME_AT = 17,
    WELCOME_MESSAGES_AT = 21,
    WELCOME_CLIENT_TIME_AT = 29,
    WELCOME_SENTENCE_AT = 37, /* behind its size in two bytes */
};

void session_frame_put_header(uint8_t *out, enum codec_frame_type type)
{
    memset(out, 0, SESSION_HEADER_SIZE);
    out[0] = 'C';
    out[1] = 'X';
    out[2] = FRAME_VERSION;
    out[3] = (uint8_t)type;
}

bool session_frame_type(const uint8_t *frame, size_t size, enum codec_frame_type *out)
{
    uint8_t expected[SESSION_HEADER_SIZE];

    if (size < SESSION_HEADER_SIZE || frame[3] < CODEC_HELLO ||
        frame[3] > CODEC_REJECT) {
        return false;
    }
    session_frame_put_header(expected, (enum codec_frame_type)frame[3]);
    if (memcmp(frame, expected, sizeof(expected)) != 0) {
        return false;
    }
    *out = (enum codec_frame_type)frame[3];
    return true;
}

/* --- payloads --- */

static uint8_t *put_short_text(uint8_t *at, const char *text)
{
    uint8_t *size = at++;

    while (*text) {
        *at++ = (uint8_t)*text++;
    }
    *size = (uint8_t)(at - size - 1);
    return at;
}

/* Printable ASCII, or NULL; else what is behind it. */
static const uint8_t *
get_short_text(const uint8_t *at, const uint8_t *end, char *out, size_t capacity)
{
    if (at == end || *at >= capacity || *at > end - at - 1) {
        return NULL;
    }
    size_t size = *at++;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < ' ' || at[i] > '~') {
            return NULL;
        }
    }
    memcpy(out, at, size);
    out[size] = '\0';
    return at + size;
}

size_t session_hello_pack(const struct session_hello *hello,
                          uint8_t out[SESSION_HELLO_PAYLOAD_MAX])
{
    bytes_put_u64(out + HELLO_TIME_AT, hello->client_time_ns);
    bytes_put_u16(out + HELLO_PROTOCOL_MIN_AT, hello->protocol_min);
    bytes_put_u16(out + HELLO_PROTOCOL_MAX_AT, hello->protocol_max);
    out[HELLO_ROLE_AT] = (uint8_t)hello->role;
    uint8_t *at = put_short_text(out + HELLO_TEXTS_AT, hello->name);
    return (size_t)(put_short_text(at, hello->token) - out);
}

bool session_hello_unpack(const uint8_t *payload,
                          size_t size,
                          struct session_hello *out)
{
    struct session_hello hello;
    const uint8_t *end = payload + size;

    if (size < HELLO_TEXTS_AT || payload[HELLO_ROLE_AT] >= KEY_ROLE_COUNT) {
        return false;
    }
    hello.client_time_ns = bytes_get_u64(payload + HELLO_TIME_AT);
    hello.protocol_min = bytes_get_u16(payload + HELLO_PROTOCOL_MIN_AT);
    hello.protocol_max = bytes_get_u16(payload + HELLO_PROTOCOL_MAX_AT);
    hello.role = (enum key_role)payload[HELLO_ROLE_AT];
    const uint8_t *at =
        get_short_text(payload + HELLO_TEXTS_AT, end, hello.name, sizeof(hello.name));
    if (!at || !get_short_text(at, end, hello.token, sizeof(hello.token))) {
        return false;
    }
    *out = hello;
    return true;
}

static const unsigned char no_key[KEY_SIZE];

size_t session_welcome_pack(const struct session_welcome *welcome,
                            uint8_t out[SESSION_WELCOME_PAYLOAD_MAX])
{
    size_t sentence_size = strlen(welcome->sentence);

    bytes_put_u16(out + WELCOME_CODE_AT, (uint16_t)welcome->code);
    bytes_put_u16(out + WELCOME_PROTOCOL_AT, welcome->protocol);
    bytes_put_u64(out + WELCOME_TIME_AT, welcome->server_time_ms);
    out[WELCOME_ROLE_AT] = (uint8_t)welcome->role;
    bytes_put_u32(out + WELCOME_FRAME_SIZE_AT, welcome->frame_size_max);
    bytes_put_u32(out + WELCOME_LIFETIME_AT, welcome->lifetime_ms);
    bytes_put_u64(out + WELCOME_MESSAGES_AT, welcome->messages_max);
    bytes_put_u64(out + WELCOME_CLIENT_TIME_AT, welcome->client_time_last_ns);
    bytes_put_u16(out + WELCOME_SENTENCE_AT, (uint16_t)sentence_size);
    memcpy(out + WELCOME_SENTENCE_AT + 2, welcome->sentence, sentence_size);
    size_t at = WELCOME_SENTENCE_AT + 2 + sentence_size;
    size_t next_size = welcome->has_next ? KEY_SIZE : 0;
    out[at++] = (uint8_t)next_size;
    memcpy(out + at, welcome->next, next_size);
    return at + next_size;
}

bool session_welcome_unpack(const uint8_t *payload,
                            size_t size,
                            struct session_welcome *out)
{
    struct session_welcome welcome;

    if (size < WELCOME_SENTENCE_AT + 2 || payload[WELCOME_ROLE_AT] >= KEY_ROLE_COUNT) {
        return false;
    }
    size_t sentence_size = bytes_get_u16(payload + WELCOME_SENTENCE_AT);
    const char *sentence = (const char *)payload + WELCOME_SENTENCE_AT + 2;
    if (sentence_size >= sizeof(welcome.sentence) ||
        sentence_size > size - WELCOME_SENTENCE_AT - 2 ||
        !utf8_valid(sentence, sentence_size) || memchr(sentence, 0, sentence_size)) {
        return false;
    }
    welcome.code = error_code_from_number(bytes_get_u16(payload + WELCOME_CODE_AT));
    welcome.protocol = bytes_get_u16(payload + WELCOME_PROTOCOL_AT);
    welcome.server_time_ms = bytes_get_u64(payload + WELCOME_TIME_AT);
    welcome.role = (enum key_role)payload[WELCOME_ROLE_AT];
    welcome.frame_size_max = bytes_get_u32(payload + WELCOME_FRAME_SIZE_AT);
    welcome.lifetime_ms = bytes_get_u32(payload + WELCOME_LIFETIME_AT);
    welcome.messages_max = bytes_get_u64(payload + WELCOME_MESSAGES_AT);
    welcome.client_time_last_ns = bytes_get_u64(payload + WELCOME_CLIENT_TIME_AT);
    memcpy(welcome.sentence, sentence, sentence_size);
    welcome.sentence[sentence_size] = '\0';
    // One that was made before there was this field ends here.
    const uint8_t *at = payload + WELCOME_SENTENCE_AT + 2 + sentence_size;
    size_t left = size - (size_t)(at - payload);
    welcome.has_next = left > KEY_SIZE && *at == KEY_SIZE;
    memcpy(welcome.next, welcome.has_next ? at + 1 : no_key, KEY_SIZE);
    *out = welcome;
    return true;
}

/* --- data --- */

void session_data_seal(const struct noise_key *key,
                       uint64_t session,
                       uint64_t counter,
                       uint8_t *frame,
                       size_t size)
{
    session_frame_put_header(frame, CODEC_DATA);
    bytes_put_u64(frame + SESSION_AT, session);
    bytes_put_u64(frame + COUNTER_AT, counter);
    noise_seal(key,
               counter,
               frame,
               SESSION_PREFIX_SIZE,
               frame + SESSION_PREFIX_SIZE,
               size - SESSION_PREFIX_SIZE - NOISE_TAG_SIZE);
}

bool session_data_claims(const uint8_t *frame,
                         size_t size,
                         uint64_t *out_session,
                         uint64_t *out_counter)
{
    if (size < SESSION_PREFIX_SIZE + NOISE_TAG_SIZE) {
        return false;
    }
    *out_session = bytes_get_u64(frame + SESSION_AT);
    *out_counter = bytes_get_u64(frame + COUNTER_AT);
    return true;
}

int session_data_open(const struct noise_key *key, uint8_t *frame, size_t size)
{
    if (noise_open(key,
                   bytes_get_u64(frame + COUNTER_AT),
                   frame,
                   SESSION_PREFIX_SIZE,
                   frame + SESSION_PREFIX_SIZE,
                   size - SESSION_PREFIX_SIZE) != 0) {
        return -1;
    }
    session_frame_put_header(frame + SESSION_CLEAR_AT, CODEC_CLEAR);
    bytes_put_u64(frame + SESSION_CLEAR_AT + SESSION_AT, 0);
    return 0;
}
