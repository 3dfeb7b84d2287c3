/* SPDX-License-Identifier: Apache-2.0 */
/* latch.h - how one thread waits till another one tells how something ended
 *
 * Begins as LATCH_INIT, is opened once and waited for once. */
#ifndef CORTEX_COMMON_LATCH_H
#define CORTEX_COMMON_LATCH_H

#include <pthread.h>
#include <stdbool.h>

#include "common/error.h"

struct latch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    struct error error;
};

#define LATCH_INIT                                                                     \
    {                                                                                  \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER         \
    }

/* arg is the latch; err is NULL when it went well. */
void latch_open(void *arg, const struct error *err);

/* Returns what it was opened with, 0 or -1; the latch is of no more use. */
int latch_wait(struct latch *latch, struct error *err);

#endif
