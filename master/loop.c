/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - decide, persist, act */
#include "master/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "master/routes.h"

struct entry {
    struct entry *next;
    loop_message_fn message;
    void *arg;
};

struct loop {
    struct state *state;
    loop_act_fn act;
    void *act_arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry *first;
    struct entry **last;
    bool stopping;
};

struct loop *loop_create(struct state *state, loop_act_fn act, void *act_arg)
{
    struct loop *loop = memory_zalloc(sizeof(*loop));
    pthread_condattr_t monotonic;

    loop->state = state;
    loop->act = act;
    loop->act_arg = act_arg;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&loop->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return loop;
}

void loop_destroy(struct loop *loop)
{
    if (!loop) {
        return;
    }
    while (loop->first) {
        struct entry *entry = loop->first;
        loop->first = entry->next;
        free(entry);
    }
    pthread_cond_destroy(&loop->changed);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

void loop_post(struct loop *loop, loop_message_fn message, void *arg)
{
    struct entry *entry = memory_zalloc(sizeof(*entry));

    entry->message = message;
    entry->arg = arg;
    pthread_mutex_lock(&loop->lock);
    *loop->last = entry;
    loop->last = &entry->next;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
}

// Waits on the condition until then; the clocks differ only while a machine sleeps.
static void wait_until(struct loop *loop, int64_t wake_ms)
{
    int64_t left_ms = wake_ms - clock_monotonic_ms();
    struct timespec until;

    if (wake_ms == INT64_MAX) {
        pthread_cond_wait(&loop->changed, &loop->lock);
        return;
    }
    if (left_ms <= 0) {
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += left_ms / 1000;
    until.tv_nsec += left_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&loop->changed, &loop->lock, &until);
}

// The next messages, or NULL when only the time has come. False: the loop is to end.
static bool take(struct loop *loop, struct entry **out_entries)
{
    pthread_mutex_lock(&loop->lock);
    while (!loop->first && !loop->stopping &&
           loop->state->wake_ms > clock_monotonic_ms()) {
        wait_until(loop, loop->state->wake_ms);
    }
    bool going_on = !loop->stopping;
    struct entry *cut = loop->first;
    for (int i = 1; cut && i < LOOP_BATCH_MAX; i++) {
        cut = cut->next;
    }
    *out_entries = loop->first;
    loop->first = cut ? cut->next : NULL;
    loop->last = loop->first ? loop->last : &loop->first;
    if (cut) {
        cut->next = NULL;
    }
    pthread_mutex_unlock(&loop->lock);
    return going_on;
}

static int decide(struct loop *loop, struct entry *entries, struct error *err)
{
    struct state *state = loop->state;
    int result = 0;

    state->now_ms = clock_monotonic_ms();
    state->wall_ns = clock_wall_ns();
    while (entries) {
        struct entry *entry = entries;
        entries = entry->next;
        if (result == 0) {
            result = entry->message(state, entry->arg, err);
        }
        free(entry);
    }
    return result == 0 ? route_settle(state, err) : -1;
}

static void act(struct loop *loop)
{
    struct action *action;

    while ((action = outbox_take(&loop->state->outbox))) {
        loop->act(loop->act_arg, action);
    }
}

static void drop(struct loop *loop)
{
    struct action *action;

    store_rollback(loop->state->store);
    while ((action = outbox_take(&loop->state->outbox))) {
        action_free(action);
    }
}

int loop_run(struct loop *loop, struct error *err)
{
    struct entry *entries;
    bool going_on = true;

    while (going_on) {
        going_on = take(loop, &entries);
        if (decide(loop, entries, err) != 0 ||
            store_commit(loop->state->store, err) != 0) {
            drop(loop);
            return -1;
        }
        act(loop);
    }
    return 0;
}
