/* SPDX-License-Identifier: Apache-2.0 */
/* trust.h - by which keys a program knows its master
 *
 * Mostly one. A master that is going to have another key announces it in each
 * handshake, and both are good until one of them has been proven without a further
 * announcement: then the other is gone. A program that was down meanwhile tries all
 * that it knows, the one proven last first.
 *
 * Thread-safe: shared by all connections of a program. */
#ifndef CORTEX_COMMON_TRUST_H
#define CORTEX_COMMON_TRUST_H

#include <stddef.h>

#include "common/key.h"

#define TRUST_KEYS_MAX 3 /* the proven one, the announced one, one that was told */

struct trust;

/* Is told the keys whenever they become others, the proven one first; `next` NULL: no
 * other is announced. May block on the disk. Under the lock: calls nothing of here. */
typedef void (*trust_keep_fn)(void *arg,
                              const unsigned char proven[KEY_SIZE],
                              const unsigned char *next);

/* `keep` NULL: nobody is told. */
struct trust *trust_create(trust_keep_fn keep, void *arg);
void trust_destroy(struct trust *trust); /* NULL is fine */

/* One more key to try after those before it; one that is known already is not. At most
 * TRUST_KEYS_MAX. */
void trust_add(struct trust *trust, const unsigned char key[KEY_SIZE]);

/* Returns how many there are, in the order in which they are tried. */
size_t trust_keys(struct trust *trust, unsigned char out[TRUST_KEYS_MAX][KEY_SIZE]);

/* The master has proven to have this key, and announced `next`; NULL: none. */
void trust_proven(struct trust *trust,
                  const unsigned char key[KEY_SIZE],
                  const unsigned char *next);

#endif
