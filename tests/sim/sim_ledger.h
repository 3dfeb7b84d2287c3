/* SPDX-License-Identifier: Apache-2.0 */
/* sim_ledger.h - what the simulation itself knows of every job
 *
 * Beside the system: what users were promised, what each batch is going to do, what
 * really happened to it in the workers, and what the master believed after its last
 * commit. The invariants compare. */
#ifndef CORTEX_TESTS_SIM_LEDGER_H
#define CORTEX_TESTS_SIM_LEDGER_H

#include "master/batch.h"
#include "master/job.h"
#include "tests/sim/sim.h"

#define SIM_BATCHES_MAX 40 /* of a job */
#define SIM_STORED_MAX  8  /* attempts of a batch that are remembered */

struct sim_batch {
    /* As the master had it after its last commit. */
    enum batch_state state;
    uint64_t attempt; /* the last that had it */
    uint64_t worker_id;
    int64_t deadline_ms;
    uint32_t attempts;    /* that ended, as counted */
    uint64_t over;        /* the newest attempt that was counted */
    uint64_t boot_newest; /* since the master's start: given out, */
    uint64_t boot_over;   /* and ended */
    uint32_t failures;    /* attempts that were reported as failed, and counted */
    uint32_t deaths;      /* the same, in which the worker died */
    uint64_t told;        /* the newest attempt that has reported, taken in or not */
    bool unresolved;      /* it was in hand when the master died */
    /* As it is. */
    uint32_t allowed;                /* times predict may begin */
    uint32_t begun;                  /* times it did */
    uint64_t begun_by;               /* the worker that did so last */
    uint32_t letters;                /* that came to the dead letter queue */
    bool letter_settled;             /* the master knows what became of it */
    uint64_t taken;                  /* the newest attempt that an agent took in, */
    uint64_t taken_worker;           /* and for which worker */
    bool holder_died;                /* that worker's process is gone */
    uint64_t stored[SIM_STORED_MAX]; /* attempts whose result is stored */
};

/* What a user sent. */
struct sim_submission {
    char api_name[16];
    char key[16]; /* "" : none */
    char body[24];
    uint64_t total;
    uint32_t workers;
    uint32_t timeout_s;
    uint32_t max_attempts;
    bool dead_letters;
    uint64_t first_ack; /* the job that its key was answered with; 0: none yet */
};

struct sim_job {
    uint64_t job_id;
    const struct sim_submission *submission;
    struct sim_job *next;
    /* What its code does. */
    bool enqueue_fails;
    bool has_callback;
    int64_t duration_ms; /* of predict, about */
    int64_t setup_ms;
    uint32_t predict_raises;
    uint32_t predict_dies;
    uint32_t predict_kills_memory;
    uint32_t setup_fails;
    uint32_t callback_fails;
    /* What was asked and answered. */
    bool acked;
    bool stop_asked;
    bool stop_answered;
    bool deleted; /* its api's deletion was decided: it may be gone */
    /* What happened. */
    bool payload_gone;
    int64_t sent_ms;   /* read by the master's pool: what its id dates it to */
    uint64_t enqueued; /* batches written to disk */
    uint32_t callbacks_begun;
    uint32_t callbacks_done;
    uint32_t worker_deaths; /* in whatever way */
    bool fits;              /* an agent has room for a worker of it */
    int64_t slighted_ms;    /* since when others have what it should get; 0: not so */
    uint32_t losses;        /* agents that died or were lost while it was there */
    /* As the master had it after its last commit. */
    enum job_state state; /* 0: not there yet */
    uint64_t total;
    uint64_t succeeded;
    uint64_t failed;
    bool forgotten; /* by the master's memory */
    bool end_unseen;
    struct sim_batch batches[SIM_BATCHES_MAX];
};

/* What an attempt was reported as, in the turn under way. */
struct sim_report {
    uint64_t job_id;
    uint64_t index;
    uint64_t attempt;
    int outcome;
};

struct sim_ledger {
    struct map jobs; /* id -> sim_job */
    struct sim_job *newest;
    uint64_t job_count;
    struct sim_report *reports;
    size_t report_count;
    size_t report_capacity;
    bool clocks_jumped;
    bool present[SIM_AGENTS_MAX]; /* as the master had it */
    uint64_t present_as[SIM_AGENTS_MAX];
    char apis[SIM_APIS][64]; /* api ids, "" : not deployed */
    uint64_t progress;       /* grows with whatever brings jobs nearer to an end */
    uint64_t progress_seen;
    int64_t progress_ms;
};

void sim_ledger_create(struct sim *sim);
struct sim_job *sim_job_find(const struct sim *sim, uint64_t job_id);
/* The master's pool has read and kept a body. */
struct sim_job *
sim_job_make(struct sim *sim, const struct sim_submission *submission, int64_t wall_ns);

#endif
