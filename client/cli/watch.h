/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - how `cortex get --watch` goes on until there is nothing left to watch */
#ifndef CORTEX_CLIENT_CLI_WATCH_H
#define CORTEX_CLIENT_CLI_WATCH_H

#include "client/cli/get.h"

/* Asks every second until the answer is over, and prints that answer. On a terminal it
 * draws each one, with progress bars, and rides out a master's restart of minutes. */
int watch_run(struct client_api *api,
              const struct get_question *question,
              struct error *err);

#endif
