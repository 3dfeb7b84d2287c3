/* SPDX-License-Identifier: Apache-2.0 */
/* latch.c - how one thread waits till another one tells how something ended */
#include "common/latch.h"

void latch_open(void *arg, const struct error *err)
{
    struct latch *latch = arg;

    pthread_mutex_lock(&latch->lock);
    latch->open = true;
    if (err) {
        latch->error = *err;
    }
    pthread_cond_signal(&latch->changed);
    pthread_mutex_unlock(&latch->lock);
}

int latch_wait(struct latch *latch, struct error *err)
{
    pthread_mutex_lock(&latch->lock);
    while (!latch->open) {
        pthread_cond_wait(&latch->changed, &latch->lock);
    }
    pthread_mutex_unlock(&latch->lock);
    (void)pthread_cond_destroy(&latch->changed);
    (void)pthread_mutex_destroy(&latch->lock);
    return latch->error.code == ERROR_OK ? 0 : error_copy(err, &latch->error);
}
