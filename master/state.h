/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - all that the deciding part of the master knows
 *
 * One struct, one thread. Handlers read the time from it, change memory and rows
 * together, and put what is to be done into its outbox. It does no I/O but the
 * store's and reads no clock, so that the same code runs in the loop and in the
 * simulator. */
#ifndef CORTEX_MASTER_STATE_H
#define CORTEX_MASTER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/map.h"
#include "master/api.h"
#include "master/deadletter.h"
#include "master/job.h"
#include "master/outbox.h"
#include "master/roster.h"
#include "master/store.h"

#define STATE_LEASE_MS      10000  /* a lease's length */
#define STATE_LOST_MS       10000  /* an agent not heard of for so long is lost */
#define STATE_STALLED_MS    600000 /* a worker that waits longer for room is stalled */
#define STATE_KEY_NS        (INT64_C(86400) * 1000000000) /* a submission's key is kept */
#define STATE_REQUEST_NS    (INT64_C(3600) * 1000000000) /* a call's repeat is known */
#define STATE_APIS_MAX      10000                        /* deployed names */
#define STATE_LIVE_JOBS_MAX 100000 /* jobs that are not terminal */

struct state_settings {
    int64_t lease_ms;
    int64_t lost_ms;
    const char *bridge_url; /* base of every endpoint a user sees; "" : unknown */
    bool read_only;         /* the disk takes no writes: the boot is not counted */
    char machine_boot[JOB_BOOT_SIZE]; /* of the monotonic clock; "": not known */
};

/* A StopJob that is answered when no worker can begin a batch of the job any more. */
struct state_stop {
    void *call;
    uint64_t job_id;
};

struct state {
    struct state_settings settings;
    struct store *store;
    struct outbox outbox;

    /* Set before every step. */
    int64_t now_ms;  /* monotonic */
    int64_t wall_ns; /* since 1970 */

    int64_t steady_base_ns; /* what state_steady_ns was at the start of now_ms */

    uint64_t random; /* the seed's state; see state_random */
    uint32_t boot;
    uint32_t attempt_count; /* attempts and workers given out since this start */
    uint32_t worker_count;
    uint64_t last_job_id;

    struct api_version **apis; /* current versions, by name */
    size_t api_count;
    struct map jobs; /* id -> struct job, those that are not over and done with */
    struct roster roster;
    struct deadletter_book deadletters;

    struct state_stop *stops; /* not answered yet */
    size_t stop_count;

    int64_t wake_ms;     /* when something is due at the latest */
    bool schedule_dirty; /* demand or room changed: place workers anew */
    bool work_appeared;  /* batches became ready: tell hungry workers */
    bool leaving;        /* the process is about to end (route_leave) */
};

/* Opens nothing; the store is the caller's. Counts the start (store_boot). */
int state_init(struct state *state,
               const struct state_settings *settings,
               struct store *store,
               uint64_t seed,
               struct error *err);
void state_fini(struct state *state);

/* The date of what is kept for a while (STATE_KEY_NS, STATE_REQUEST_NS). It grows as
 * the monotonic clock does, so that nothing is forgotten because somebody set the time;
 * a restart goes on from the newest date that is stored. */
int64_t state_steady_ns(const struct state *state);

/* SplitMix64: the same seed, the same numbers. */
uint64_t state_random(struct state *state);

/* Something is due at that time: the loop wakes up then. */
void state_wake_at(struct state *state, int64_t when_ms);

/* The same for the job's next retry, if that is still to come. */
void state_wake_for(struct state *state, const struct job *job);

/* The job times out at that time. */
void state_set_deadline(struct state *state, struct job *job, int64_t deadline_ms);

uint64_t state_next_worker_id(struct state *state);

/* The first of `count` consecutive attempt numbers. */
uint64_t state_next_attempts(struct state *state, uint32_t count);

/* NULL if there is none. */
struct api_version *state_api(const struct state *state, const char *name);
/* Puts it in place of the one of that name, or beside the others; takes a reference. */
void state_api_put(struct state *state, struct api_version *version);
void state_api_remove(struct state *state, const char *name);

/* A job that is not over and done with; NULL otherwise. */
struct job *state_job(const struct state *state, uint64_t job_id);

/* Adds a line to the job's log, with its newline. */
void state_log(struct state *state, uint64_t job_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An event about a job. */
int state_job_event(struct state *state,
                    uint64_t job_id,
                    const char *action,
                    const char *detail,
                    struct error *err);

/* Walks the live jobs, oldest first. The caller frees the array. */
struct job **state_jobs_by_age(const struct state *state, size_t *out_count);

#endif
