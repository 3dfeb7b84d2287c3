/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - which key may do what, from where, until when
 *
 * Read from the master's authorized_keys, one key a line:
 *
 *   # who deploys
 *   role=submit api=image-*,audio from=10.0.0.0/8 cortex-public:... a comment
 *   role=agent cortex-public:...
 *   revoked cortex-public:...
 *   role=agent uses=20 from=10.0.0.0/8 expires=2027-01-31 cortex-token:... a comment
 *
 * role=     admin, submit, read, agent or bridge; needed unless revoked
 * api=      patterns of api names (`*`, `?`), separated by commas; without it: all
 * from=     addresses or networks (CIDR), separated by commas; without it: any
 * expires=  a day, whose end in UTC is meant, or a time such as 2027-01-31T12:00:00Z
 * uses=     of a token: how many keys may join with it; without it: any number
 * token=    of a key: the id of the token that it has joined with
 * agent=    of an agent's key that took another's place: the agent's id, 32 hex digits;
 *           without it: the first half of the key
 * revoked   the key is refused, and says so
 *
 * A token is not a key: who knows it may bring a key of his own in, whose role is
 * agent.
 *
 * The options stand in front of the key in any order, a comment behind it. A file with
 * an error in it is not taken at all, and what was read before goes on to hold.
 *
 * Thread-safe. keys_open and keys_reload block on the disk, the rest does not. */
#ifndef CORTEX_MASTER_KEYS_H
#define CORTEX_MASTER_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/key.h"

#define KEYS_FILE_SIZE_MAX (4u << 20)

struct keys;

/* Reads the file; one that does not exist yet is an empty one. Errors are
 * INVALID_ARGUMENT and name the file and line. */
int keys_open(const char *path, struct keys **out_keys, struct error *err);
void keys_close(struct keys *keys);

/* Reads it again if it is another (by time, size and inode) than at the last call;
 * *out_changed says whether there are new entries. After an error the old ones hold and
 * the same file is not read again. Meant to be called every second or two. */
int keys_reload(struct keys *keys, bool *out_changed, struct error *err);

/* How many keys there are, revoked ones included. */
size_t keys_count(struct keys *keys);

/* The role of the key when it comes from the host (an address without port; what is no
 * address fits only a key without from=) and wants `wanted` (KEY_ROLE_NONE: whichever
 * it has; an admin may want any). UNAUTHENTICATED for a key that is not there, is
 * revoked or has expired, PERMISSION_DENIED for a wrong host or role. */
int keys_check(struct keys *keys,
               const unsigned char key[KEY_SIZE],
               const char *host,
               enum key_role wanted,
               int64_t wall_ms,
               enum key_role *out_role,
               struct error *err);

/* Whether a text could be the file's; INVALID_ARGUMENT names `path` and the line. */
int keys_check_text(const char *text, const char *path, struct error *err);

/* The secret of the token of that id, if it is neither revoked nor expired. */
bool keys_find_token(struct keys *keys,
                     const char *token_id,
                     int64_t wall_ms,
                     unsigned char out_token[KEY_SIZE]);

/* Whether the key may join with the token from there (NULL: that was asked before):
 * UNAUTHENTICATED if it is revoked or expired or all its uses are used up (not by this
 * key), PERMISSION_DENIED for a wrong host. */
int keys_check_token(struct keys *keys,
                     const char *token_id,
                     const unsigned char key[KEY_SIZE],
                     const char *host,
                     int64_t wall_ms,
                     struct error *err);

/* Whether api= of the key covers the api; false for a key that is not there. */
bool keys_may_use_api(struct keys *keys,
                      const unsigned char key[KEY_SIZE],
                      const char *api_name);
/* Whether some apis are hidden from the key. */
bool keys_are_limited(struct keys *keys, const unsigned char key[KEY_SIZE]);

/* Who the agent with this key is, whatever it may do. */
void keys_agent_id(struct keys *keys,
                   const unsigned char key[KEY_SIZE],
                   unsigned char out[KEY_NAME_SIZE]);

/* Whether the key is an agent's (or an admin's) and neither revoked nor expired. */
bool keys_holds_agent(struct keys *keys,
                      const unsigned char key[KEY_SIZE],
                      int64_t wall_ms);

#endif
