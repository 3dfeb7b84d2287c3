/* SPDX-License-Identifier: Apache-2.0 */
/* home.h - where a user's things are kept: the folder ~/.cortex
 *
 * Each returns a path for the caller to free, or NULL with FAILED_PRECONDITION when
 * nothing tells where the user's home is. Nothing is made. Single-threaded. */
#ifndef CORTEX_CLIENT_CLI_HOME_H
#define CORTEX_CLIENT_CLI_HOME_H

#include "common/error.h"

/* CORTEX_CLI_CONFIG_DIR, or ~/.cortex: the CLI's own settings. */
char *home_settings_folder(struct error *err);

/* ~/.cortex/cluster: the state of the local cluster unless --state-dir says so. */
char *home_cluster_folder(struct error *err);

#endif
