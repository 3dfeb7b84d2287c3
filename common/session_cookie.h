/* SPDX-License-Identifier: Apache-2.0 */
/* session_cookie.h - when a hello costs a cookie before anything is computed for it
 *
 * A hello makes a server compute, and anybody can send one. As long as few come, each
 * is taken. Beyond that one must bring the cookie of its sender's address back, which
 * proves that he receives there, and is taken only while few come from there. A cookie
 * is keyed BLAKE2b of the address: nothing is kept for it. The key changes every
 * SESSION_COOKIE_ROTATE_MS, and cookies of the key before it are good too.
 *
 * Embedded in its owner. Pure: time is an argument, and keys are made of the random
 * bytes given. Not thread-safe. */
#ifndef CORTEX_COMMON_SESSION_COOKIE_H
#define CORTEX_COMMON_SESSION_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/session_frame.h"

#define SESSION_COOKIE_ROTATE_MS   120000
#define SESSION_COOKIE_ADDRESS_MAX 64 /* hellos a second of an address, with cookie */

typedef void (*session_random_fn)(void *out, size_t size);

struct session_cookie {
    unsigned free_max; /* hellos a second that need none */
    session_random_fn random;
    unsigned char keys[2][KEY_SIZE]; /* the newest first */
    int64_t rotated_ms;
    int64_t second; /* the one that is counted: */
    unsigned hellos;
    uint8_t by_address[256]; /* buckets that addresses fall into by chance */
};

void session_cookie_init(struct session_cookie *cookie,
                         unsigned free_max,
                         session_random_fn random,
                         int64_t now_ms);
void session_cookie_fini(struct session_cookie *cookie);

/* Whether a hello from the address is to be answered now; counts it. `given` is the
 * cookie it brought, or NULL. */
bool session_cookie_admit(struct session_cookie *cookie,
                          int64_t now_ms,
                          const char *address,
                          const uint8_t *given);

/* The address's cookie. */
void session_cookie_make(const struct session_cookie *cookie,
                         const char *address,
                         uint8_t out[SESSION_COOKIE_SIZE]);

#endif
