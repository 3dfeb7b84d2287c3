/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - threads for work that waits or is heavy */
#include "common/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/buffer.h"

struct task {
    struct task *next;
    pool_task_fn run;
    void *arg;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct task *first;
    struct task **last;
    size_t backlog;
    bool ending;
    unsigned thread_count;
    pthread_t threads[];
};

static struct task *take(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->ending) {
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    struct task *task = pool->first;
    if (task) {
        pool->first = task->next;
        pool->last = pool->first ? pool->last : &pool->first;
        pool->backlog--;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void *work(void *arg)
{
    struct pool *pool = arg;
    struct task *task;

    while ((task = take(pool))) {
        task->run(task->arg);
        free(task);
    }
    return NULL;
}

int pool_create(unsigned threads, struct pool **out_pool, struct error *err)
{
    struct pool *pool =
        memory_zalloc(sizeof(*pool) + threads * sizeof(pool->threads[0]));

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    pool->last = &pool->first;
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&pool->threads[i], NULL, work, pool) != 0) {
            pool_destroy(pool);
            return error_set(err, ERROR_INTERNAL, "cannot start a thread");
        }
        pool->thread_count++;
    }
    *out_pool = pool;
    return 0;
}

void pool_destroy(struct pool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void pool_run(struct pool *pool, pool_task_fn run, void *arg)
{
    struct task *task = memory_zalloc(sizeof(*task));

    task->run = run;
    task->arg = arg;
    pthread_mutex_lock(&pool->lock);
    *pool->last = task;
    pool->last = &task->next;
    pool->backlog++;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

size_t pool_backlog(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t backlog = pool->backlog;
    pthread_mutex_unlock(&pool->lock);
    return backlog;
}
