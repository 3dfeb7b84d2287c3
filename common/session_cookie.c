/* SPDX-License-Identifier: Apache-2.0 */
/* session_cookie.c - when a hello costs a cookie before anything is computed for it */
#include "common/session_cookie.h"

#include <string.h>

#include <sodium.h>

static void hash(const unsigned char key[KEY_SIZE],
                 const char *address,
                 uint8_t out[SESSION_COOKIE_SIZE])
{
    (void)crypto_generichash(out,
                             SESSION_COOKIE_SIZE,
                             (const void *)address,
                             strlen(address),
                             key,
                             KEY_SIZE);
}

void session_cookie_init(struct session_cookie *cookie,
                         unsigned free_max,
                         session_random_fn random,
                         int64_t now_ms)
{
    *cookie = (struct session_cookie){
        .free_max = free_max,
        .random = random,
        .rotated_ms = now_ms,
    };
    random(cookie->keys, sizeof(cookie->keys));
}

void session_cookie_fini(struct session_cookie *cookie)
{
    key_wipe(cookie, sizeof(*cookie));
}

static void rotate(struct session_cookie *cookie, int64_t now_ms)
{
    if (now_ms - cookie->rotated_ms >= SESSION_COOKIE_ROTATE_MS) {
        memcpy(cookie->keys[1], cookie->keys[0], KEY_SIZE);
        cookie->random(cookie->keys[0], KEY_SIZE);
        cookie->rotated_ms = now_ms;
    }
    if (now_ms / 1000 != cookie->second) {
        cookie->second = now_ms / 1000;
        cookie->hellos = 0;
        memset(cookie->by_address, 0, sizeof(cookie->by_address));
    }
}

static bool
is_good(const struct session_cookie *cookie, const char *address, const uint8_t *given)
{
    uint8_t expected[SESSION_COOKIE_SIZE];
    bool good = false;

    for (int i = 0; given && i < 2; i++) {
        hash(cookie->keys[i], address, expected);
        good = key_equal(expected, given, sizeof(expected)) || good;
    }
    return good;
}

bool session_cookie_admit(struct session_cookie *cookie,
                          int64_t now_ms,
                          const char *address,
                          const uint8_t *given)
{
    uint8_t bucket[SESSION_COOKIE_SIZE];

    rotate(cookie, now_ms);
    if (cookie->hellos < cookie->free_max) {
        cookie->hellos++;
        return true;
    }
    if (!is_good(cookie, address, given)) {
        return false;
    }
    hash(cookie->keys[0], address, bucket);
    uint8_t *count = &cookie->by_address[bucket[0]];
    if (*count >= SESSION_COOKIE_ADDRESS_MAX) {
        return false;
    }
    (*count)++;
    return true;
}

void session_cookie_make(const struct session_cookie *cookie,
                         const char *address,
                         uint8_t out[SESSION_COOKIE_SIZE])
{
    hash(cookie->keys[0], address, out);
}
