/* SPDX-License-Identifier: Apache-2.0 */
/* test_pool.c - is every task run, once? */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/pool.h"

#define TASKS 1000

static atomic_int runs[TASKS];

static void run_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void every_task_is_run_once_before_the_end(void **state)
{
    struct pool *pool = NULL;

    (void)state;
    assert_int_equal(pool_create(4, &pool, NULL), 0);
    for (int i = 0; i < TASKS; i++) {
        pool_run(pool, run_one, &runs[i]);
    }
    pool_destroy(pool);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(atomic_load(&runs[i]), 1);
    }
}

struct order {
    int next;
    int seen[TASKS];
};

static struct order order;

static void note(void *arg)
{
    order.seen[order.next++] = *(int *)arg;
}

static void one_thread_runs_them_in_the_order_they_came(void **state)
{
    static int numbers[TASKS];
    struct pool *pool = NULL;

    (void)state;
    assert_int_equal(pool_create(1, &pool, NULL), 0);
    for (int i = 0; i < TASKS; i++) {
        numbers[i] = i;
        pool_run(pool, note, &numbers[i]);
    }
    pool_destroy(pool);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(order.seen[i], i);
    }
}

struct gate {
    sem_t entered;
    sem_t open;
};

static void wait_at(void *arg)
{
    struct gate *gate = arg;

    sem_post(&gate->entered);
    sem_wait(&gate->open);
}

static void the_backlog_is_what_nobody_has_begun(void **state)
{
    struct pool *pool = NULL;
    struct gate gate;
    atomic_int run = 0;

    (void)state;
    sem_init(&gate.entered, 0, 0);
    sem_init(&gate.open, 0, 0);
    assert_int_equal(pool_create(2, &pool, NULL), 0);
    assert_int_equal(pool_backlog(pool), 0);
    pool_run(pool, wait_at, &gate);
    pool_run(pool, wait_at, &gate);
    sem_wait(&gate.entered); // both at the same time: neither waits for the other
    sem_wait(&gate.entered);
    pool_run(pool, run_one, &run);
    assert_int_equal(pool_backlog(pool), 1);
    assert_int_equal(atomic_load(&run), 0);
    sem_post(&gate.open);
    sem_post(&gate.open);
    pool_destroy(pool);
    assert_int_equal(atomic_load(&run), 1);
    sem_destroy(&gate.entered);
    sem_destroy(&gate.open);
}

struct chain {
    struct pool *pool;
    sem_t done;
};

static void second(void *arg)
{
    struct chain *chain = arg;

    sem_post(&chain->done);
}

static void first(void *arg)
{
    struct chain *chain = arg;

    pool_run(chain->pool, second, chain);
}

static void a_task_may_add_another(void **state)
{
    struct chain chain = {0};

    (void)state;
    sem_init(&chain.done, 0, 0);
    assert_int_equal(pool_create(1, &chain.pool, NULL), 0);
    pool_run(chain.pool, first, &chain);
    sem_wait(&chain.done);
    pool_destroy(chain.pool);
    pool_destroy(NULL);
    sem_destroy(&chain.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_run_once_before_the_end),
        cmocka_unit_test(one_thread_runs_them_in_the_order_they_came),
        cmocka_unit_test(the_backlog_is_what_nobody_has_begun),
        cmocka_unit_test(a_task_may_add_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
