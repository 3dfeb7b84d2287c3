/* SPDX-License-Identifier: Apache-2.0 */
/* aws_account.h - the AWS settings and keys that hold now
 *
 * Settings are read once, when they are first needed; keys are fetched then and again
 * AWS_ACCOUNT_RENEW_S before they expire, on a thread of the pool, while the old ones
 * go on being used. Any thread.
 */
#ifndef CORTEX_COMMON_AWS_ACCOUNT_H
#define CORTEX_COMMON_AWS_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/aws_credentials.h"
#include "common/aws_settings.h"
#include "common/error.h"
#include "common/pool.h"

#define AWS_ACCOUNT_RENEW_S     300
#define AWS_ACCOUNT_RETRY_S     1           /* how long a failure is the answer */
#define AWS_ACCOUNT_REGION      "us-east-1" /* if nothing says another */
#define AWS_ACCOUNT_REGION_SIZE 40

struct aws_account;

/* changed is called on a thread of the pool when a fetch is over. */
struct aws_account *
aws_account_create(struct pool *pool, void (*changed)(void *arg), void *arg);
/* After the pool has ended. */
void aws_account_destroy(struct aws_account *account);

struct aws_account_view {
    const struct aws_settings *settings; /* lives as long as the account */
    const char *region;                  /* likewise */
    struct aws_credentials credentials;  /* the caller's, aws_credentials_fini */
};

/* Never blocks: 1 and *out; 0: a fetch is under way, ask again when `changed` was
 * called; -1: the last fetch failed. */
int aws_account_get(struct aws_account *account,
                    int64_t now_s,
                    struct aws_account_view *out,
                    struct error *err);
/* The same, but waits for the fetch: 0 or -1. */
int aws_account_wait(struct aws_account *account,
                     int64_t now_s,
                     struct aws_account_view *out,
                     struct error *err);

/* The server does not take this key any more: the next get fetches anew. */
void aws_account_drop(struct aws_account *account, const char *access_key);

#endif
