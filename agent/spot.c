/* SPDX-License-Identifier: Apache-2.0 */
/* spot.c - whether this machine is about to be taken away */
#include "agent/spot.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/aws_imds.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"

#define ACTION_PATH "/latest/meta-data/spot/instance-action"

struct spot {
    void (*notify)(void *arg);
    void *arg;
    pthread_mutex_t lock; /* guards what follows */
    bool noticed;
    struct spot_notice notice;
};

int spot_parse(const char *text,
               size_t size,
               struct spot_notice *out,
               struct error *err)
{
    static const char *const actions[] = {"terminate", "stop", "hibernate"};
    struct spot_notice notice = {.action = ""};
    struct cJSON *tree = NULL;
    const char *action = NULL;
    const char *time = NULL;
    int result = -1;

    if (json_parse(text, size, &tree, err) != 0 ||
        json_get_text(tree, "action", &action, err) != 0 ||
        json_get_text(tree, "time", &time, err) != 0) {
        goto out;
    }
    for (size_t i = 0; action && i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(action, actions[i]) == 0) {
            (void)snprintf(notice.action, sizeof(notice.action), "%s", action);
        }
    }
    if (!notice.action[0]) {
        error_set(err,
                  ERROR_INVALID_ARGUMENT,
                  "action: got \"%.40s\", expected terminate, stop or hibernate",
                  action ? action : "");
    } else if (!time || !clock_parse_utc(time, &notice.wall_ms)) {
        error_set(err,
                  ERROR_INVALID_ARGUMENT,
                  "time: got \"%.40s\", expected one such as 2026-01-31T12:00:00Z",
                  time ? time : "");
    } else {
        *out = notice;
        result = 0;
    }
out:
    json_free(tree);
    return result;
}

static void take(struct spot *spot, const struct spot_notice *notice)
{
    pthread_mutex_lock(&spot->lock);
    spot->notice = *notice;
    spot->noticed = true;
    pthread_mutex_unlock(&spot->lock);
    spot->notify(spot->arg);
}

static void sleep_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&pause, NULL);
}

/* Asks once. *pause_ms becomes the time until the next question; 0: there is a notice.
 */
static void ask(struct spot *spot, int64_t *pause_ms)
{
    struct buffer text = BUFFER_INIT;
    struct spot_notice notice;
    struct error err = {0};
    int result = aws_imds_get(ACTION_PATH, &text, &err);

    if (result == 0 && spot_parse(buffer_text(&text), text.size, &notice, &err) == 0) {
        take(spot, &notice);
        *pause_ms = 0;
    } else if (result == 0) {
        log_warning("instance-action: %s", err.message);
        *pause_ms = SPOT_ASK_MS;
    } else if (err.code == ERROR_NOT_FOUND) { // by the service: there is no notice
        *pause_ms = SPOT_ASK_MS;
    } else {
        *pause_ms *= 2;
        *pause_ms = *pause_ms < SPOT_ASK_MAX_MS ? *pause_ms : SPOT_ASK_MAX_MS;
    }
    buffer_fini(&text);
}

static void *ask_again_and_again(void *arg)
{
    int64_t pause_ms = SPOT_ASK_MS;

    for (;;) {
        ask(arg, &pause_ms);
        if (pause_ms == 0) {
            return NULL;
        }
        sleep_ms(pause_ms);
    }
}

int spot_start(void (*notify)(void *arg),
               void *arg,
               struct spot **out_spot,
               struct error *err)
{
    struct spot *spot = memory_zalloc(sizeof(*spot));
    pthread_t thread;

    spot->notify = notify;
    spot->arg = arg;
    pthread_mutex_init(&spot->lock, NULL);
    if (!aws_imds_disabled()) {
        if (pthread_create(&thread, NULL, ask_again_and_again, spot) != 0) {
            pthread_mutex_destroy(&spot->lock);
            free(spot);
            return error_set(err, ERROR_INTERNAL, "cannot start a thread");
        }
        (void)pthread_detach(thread);
    }
    *out_spot = spot;
    return 0;
}

bool spot_noticed(struct spot *spot, struct spot_notice *out)
{
    pthread_mutex_lock(&spot->lock);
    bool noticed = spot->noticed;
    *out = spot->notice;
    pthread_mutex_unlock(&spot->lock);
    return noticed;
}
