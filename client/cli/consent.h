/* SPDX-License-Identifier: Apache-2.0 */
/* consent.h - whether the user wants to send so much
 *
 * Large files and many of them are mostly there by mistake. On a terminal the user is
 * asked; without one, what would be asked is an error that says what to do. The
 * questions go to standard error. */
#ifndef CORTEX_CLIENT_CLI_CONSENT_H
#define CORTEX_CLIENT_CLI_CONSENT_H

#include <stdbool.h>

#include "client/cli/project.h"

#define CONSENT_FILE_SIZE    (UINT64_C(10) << 20) /* bytes of one file */
#define CONSENT_FILE_COUNT   1000
#define CONSENT_ARCHIVE_SIZE ((size_t)10 << 20) /* bytes, packed */

/* Before packing: each file larger than CONSENT_FILE_SIZE, which is left out at a "no",
 * then the number of files, where a "no" is CANCELLED. *out_asked_count: that was asked
 * too. Blocks on the user. */
int consent_to_files(struct project *project, bool *out_asked_count, struct error *err);

/* After packing. */
int consent_to_archive(size_t size, struct error *err);

#endif
