/* SPDX-License-Identifier: Apache-2.0 */
/* seal.h - how a program comes by what its sealed calls to a master need
 *
 * A join string says which master and how it proves itself; a key of one's own says who
 * one is. Both are kept in a folder, so that a program is told the join string once:
 *
 *   FOLDER/join        the string, without a token
 *   FOLDER/join.next   the same with the key that the master is going to have, while
 *                      it announces one
 *   FOLDER/key         the program's own key, mode 0600, made at the first start; one
 *                      that takes its place is used from the next handshake on
 *
 * A string with a token is kept once the program has joined (seal_remember); until then
 * join.has_token asks for that. One that is given again later is then without effect,
 * and so is the key in one of before the master changed its own: what was proven last
 * is tried first (trust.h).
 *
 * Blocks on the disk; single-threaded, at the start of a program. */
#ifndef CORTEX_COMMON_SEAL_H
#define CORTEX_COMMON_SEAL_H

#include <stdbool.h>

#include "common/error.h"
#include "common/key.h"
#include "common/session_client.h"

struct seal_request {
    const char *folder;   /* made if it is missing; NULL: none */
    const char *join;     /* a join string; NULL: the folder's, if it has one */
    const char *key_file; /* NULL: the folder's */
    /* Any thread: a sentence for the operator when the master's keys change. */
    void (*tell)(const char *news);
};

struct seal {
    bool sealed; /* false: no join string is known, frames are clear */
    struct key_join join;
    struct key_pair key;
    char *key_file;      /* where it is; NULL: nowhere */
    struct trust *trust; /* with sealed */
    struct seal_keeper *keeper;
};

/* Reads or makes what is there to be. INVALID_ARGUMENT for a join string or key that is
 * none, or for a key file without a join string. */
int seal_open(const struct seal_request *request, struct seal *out, struct error *err);

/* Of one whose clients have ended. */
void seal_close(struct seal *seal);

/* The program has joined: its token is of no more use, and forgotten. */
int seal_remember(const char *folder, struct seal *seal, struct error *err);

/* For rpc_client: the options of a session in this role under this name, which is
 * borrowed, as are the seal's trust and key file. Only of a seal that is sealed. */
void seal_options(const struct seal *seal,
                  enum key_role role,
                  const char *name,
                  struct session_client_options *out);

#endif
