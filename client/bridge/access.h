/* SPDX-License-Identifier: Apache-2.0 */
/* access.h - whether tokens are asked for, and whose token a request bears
 *
 * Tokens are asked for when a file of them is named, or when there is one where the
 * bridge would look for it, and from then on until the process ends. The file is read
 * again when it changes. One that is gone holds no token; one with an error in it is
 * not taken, and what was read before goes on to hold. On the server's thread.
 */
#ifndef CORTEX_CLIENT_BRIDGE_ACCESS_H
#define CORTEX_CLIENT_BRIDGE_ACCESS_H

#include "client/bridge/tokens.h"

struct access;

/* path may be NULL: everybody may do everything. `demanded`: the file must be there.
 * Blocks on the disk, as access_reread does. INVALID_ARGUMENT names the file and line,
 * PERMISSION_DENIED a file that is open to other users. */
int access_open(const char *path,
                bool demanded,
                struct access **out_access,
                struct error *err);
void access_close(struct access *access);

/* Reads the file again if it is another; *out_changed says whether its tokens were
 * taken. After an error the same file is not read again. Call it every second or two.
 */
int access_reread(struct access *access, bool *out_changed, struct error *err);

bool access_demanded(const struct access *access);
size_t access_count(const struct access *access); /* of tokens */

/* Whose request it is by its Authorization (NULL: there is none, or two): false for a
 * stranger, else token_fini frees *out_token, which is an admin's where no token is
 * asked for. */
bool access_admit(const struct access *access,
                  const char *authorization,
                  int64_t wall_ms,
                  struct token *out_token);

/* Whether a token that was admitted would be so still. */
bool access_holds(const struct access *access,
                  const struct token *token,
                  int64_t wall_ms);

#endif
