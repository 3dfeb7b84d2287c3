/* SPDX-License-Identifier: Apache-2.0 */
/* worker_env.h - what user code finds in its environment
 *
 * Of the agent's own environment only what is named in worker_env.c: where programs and
 * libraries are, language and time zone, proxies and CA bundles, AWS settings, tuning
 * of numeric libraries, and, for installers, pip's settings. HOME stays the agent's
 * only where workers run as the agent. Then, each overriding what came before: TMPDIR
 * (and HOME) in the worker's folder, the api's env, CORTEX_API_NAME, CORTEX_JOB_ID,
 * CORTEX_WORKER_ID, and CUDA_VISIBLE_DEVICES where the agent has accelerators. Pure but
 * for reading environ. */
#ifndef CORTEX_AGENT_WORKER_ENV_H
#define CORTEX_AGENT_WORKER_ENV_H

#include <stdbool.h>
#include <stdint.h>

struct worker_env_options {
    char *const *agent; /* environ */
    char *const *job;   /* "NAME=value", ended by NULL; others are skipped */
    const char *api_name;
    uint64_t job_id;
    uint64_t worker_id;
    const char *tmp;
    const char *home;    /* NULL: the agent's */
    const char *devices; /* CUDA_VISIBLE_DEVICES, NULL: leave it alone */
    bool installing;
};

/* Rows ended by NULL; free with worker_env_destroy. */
char **worker_env_create(const struct worker_env_options *options);
void worker_env_destroy(char **rows);

#endif
