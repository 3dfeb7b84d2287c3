/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_keys.h - how the programs of a local cluster come to trust one another
 *
 * Each has a key of its own in its state folder, and the master lists them; so does it
 * the user's own key, as admin. What is there is kept, so that it may be done again at
 * any time. Blocks on the disk and on `cortex-master`, which it runs. */
#ifndef CORTEX_CLIENT_CLI_CLUSTER_KEYS_H
#define CORTEX_CLIENT_CLI_CLUSTER_KEYS_H

#include <stdbool.h>

#include "client/cli/cluster_state.h"
#include "common/error.h"

/* Whether the master has a key: one of an earlier release had none. */
bool cluster_keys_exist(const struct cluster_state *state);

/* Makes what is missing. *out_join and *out_key_file, the user's, are for the caller to
 * free. */
int cluster_keys_make(const struct cluster_state *state,
                      char **out_join,
                      char **out_key_file,
                      struct error *err);

#endif
