/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_text.h - how a cluster of this machine is shown */
#ifndef CORTEX_CLIENT_CLI_CLUSTER_TEXT_H
#define CORTEX_CLIENT_CLI_CLUSTER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "client/cli/cluster_state.h"
#include "client/cli/environment.h"
#include "common/buffer.h"

/* Where its bridge is called. The caller frees. */
char *cluster_text_url(const struct cluster_state *state);

/* `cluster info`: for programs, and for people. The table needs a known cluster. */
void cluster_text_json(struct buffer *out, const struct cluster_state *state);
void cluster_text_table(struct buffer *out, const struct cluster_state *state);

/* "master, bridge, agent-1": those that are marked. */
void cluster_text_marked(struct buffer *out, const struct cluster_state *state);

/* `cluster up`: what was started (marked, so many), and how to go on. own_folder: the
 * state folder was given and must be when it is stopped. */
void cluster_text_up(struct buffer *out,
                     const struct cluster_state *state,
                     const struct environments *environments,
                     bool own_folder,
                     size_t started);

#endif
