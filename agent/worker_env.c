/* SPDX-License-Identifier: Apache-2.0 */
/* worker_env.c - what user code finds in its environment */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "agent/worker_env.h"
#include "common/buffer.h"
#include "common/id.h"

/* What is handed on of the agent's environment; docs/USER_CODE.md tells users. */
static const char *const handed_on[] = {
    "PATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_*",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "CUDA_*",
    "NVIDIA_*",
    "OMP_*",
    "MKL_*",
    "OPENBLAS_*",
    NULL,
};
/* Besides, where workers run as the agent. */
static const char *const of_the_user[] = {"HOME", "USER", "LOGNAME", NULL};
static const char *const of_pip[] = {"PIP_*", NULL};

struct env {
    char **rows;
    size_t count;
    size_t capacity;
};

/* Sets "NAME=value", replacing what has that name. */
static void put(struct env *env, const char *row)
{
    size_t name_size = strcspn(row, "=") + 1;

    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->rows[i], row, name_size) == 0) {
            free(env->rows[i]);
            env->rows[i] = memory_strdup(row);
            return;
        }
    }
    if (env->count + 1 >= env->capacity) {
        env->capacity = env->capacity == 0 ? 64 : env->capacity * 2;
        env->rows = memory_realloc(env->rows, env->capacity * sizeof(char *));
    }
    env->rows[env->count++] = memory_strdup(row);
    env->rows[env->count] = NULL;
}

static void put_pair(struct env *env, const char *name, const char *value)
{
    char *row = memory_format("%s=%s", name, value);

    put(env, row);
    free(row);
}

static bool is_named(const char *row, const char *const *patterns)
{
    char *name = memory_strndup(row, strcspn(row, "="));
    bool found = false;

    for (; *patterns != NULL && !found; patterns++) {
        found = fnmatch(*patterns, name, 0) == 0;
    }
    free(name);
    return found;
}

static void put_agent(struct env *env, const struct worker_env_options *options)
{
    for (char *const *row = options->agent; *row != NULL; row++) {
        if (is_named(*row, handed_on) ||
            (options->home == NULL && is_named(*row, of_the_user)) ||
            (options->installing && is_named(*row, of_pip))) {
            put(env, *row);
        }
    }
}

char **worker_env_create(const struct worker_env_options *options)
{
    struct env env = {0};
    char id[ID_JOB_TEXT_SIZE];

    put_agent(&env, options);
    put_pair(&env, "TMPDIR", options->tmp);
    if (options->home != NULL) {
        put_pair(&env, "HOME", options->home);
    }
    for (char *const *row = options->job; *row != NULL; row++) {
        if (strchr(*row, '=') != NULL) {
            put(&env, *row);
        }
    }
    put_pair(&env, "CORTEX_API_NAME", options->api_name);
    id_job_format(options->job_id, id);
    put_pair(&env, "CORTEX_JOB_ID", id);
    id_job_format(options->worker_id, id);
    put_pair(&env, "CORTEX_WORKER_ID", id);
    if (options->devices != NULL) {
        put_pair(&env, "CUDA_VISIBLE_DEVICES", options->devices);
    }
    return env.rows;
}

void worker_env_destroy(char **rows)
{
    for (char **row = rows; row != NULL && *row != NULL; row++) {
        free(*row);
    }
    free(rows);
}
