/* SPDX-License-Identifier: Apache-2.0 */
/* caller.h - whose call it is, and what he may see
 *
 * What a key may call is the routes' table's business; which apis it sees is answered
 * here, out of api= in authorized_keys and, for a bridge, the scope of the HTTP token
 * that it asks for. Where there are no keys (key NULL) only that scope limits. A caller
 * is borrowed for the time of a call. Thread-safe. */
#ifndef CORTEX_MASTER_CALLER_H
#define CORTEX_MASTER_CALLER_H

#include <stdbool.h>

#include "common/key.h"
#include "master/keys.h"

struct caller {
    enum key_role role;
    const unsigned char *key; /* proven; NULL: the master has no keys */
    struct keys *keys;        /* with key */
    enum key_role acting;     /* for whom a bridge asks; NONE: for nobody */
    const char *acting_apis;  /* patterns separated by commas; NULL or "" : all */
};

/* What he may not see is to him as if it were not there. */
bool caller_may_see(const struct caller *caller, const char *api_name);

/* Who he is if he is an agent. Only of one with a key. */
void caller_agent_id(const struct caller *caller, unsigned char out[KEY_NAME_SIZE]);

/* Whether some apis may be hidden from him: then what is counted over all is too. */
bool caller_is_limited(const struct caller *caller);

#endif
