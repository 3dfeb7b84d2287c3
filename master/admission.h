/* SPDX-License-Identifier: Apache-2.0 */
/* admission.h - whose sessions the master accepts, and for how long
 *
 * What rpc_server's seal asks, answered from authorized_keys. A key that is not listed,
 * or no longer, is told why under seal and gets no session; one that proves to know a
 * join token gets one in no role, in which it can do nothing but join. */
#ifndef CORTEX_MASTER_ADMISSION_H
#define CORTEX_MASTER_ADMISSION_H

#include "common/error.h"
#include "common/session_server.h"
#include "master/identity.h"
#include "master/keys.h"

struct admission;

/* Reads identity and authorized_keys in the master's state folder. *out_admission is
 * NULL if the master has no key. */
int admission_open(const char *folder,
                   struct admission **out_admission,
                   struct error *err);

/* Of one that no server asks. NULL is fine. */
void admission_close(struct admission *admission);

/* Whether the master's own keys in the folder have become others since this was asked
 * last, or the opening: then *out has them, to be wiped. Blocks on the disk; one thread
 * at a time. */
bool admission_rekeyed(struct admission *admission, struct identity *out);

/* The seal of rpc_server. It lives as long as the server. */
void admission_seal(struct admission *admission, struct session_server_options *out);

/* Whose api= limits what callers see. */
struct keys *admission_keys(struct admission *admission);

/* The key, which has proven to know the token, becomes an agent's: a line of
 * authorized_keys. Once more does no harm. UNAUTHENTICATED if the token is used up.
 * Blocks on the disk. Thread-safe. */
int admission_join(struct admission *admission,
                   const unsigned char key[KEY_SIZE],
                   const char *token_id,
                   const char *name,
                   struct error *err);

/* The key's next one is let in beside it, with the same rights, and it expires a day
 * later. Blocks on the disk. Thread-safe. */
int admission_rotate(struct admission *admission,
                     const unsigned char key[KEY_SIZE],
                     const unsigned char next_key[KEY_SIZE],
                     struct error *err);

/* Looks whether authorized_keys is another: every second or two, and by itself before
 * somebody is refused. Blocks on the disk; logs what changed, and once what is wrong
 * with it: then the keys before hold. */
void admission_reload(struct admission *admission);

#endif
