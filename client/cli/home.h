/* SPDX-License-Identifier: Apache-2.0 */
/* home.h - where a user's things are kept: the folder ~/.cortex
 *
 * Each returns a path for the caller to free, or NULL with FAILED_PRECONDITION when
 * nothing tells where the user's home is. Nothing is made but a key. Single-threaded.
 */
#ifndef CORTEX_CLIENT_CLI_HOME_H
#define CORTEX_CLIENT_CLI_HOME_H

#include "common/error.h"
#include "common/key.h"

/* CORTEX_CLI_CONFIG_DIR, or ~/.cortex: the CLI's own settings. */
char *home_settings_folder(struct error *err);

/* ~/.cortex/cluster: the state of the local cluster unless --state-dir says so. */
char *home_cluster_folder(struct error *err);

/* Where in the settings folder is kept what is learned of a cluster's master. */
char *home_master_folder(const unsigned char cluster[KEY_CLUSTER_SIZE],
                         struct error *err);

/* The user's own key: that of the file `path`, or if NULL `key` in the settings folder.
 * Made if it is missing. *out_path, absolute, is for the caller to free. Blocks on the
 * disk. */
int home_key(const char *path,
             char **out_path,
             struct key_pair *out_key,
             struct error *err);

#endif
