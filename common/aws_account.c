/* SPDX-License-Identifier: Apache-2.0 */
/* aws_account.c - the AWS settings and keys that hold now */
#include "common/aws_account.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/aws_imds.h"
#include "common/buffer.h"
#include "common/clock.h"

struct aws_account {
    struct pool *pool;
    void (*changed)(void *arg);
    void *arg;

    pthread_mutex_t lock; // of what follows
    pthread_cond_t fetched;
    struct aws_settings *settings; // NULL: not read yet; never changed after that
    char region[AWS_ACCOUNT_REGION_SIZE];
    struct aws_credentials credentials; // access_key NULL: none
    bool fetching;
    struct error failure;   // of the last fetch;
    int64_t failure_end_ms; // it is the answer until then (monotonic)
};

struct aws_account *
aws_account_create(struct pool *pool, void (*changed)(void *arg), void *arg)
{
    struct aws_account *account = memory_zalloc(sizeof(*account));

    account->pool = pool;
    account->changed = changed;
    account->arg = arg;
    (void)pthread_mutex_init(&account->lock, NULL);
    (void)pthread_cond_init(&account->fetched, NULL);
    return account;
}

void aws_account_destroy(struct aws_account *account)
{
    if (!account) {
        return;
    }
    aws_settings_destroy(account->settings);
    aws_credentials_fini(&account->credentials);
    (void)pthread_cond_destroy(&account->fetched);
    (void)pthread_mutex_destroy(&account->lock);
    free(account);
}

static void find_region(const struct aws_settings *settings, char *out, size_t size)
{
    const char *region = aws_settings_region(settings);
    struct buffer text = BUFFER_INIT;

    if (!region && !aws_settings_endpoint(settings, "S3") &&
        aws_imds_get("/latest/meta-data/placement/region", &text, NULL) == 0) {
        region = buffer_text(&text);
    }
    (void)snprintf(out, size, "%s", region ? region : AWS_ACCOUNT_REGION);
    buffer_fini(&text);
}

// On a thread of the pool, one at a time.
static void fetch(void *arg)
{
    struct aws_account *account = arg;
    struct aws_settings *settings = account->settings;
    struct aws_credentials credentials = {0};
    struct error failure = {0};
    char region[AWS_ACCOUNT_REGION_SIZE] = "";
    bool first = !settings;

    if (first && aws_settings_load(&settings, &failure) == 0) {
        find_region(settings, region, sizeof(region));
    }
    if (settings) {
        (void)aws_credentials_find(settings, &credentials, &failure);
    }
    pthread_mutex_lock(&account->lock);
    if (first && settings) {
        account->settings = settings;
        memcpy(account->region, region, sizeof(region));
    }
    if (credentials.access_key) {
        aws_credentials_fini(&account->credentials);
        account->credentials = credentials;
    } else {
        account->failure = failure;
        account->failure_end_ms = clock_monotonic_ms() + AWS_ACCOUNT_RETRY_S * 1000;
    }
    account->fetching = false;
    pthread_cond_broadcast(&account->fetched);
    pthread_mutex_unlock(&account->lock);
    account->changed(account->arg);
}

// Whether the keys are there and good for so many seconds more.
static bool good(const struct aws_account *account, int64_t now_s, int64_t margin_s)
{
    const struct aws_credentials *keys = &account->credentials;

    return keys->access_key &&
           (keys->expires_s == 0 || now_s < keys->expires_s - margin_s);
}

static int get(struct aws_account *account,
               int64_t now_s,
               struct aws_account_view *out,
               struct error *err)
{
    const struct aws_credentials *keys = &account->credentials;
    bool failed = clock_monotonic_ms() < account->failure_end_ms;

    if (!good(account, now_s, AWS_ACCOUNT_RENEW_S) && !account->fetching && !failed) {
        account->fetching = true;
        pool_run(account->pool, fetch, account);
    }
    if (good(account, now_s, 0)) {
        *out = (struct aws_account_view){
            .settings = account->settings,
            .region = account->region,
            .credentials = {.access_key = memory_strdup(keys->access_key),
                            .secret_key = memory_strdup(keys->secret_key),
                            .session_token = memory_strdup(keys->session_token),
                            .expires_s = keys->expires_s},
        };
        memcpy(out->credentials.source, keys->source, sizeof(keys->source));
        return 1;
    }
    return account->fetching ? 0 : error_copy(err, &account->failure);
}

int aws_account_get(struct aws_account *account,
                    int64_t now_s,
                    struct aws_account_view *out,
                    struct error *err)
{
    pthread_mutex_lock(&account->lock);
    int got = get(account, now_s, out, err);
    pthread_mutex_unlock(&account->lock);
    return got;
}

int aws_account_wait(struct aws_account *account,
                     int64_t now_s,
                     struct aws_account_view *out,
                     struct error *err)
{
    int got;

    pthread_mutex_lock(&account->lock);
    while ((got = get(account, now_s, out, err)) == 0) {
        pthread_cond_wait(&account->fetched, &account->lock);
    }
    pthread_mutex_unlock(&account->lock);
    return got > 0 ? 0 : -1;
}

void aws_account_drop(struct aws_account *account, const char *access_key)
{
    pthread_mutex_lock(&account->lock);
    if (account->credentials.access_key &&
        strcmp(account->credentials.access_key, access_key) == 0) {
        aws_credentials_fini(&account->credentials);
    }
    pthread_mutex_unlock(&account->lock);
}
