/* SPDX-License-Identifier: Apache-2.0 */
/* fake_master.h - a small master for tests of a real cortex-agent
 *
 * It is kept in the test's process and reached over loopback; a few jobs at a time,
 * each on one worker. A batch's payload is [its index]. The master wants the worker to
 * run until every batch has an outcome, then to complete and to leave. Jobs are given
 * to it and read under fake_master.mutex; the functions take it themselves. Anything
 * unexpected fails the test. */
#ifndef CORTEX_TESTS_SUPPORT_FAKE_MASTER_H
#define CORTEX_TESTS_SUPPORT_FAKE_MASTER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buffer.h"
#include "common/id.h"

#define JOBS_MAX 4
#define WAIT_MS  60000 /* a safety net only */
#define CLOSING  "no batches left in queue, job has been completed\n"

struct outcome {
    int outcome; /* the wire's number; 0: none yet */
    char error[256];
    unsigned attempts; /* that ended with the worker's death in predict */
};

/* One job and its worker. */
struct job {
    uint64_t id;
    uint64_t worker_id;
    char *project; /* archive */
    size_t project_size;
    char project_id[ID_PROJECT_TEXT_SIZE];
    const char *config;
    const char *log_level;
    uint64_t memory_bytes; /* of the worker; 0: no limit */
    uint64_t total;
    uint64_t next;
    uint64_t ended;
    uint64_t returned; /* queue of those given back, at the front */
    uint64_t returned_index[64];
    struct outcome *outcomes;
    int wish;
    bool closes;
    int state;   /* of the worker, as it says; the numbers are the wire's, */
    int failure; /* which worker.h has too */
    char error[512];
    bool has_callback;
    unsigned pid;
    struct buffer log;
    uint64_t log_sequence;
};

struct fake_master {
    pthread_mutex_t mutex;
    struct rpc_server *server;
    struct job *jobs[JOBS_MAX];
    uint64_t version;
    uint64_t attempt;
    uint64_t work_number;
    bool registered;
    bool want_unregistered; /* the next Work is refused, as after a restart */
    struct rpc_call *parked;
    int64_t parked_until_ms;
    bool draining;
    const char *const *agent_options; /* ended by NULL; of every start_agent */
    pid_t agent;
    char *folder; /* of the test; others may pass through it */
    char *state_dir;
};
extern struct fake_master master;

/* For cmocka: a master and an agent with these options (NULL: none). */
int fake_master_start(const char *const *agent_options);
int fake_master_stop(void **state);

/* The agent as a process; its status as waitpid has it. */
void start_agent(void);
int stop_agent(int signal);

/* files: path, text, path, text, ..., NULL. memory_bytes 0: no limit. */
struct job *job_begin_with(const char *const *files,
                           const char *config,
                           const char *level,
                           uint64_t total,
                           uint64_t memory_bytes);
struct job *job_begin(const char *const *files,
                      const char *config,
                      const char *level,
                      uint64_t total);
/* Runs a job with this predictor to its end. */
struct job *run_job(const char *predictor, const char *config, uint64_t total);
void wait_until(struct job *job, bool (*there)(const struct job *));
bool is_over(const struct job *job);
/* With the mutex: what the master wants of the worker from now on. */
void wish(struct job *job, int what, bool closes);
void job_end(struct job *job);

void expect_log(const struct job *job, const char *text);
void expect_no_log(const struct job *job, const char *text);
void expect_last_line(const struct job *job, const char *text);
void expect_all(const struct job *job, int outcome);

#endif
