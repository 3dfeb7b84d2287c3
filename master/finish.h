/* SPDX-License-Identifier: Apache-2.0 */
/* finish.h - when a job is over, and what happens then
 *
 * The one place where jobs end. Each function changes memory and rows and leaves the
 * rest to the outbox; -1 is the store's failure. */
#ifndef CORTEX_MASTER_FINISH_H
#define CORTEX_MASTER_FINISH_H

#include "common/error.h"
#include "master/state.h"

/* Why a worker is no longer there. */
enum finish_cause {
    FINISH_EXITED,  /* in good order */
    FINISH_SETUP,   /* could not start: the job cannot go on */
    FINISH_MACHINE, /* could not start for reasons of its agent's machine */
    FINISH_DIED,
    FINISH_MEMORY,   /* killed for memory */
    FINISH_CALLBACK, /* on_job_complete raised */
    FINISH_LOST,     /* with its agent */
};

/* Ends the job now: counts frozen, stored, workers told. `reason` is one sentence, ""
 * if there is nothing to say. */
int finish_job(struct state *state,
               struct job *job,
               enum job_state to,
               const char *reason,
               struct error *err);

/* Looks whether all batches are done and does what follows: gives out on_job_complete,
 * or ends the job. Call when a batch ended or a worker became ready. */
int finish_check(struct state *state, struct job *job, struct error *err);

/* on_job_complete has returned on this worker. */
int finish_callback(struct state *state,
                    struct job *job,
                    struct roster_worker *worker,
                    struct error *err);

/* The worker that was given on_job_complete is leaving and has not begun it: another
 * may be given it. Call before finish_worker. */
int finish_callback_unbegun(struct state *state,
                            struct job *job,
                            const struct roster_worker *worker,
                            struct error *err);

/* The worker is gone: removes it, gives its batches back if nobody is left to report
 * them (FINISH_LOST), and ends the job where that is due. The worker is freed. */
int finish_worker(struct state *state,
                  struct roster_worker *worker,
                  enum finish_cause cause,
                  const char *detail,
                  struct error *err);

/* Drops a terminal job from memory once its last worker is gone. */
void finish_forget(struct state *state, struct job *job);

#endif
