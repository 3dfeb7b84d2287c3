/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - who the master is to those that call it
 *
 * Two files in its state folder, made by `cortex-master init`:
 *
 *   master.key   its key, mode 0600
 *   next.key     the one that takes its place when a rotation is finished, mode 0600
 *   join         its join string: address, cluster id and public key; may be shown
 *
 * Without them the master has no key: frames are clear. Blocks on the disk. */
#ifndef CORTEX_MASTER_IDENTITY_H
#define CORTEX_MASTER_IDENTITY_H

#include <stdbool.h>

#include "common/error.h"
#include "common/key.h"

struct identity {
    struct key_pair key;
    bool has_next;
    struct key_pair next;
    struct key_join join;
};

/* Makes what is missing, and keeps what is there but for the address: NULL keeps that
 * too (tcp://127.0.0.1:8790 if there is none yet). */
int identity_make(const char *folder,
                  const char *address,
                  struct identity *out,
                  struct error *err);

/* NOT_FOUND if there is no key; FAILED_PRECONDITION if there is one but no join string
 * that goes with it. */
int identity_load(const char *folder, struct identity *out, struct error *err);

/* Reads key and next key once more, and no join string. */
int identity_load_keys(const char *folder, struct identity *out, struct error *err);

/* Makes the next key, if there is none; a master that runs announces it. NOT_FOUND
 * without a key. */
int identity_rotate(const char *folder, struct identity *out, struct error *err);

/* Puts the next key in the place of the key, and into the join string. What a crash
 * leaves half done is mended by identity_make. FAILED_PRECONDITION if there is none. */
int identity_finish(const char *folder, struct identity *out, struct error *err);

/* Where authorized_keys is; the caller frees. */
char *identity_keys_path(const char *folder);

#endif
