/* SPDX-License-Identifier: Apache-2.0 */
/* audit.h - how an accepted command is put on record
 *
 * As an event of the subject "command": its name is the method, its action what became
 * of it, and its detail whose it was and what it was about:
 *
 *   role=bridge key=cortex-public:... for=submit object=image-classifier/69d7...
 *
 * Commands that were refused change nothing and are not on record; the master's log
 * tells of those that a role may not give, one a second at most. */
#ifndef CORTEX_MASTER_AUDIT_H
#define CORTEX_MASTER_AUDIT_H

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"

/* In the transaction of the command, or after what is not in the store is on disk. Of a
 * caller with a key. -1 only when the store failed. */
int audit_command(struct state *state,
                  const char *method,
                  const struct request *request,
                  struct error *err);

#endif
