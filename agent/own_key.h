/* SPDX-License-Identifier: Apache-2.0 */
/* own_key.h - how an agent's key is changed, and who the agent stays
 *
 * An agent is named by the first half of its first key. Beside a key that took the
 * place of another, FILE.id tells that name; FILE.next is the next key until the master
 * knows it. Blocks on disk and network; single-threaded. */
#ifndef CORTEX_AGENT_OWN_KEY_H
#define CORTEX_AGENT_OWN_KEY_H

#include "agent/daemon.h"
#include "common/error.h"
#include "common/key.h"

/* Who the agent with the key of this file is. FAILED_PRECONDITION for an id file that
 * is none. */
int own_key_name(const char *key_file,
                 const struct key_pair *key,
                 unsigned char out[KEY_NAME_SIZE],
                 struct error *err);

/* `cortex-agent rotate`: makes the next key, tells the master, and puts it in place.
 * What fails may be done again. The agent itself may run meanwhile: it uses the next
 * key from its next handshake on, which is within an hour; the other is good for a day.
 */
int own_key_rotate(const struct daemon_options *options, struct error *err);

#endif
