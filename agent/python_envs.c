/* SPDX-License-Identifier: Apache-2.0 */
/* python_envs.c - which virtual environments there are, who uses them, which must go */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/python_envs.h"
#include "common/fs.h"

/* One that somebody uses or waits for. */
struct shared_env {
    char name[PYTHON_ENV_NAME_SIZE];
    unsigned users;
    bool busy;  /* somebody looks it over or makes it */
    bool works; /* it was seen to */
    struct shared_env *next;
};

struct python_envs {
    char *folder;
    uint64_t size_max;
    pthread_mutex_t mutex;
    pthread_cond_t idle; /* one has ceased to be busy */
    struct shared_env *first;
};

struct python_envs *python_envs_create(const char *folder, uint64_t size_max)
{
    struct python_envs *envs = memory_zalloc(sizeof(*envs));

    envs->folder = memory_strdup(folder);
    envs->size_max = size_max;
    (void)pthread_mutex_init(&envs->mutex, NULL);
    (void)pthread_cond_init(&envs->idle, NULL);
    return envs;
}

void python_envs_destroy(struct python_envs *envs)
{
    if (envs == NULL) {
        return;
    }
    (void)pthread_cond_destroy(&envs->idle);
    (void)pthread_mutex_destroy(&envs->mutex);
    free(envs->folder);
    free(envs);
}

static struct shared_env *find_shared(const struct python_envs *envs, const char *name)
{
    struct shared_env *shared = envs->first;

    while (shared != NULL && strcmp(shared->name, name) != 0) {
        shared = shared->next;
    }
    return shared;
}

/* With the mutex. */
static struct shared_env *hold(struct python_envs *envs, const char *name)
{
    struct shared_env *shared = find_shared(envs, name);

    if (shared == NULL) {
        shared = memory_zalloc(sizeof(*shared));
        (void)snprintf(shared->name, sizeof(shared->name), "%s", name);
        shared->next = envs->first;
        envs->first = shared;
    }
    shared->users++;
    return shared;
}

/* With the mutex. */
static void release(struct python_envs *envs, struct shared_env *shared)
{
    struct shared_env **at = &envs->first;

    if (--shared->users > 0) {
        return;
    }
    while (*at != shared) {
        at = &(*at)->next;
    }
    *at = shared->next;
    free(shared);
}

/* --- the limit -------------------------------------------------------------------- */

/* The one to remove next, which the caller frees, or NULL if all are within the limit
 * or in use. One that is not done and nobody's is what a crash left. With the mutex. */
static char *pick(const struct python_envs *envs)
{
    DIR *folder = opendir(envs->folder);
    struct dirent *entry;
    int64_t oldest_s = INT64_MAX;
    uint64_t total = 0;
    char *picked = NULL;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char *path = fs_join(envs->folder, entry->d_name);
        int64_t used_s = INT64_MIN;
        uint64_t size = 0;

        (void)python_env_look(path, &used_s, &size); // not done: older than all others
        total += size;
        if (entry->d_name[0] != '.' && find_shared(envs, entry->d_name) == NULL &&
            used_s < oldest_s) {
            oldest_s = used_s;
            free(picked);
            picked = memory_strdup(entry->d_name);
        }
        free(path);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    if (total <= envs->size_max && oldest_s != INT64_MIN) {
        free(picked);
        picked = NULL;
    }
    return picked;
}

/* With the mutex, so that nobody takes up what is being removed. */
static void keep_limit(struct python_envs *envs)
{
    char *name;
    int result = 0;

    while (result == 0 && (name = pick(envs)) != NULL) {
        char *path = fs_join(envs->folder, name);

        result = fs_remove_tree(path, NULL); // if not now, then the next time
        free(path);
        free(name);
    }
}

/* --- taking ----------------------------------------------------------------------- */

/* Without the mutex; the environment is busy on our behalf. */
static int make_work(struct python_envs *envs,
                     const struct command *command,
                     const char *folder,
                     const char *python,
                     struct error *err)
{
    int result;

    if (python_env_works(command, folder)) {
        return 0;
    }
    pthread_mutex_lock(&envs->mutex);
    keep_limit(envs);
    pthread_mutex_unlock(&envs->mutex);
    result = python_env_build(command, folder, python, err);
    pthread_mutex_lock(&envs->mutex);
    keep_limit(envs);
    pthread_mutex_unlock(&envs->mutex);
    return result;
}

static int take_shared(struct python_envs *envs,
                       const struct command *command,
                       const char *name,
                       const char *python,
                       struct python_env *out,
                       struct error *err)
{
    char *folder = fs_join(envs->folder, name);
    struct shared_env *shared;
    int result = 0;

    pthread_mutex_lock(&envs->mutex);
    shared = hold(envs, name);
    while (shared->busy) {
        pthread_cond_wait(&envs->idle, &envs->mutex);
    }
    if (!shared->works) {
        shared->busy = true;
        pthread_mutex_unlock(&envs->mutex);
        result = make_work(envs, command, folder, python, err);
        pthread_mutex_lock(&envs->mutex);
        shared->busy = false;
        shared->works = result == 0;
        pthread_cond_broadcast(&envs->idle);
    }
    if (result == 0) {
        python_env_touch(folder);
        out->python = fs_join(folder, "bin/python");
        out->shared = shared;
    } else {
        release(envs, shared);
    }
    pthread_mutex_unlock(&envs->mutex);
    free(folder);
    return result;
}

int python_envs_take(struct python_envs *envs,
                     const struct command *command,
                     const char *python,
                     const char *project_id,
                     struct python_env *out,
                     struct error *err)
{
    char name[PYTHON_ENV_NAME_SIZE];
    bool any = false;

    if (python_env_name(command, python, project_id, &any, name, err) != 0) {
        return -1;
    }
    if (!any) {
        *out = (struct python_env){.python = memory_strdup(python)};
        return 0;
    }
    if (fs_make_folder(envs->folder, command->user.uid == 0 ? 0700 : 0711, err) != 0) {
        return -1;
    }
    return take_shared(envs, command, name, python, out, err);
}

void python_envs_give_back(struct python_envs *envs, struct python_env *env)
{
    if (env->shared != NULL) {
        pthread_mutex_lock(&envs->mutex);
        release(envs, env->shared);
        pthread_mutex_unlock(&envs->mutex);
    }
    free(env->python);
    *env = (struct python_env){0};
}
