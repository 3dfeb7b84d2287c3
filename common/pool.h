/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - threads for work that waits or is heavy
 *
 * Tasks are run in the order they came, each on one of a fixed number of threads. */
#ifndef CORTEX_COMMON_POOL_H
#define CORTEX_COMMON_POOL_H

#include <stddef.h>

#include "common/error.h"

struct pool;

typedef void (*pool_task_fn)(void *arg);

int pool_create(unsigned threads, struct pool **out_pool, struct error *err);

/* Runs what is queued to its end, then ends the threads. NULL is fine. */
void pool_destroy(struct pool *pool);

/* Any thread; never blocks. */
void pool_run(struct pool *pool, pool_task_fn task, void *arg);

/* Tasks that are queued and not begun. */
size_t pool_backlog(struct pool *pool);

#endif
