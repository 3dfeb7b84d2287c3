/* SPDX-License-Identifier: Apache-2.0 */
/* enqueuings.h - which jobs enqueue, and how their segments come to the loop
 *
 * Each job's enqueuer runs on a thread here. A segment that it has written goes to the
 * loop, which takes it into the job (submit_segment), and only then is the next one
 * written; the loop hears of the end, too (submit_enqueued), unless it was told to
 * stop: then the job is over, or goes on with the master's next start.
 */
#ifndef CORTEX_MASTER_ENQUEUINGS_H
#define CORTEX_MASTER_ENQUEUINGS_H

#include <stdint.h>

#include "common/error.h"
#include "master/joblog.h"
#include "master/loop.h"
#include "master/outbox.h"
#include "master/prepare.h"

#define ENQUEUINGS_THREADS 4 /* jobs that enqueue at a time; more wait their turn */

struct enqueuings;

/* All are borrowed. */
int enqueuings_create(const struct prepare *prepare,
                      struct joblog *joblog,
                      struct enqueuings **out_all,
                      struct error *err);

/* Carries out an ACTION_ENQUEUE, of which it takes what it needs. Never blocks. */
void enqueuings_start(struct enqueuings *all, struct loop *loop, struct action *action);

/* The job's enqueuing ends soon, where it is. */
void enqueuings_cancel(struct enqueuings *all, uint64_t job_id);

/* All end where they are, and those that are started from now on. */
void enqueuings_stop(struct enqueuings *all);

/* Waits for those that have not ended. NULL is fine. */
void enqueuings_destroy(struct enqueuings *all);

#endif
