/* SPDX-License-Identifier: Apache-2.0 */
/* base_url.c - what the endpoints in documents begin with */
#include "client/bridge/base_url.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"

struct base_url {
    pthread_mutex_t lock;
    char *own_url;
    char *url; /* NULL until the master has answered once */
    int64_t asked_ms;
};

struct base_url *base_url_create(const char *own_url)
{
    struct base_url *base = memory_zalloc(sizeof(*base));

    pthread_mutex_init(&base->lock, NULL);
    base->own_url = memory_strdup(own_url);
    return base;
}

static char *known(struct base_url *base, bool even_old)
{
    char *url = NULL;

    pthread_mutex_lock(&base->lock);
    if (even_old || clock_monotonic_ms() - base->asked_ms < BASE_URL_FRESH_MS) {
        url = memory_strdup(base->url);
    }
    pthread_mutex_unlock(&base->lock);
    return url;
}

static void remember(struct base_url *base, const char *said)
{
    size_t length = strlen(said);

    while (length > 0 && said[length - 1] == '/') {
        length--;
    }
    pthread_mutex_lock(&base->lock);
    free(base->url);
    base->url =
        length > 0 ? memory_strndup(said, length) : memory_strdup(base->own_url);
    base->asked_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&base->lock);
}

int base_url_get(struct base_url *base,
                 struct client_api *api,
                 char **out_url,
                 struct error *err)
{
    struct client_info info = {0};
    char *url = known(base, false);

    if (!url && client_api_info(api, &info, err) == 0) {
        remember(base, info.bridge_url);
        client_info_fini(&info);
    }
    if (!url) {
        url = known(base, true);
    }
    if (!url) {
        return -1;
    }
    *out_url = url;
    return 0;
}
