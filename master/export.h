/* SPDX-License-Identifier: Apache-2.0 */
/* export.h - how a master's state is written out for others to read */
#ifndef CORTEX_MASTER_EXPORT_H
#define CORTEX_MASTER_EXPORT_H

#include <stdio.h>

#include "common/error.h"

/* Writes what the state folder's database remembers, store_export's lines, to `out`.
 * Blocks. The master of that folder must not run: one process has the database
 * (FAILED_PRECONDITION). A folder without one is NOT_FOUND. */
int export_state(const char *state_folder, FILE *out, struct error *err);

#endif
