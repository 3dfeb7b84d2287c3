/* SPDX-License-Identifier: Apache-2.0 */
/* aws_transfer.c - how HTTP requests are carried, many at a time, till each is answered
 */
#include "common/aws_transfer.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "common/aws_curl.h"
#include "common/clock.h"
#include "common/id.h"

#define TRANSFER_POLL_MS 60000

/* A place for a call. One without a call is free; one with a call waits for start_ms
 * or is running. */
struct slot {
    struct aws_call *call;
    struct aws_curl curl;
    bool running;
    int64_t start_ms; // INT64_MAX: when it is kicked
};

struct aws_transfer {
    struct aws_transfer_options options;
    CURLM *multi;
    pthread_t thread;
    const char *ca_file;
    struct slot *slots;
    unsigned busy; // slots with a call

    pthread_mutex_t lock; // of what follows
    struct aws_call *first;
    struct aws_call **last;
    bool kicked;
    bool cancelled; // some call is
    bool ending;
    bool ended; // the thread takes no more
};

void aws_call_add_header(struct aws_call *call, const char *name, const char *value)
{
    buffer_add_format(&call->headers, *value ? "%s: %s" : "%s;", name, value);
    buffer_add_char(&call->headers, '\0');
}

void aws_call_fini(struct aws_call *call)
{
    buffer_fini(&call->url);
    buffer_fini(&call->headers);
    buffer_fini(&call->answer_body);
}

static void run(struct aws_transfer *transfer, struct slot *slot)
{
    const struct aws_curl_options options = {.stall_s = transfer->options.stall_s,
                                             .ca_file = transfer->ca_file};

    slot->running = true;
    aws_curl_set(&slot->curl, slot->call, &options);
    (void)curl_easy_setopt(slot->curl.easy, CURLOPT_PRIVATE, slot);
    (void)curl_multi_add_handle(transfer->multi, slot->curl.easy);
}

static void halt(struct aws_transfer *transfer, struct slot *slot)
{
    if (slot->running) {
        (void)curl_multi_remove_handle(transfer->multi, slot->curl.easy);
        aws_curl_clear(&slot->curl);
        slot->running = false;
    }
}

static void
finish(struct aws_transfer *transfer, struct slot *slot, const struct error *err)
{
    struct aws_call *call = slot->call;

    halt(transfer, slot);
    slot->call = NULL;
    transfer->busy--;
    call->done(call, err);
}

static int64_t backoff(const struct aws_transfer *transfer, unsigned attempts)
{
    int64_t most = transfer->options.backoff_ms;

    while (--attempts > 0 && most < AWS_TRANSFER_BACKOFF_MAX_MS) {
        most *= 2;
    }
    most = most < AWS_TRANSFER_BACKOFF_MAX_MS ? most : AWS_TRANSFER_BACKOFF_MAX_MS;
    return (int64_t)(id_random_number() % (uint64_t)(most + 1));
}

static void retry(struct aws_transfer *transfer, struct slot *slot, struct error *err)
{
    struct aws_call *call = slot->call;

    call->attempts++;
    if (call->attempts < transfer->options.attempts_max) {
        halt(transfer, slot);
        slot->start_ms = clock_monotonic_ms() + backoff(transfer, call->attempts);
        return;
    }
    if (call->attempts > 1) {
        char reason[ERROR_MESSAGE_SIZE];
        (void)snprintf(reason, sizeof(reason), "%s", err->message);
        error_set(err, err->code, "%s (tried %u times)", reason, call->attempts);
    }
    finish(transfer, slot, err);
}

// Those that another attempt does not mend.
static bool permanent(CURLcode code)
{
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_OUT_OF_MEMORY:
        return true;
    default:
        return false;
    }
}

static void break_off(struct aws_transfer *transfer, struct slot *slot, CURLcode code)
{
    const char *url = buffer_text(&slot->call->url);
    const char *host = strstr(url, "://");
    int length = host ? (int)(host + 3 - url + (long)strcspn(host + 3, "/?")) : 0;
    struct error err = {0};

    if (slot->curl.too_large) {
        error_set(&err,
                  ERROR_OUT_OF_RANGE,
                  "it is larger than the limit of %llu bytes",
                  (unsigned long long)slot->call->answer_max);
    } else {
        error_set(&err,
                  permanent(code) ? ERROR_FAILED_PRECONDITION : ERROR_UNAVAILABLE,
                  "the transfer from or to %.*s failed: %s%s",
                  length,
                  url,
                  *slot->curl.reason ? slot->curl.reason : curl_easy_strerror(code),
                  code == CURLE_PEER_FAILED_VERIFICATION
                      ? "; AWS_CA_BUNDLE names the file of certificates to trust"
                      : "");
    }
    if (slot->curl.too_large || permanent(code)) {
        finish(transfer, slot, &err);
    } else {
        retry(transfer, slot, &err);
    }
}

static void take_answer(struct aws_transfer *transfer, struct slot *slot)
{
    struct aws_call *call = slot->call;
    struct error err = {0};

    (void)curl_easy_getinfo(
        slot->curl.easy, CURLINFO_RESPONSE_CODE, &call->answer.status);
    switch (call->judge(call, &err)) {
    case AWS_VERDICT_DONE:
        finish(transfer, slot, err.code == ERROR_OK ? NULL : &err);
        break;
    case AWS_VERDICT_AGAIN:
        halt(transfer, slot);
        slot->start_ms = 0;
        break;
    case AWS_VERDICT_RETRY:
        retry(transfer, slot, &err);
        break;
    }
}

static void take_answers(struct aws_transfer *transfer)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(transfer->multi, &left))) {
        struct slot *slot = NULL;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        if (code == CURLE_OK) {
            take_answer(transfer, slot);
        } else {
            break_off(transfer, slot, code);
        }
    }
}

static void start(struct aws_transfer *transfer, struct slot *slot)
{
    struct aws_call *call = slot->call;
    struct error err = {0};

    buffer_clear(&call->url);
    buffer_clear(&call->headers);
    switch (call->prepare(call, &err)) {
    case AWS_READY_GO:
        run(transfer, slot);
        break;
    case AWS_READY_WAIT:
        slot->start_ms = INT64_MAX;
        break;
    case AWS_READY_FAIL:
        if (error_code_retryable(err.code)) {
            retry(transfer, slot, &err);
        } else {
            finish(transfer, slot, &err);
        }
        break;
    }
}

static void start_due(struct aws_transfer *transfer)
{
    int64_t now_ms = clock_monotonic_ms();

    for (unsigned i = 0; i < transfer->options.calls_max; i++) {
        struct slot *slot = &transfer->slots[i];
        if (slot->call && !slot->running && slot->start_ms <= now_ms) {
            start(transfer, slot);
        }
    }
}

// How long until something is due.
static int wait_ms(struct aws_transfer *transfer)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t next_ms = now_ms + TRANSFER_POLL_MS;

    pthread_mutex_lock(&transfer->lock);
    if (transfer->first && transfer->busy < transfer->options.calls_max) {
        next_ms = now_ms;
    }
    pthread_mutex_unlock(&transfer->lock);
    for (unsigned i = 0; i < transfer->options.calls_max; i++) {
        const struct slot *slot = &transfer->slots[i];
        if (slot->call && !slot->running && slot->start_ms < next_ms) {
            next_ms = slot->start_ms;
        }
    }
    return next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
}

static void seat(struct aws_transfer *transfer, struct aws_call *call)
{
    for (unsigned i = 0; i < transfer->options.calls_max; i++) {
        if (!transfer->slots[i].call) {
            transfer->slots[i].call = call;
            transfer->slots[i].start_ms = 0;
            transfer->busy++;
            call->attempts = 0;
            return;
        }
    }
}

static struct aws_call *dequeue(struct aws_transfer *transfer)
{
    struct aws_call *call = transfer->first;

    if (call) {
        transfer->first = call->next;
        transfer->last = transfer->first ? transfer->last : &transfer->first;
    }
    return call;
}

// Takes cancelled calls out of the queue.
static struct aws_call *unqueue_cancelled(struct aws_transfer *transfer)
{
    struct aws_call *out = NULL;
    struct aws_call **link = &transfer->first;

    while (*link) {
        struct aws_call *call = *link;
        if (atomic_load(&call->cancelled)) {
            *link = call->next;
            call->next = out;
            out = call;
        } else {
            link = &call->next;
        }
    }
    transfer->last = link;
    return out;
}

static void cancel_all(struct aws_transfer *transfer, struct aws_call *queued)
{
    struct error err = {0};

    error_set(&err, ERROR_CANCELLED, "cancelled");
    while (queued) {
        struct aws_call *call = queued;
        queued = call->next;
        call->done(call, &err);
    }
    for (unsigned i = 0; i < transfer->options.calls_max; i++) {
        struct slot *slot = &transfer->slots[i];
        if (slot->call && atomic_load(&slot->call->cancelled)) {
            finish(transfer, slot, &err);
        }
    }
}

static void kick_all(struct aws_transfer *transfer)
{
    for (unsigned i = 0; i < transfer->options.calls_max; i++) {
        struct slot *slot = &transfer->slots[i];
        if (slot->call && !slot->running && slot->start_ms == INT64_MAX) {
            slot->start_ms = 0;
        }
    }
}

// Does what other threads asked for; returns false when it is time to end.
static bool take_wishes(struct aws_transfer *transfer)
{
    struct aws_call *cancelled = NULL;

    pthread_mutex_lock(&transfer->lock);
    bool ending = transfer->ending;
    bool cancels = transfer->cancelled;
    bool kicked = transfer->kicked;
    transfer->kicked = false;
    transfer->cancelled = false;
    if (cancels) {
        cancelled = unqueue_cancelled(transfer);
    }
    while (transfer->first && transfer->busy < transfer->options.calls_max) {
        seat(transfer, dequeue(transfer));
    }
    pthread_mutex_unlock(&transfer->lock);
    if (cancels) {
        cancel_all(transfer, cancelled);
    }
    if (kicked) {
        kick_all(transfer);
    }
    return !ending;
}

static void set_ending(struct error *err)
{
    error_set(err, ERROR_CANCELLED, "cancelled, since the program is ending");
}

// Whoever is told may start another call, as one that tidies up does.
static void end_all(struct aws_transfer *transfer)
{
    struct error err = {0};
    struct aws_call *call;

    set_ending(&err);
    for (unsigned i = 0; i < transfer->options.calls_max; i++) {
        if (transfer->slots[i].call) {
            finish(transfer, &transfer->slots[i], &err);
        }
    }
    do {
        pthread_mutex_lock(&transfer->lock);
        call = dequeue(transfer);
        transfer->ended = !call;
        pthread_mutex_unlock(&transfer->lock);
        if (call) {
            call->done(call, &err);
        }
    } while (call);
}

static void *work(void *arg)
{
    struct aws_transfer *transfer = arg;
    int running = 0;

    while (take_wishes(transfer)) {
        start_due(transfer);
        (void)curl_multi_perform(transfer->multi, &running);
        take_answers(transfer);
        (void)curl_multi_poll(transfer->multi, NULL, 0, wait_ms(transfer), NULL);
    }
    end_all(transfer);
    return NULL;
}

static void wake(struct aws_transfer *transfer)
{
    (void)curl_multi_wakeup(transfer->multi);
}

void aws_transfer_start(struct aws_transfer *transfer, struct aws_call *call)
{
    pthread_mutex_lock(&transfer->lock);
    bool ended = transfer->ended;
    if (!ended) {
        call->next = NULL;
        *transfer->last = call;
        transfer->last = &call->next;
    }
    pthread_mutex_unlock(&transfer->lock);
    if (ended) {
        struct error err = {0};
        set_ending(&err);
        call->done(call, &err);
    } else {
        wake(transfer);
    }
}

void aws_transfer_cancel(struct aws_transfer *transfer, struct aws_call *call)
{
    atomic_store(&call->cancelled, true);
    pthread_mutex_lock(&transfer->lock);
    transfer->cancelled = true;
    pthread_mutex_unlock(&transfer->lock);
    wake(transfer);
}

void aws_transfer_kick(struct aws_transfer *transfer)
{
    pthread_mutex_lock(&transfer->lock);
    transfer->kicked = true;
    pthread_mutex_unlock(&transfer->lock);
    wake(transfer);
}

void aws_transfer_set_ca(struct aws_transfer *transfer, const char *ca_file)
{
    transfer->ca_file = ca_file;
}

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

// No signal is taken on the I/O thread, SIGPIPE of a TLS library included.
static int start_thread(struct aws_transfer *transfer)
{
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&transfer->thread, NULL, work, transfer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static void free_all(struct aws_transfer *transfer)
{
    for (unsigned i = 0; i < transfer->options.calls_max; i++) {
        curl_easy_cleanup(transfer->slots[i].curl.easy);
    }
    (void)curl_multi_cleanup(transfer->multi);
    (void)pthread_mutex_destroy(&transfer->lock);
    free(transfer->slots);
    free(transfer);
}

int aws_transfer_create(const struct aws_transfer_options *options,
                        struct aws_transfer **out_transfer,
                        struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct aws_transfer *transfer = memory_zalloc(sizeof(*transfer));
    bool made = true;

    (void)pthread_once(&once, init_curl);
    transfer->options = *options;
    transfer->last = &transfer->first;
    transfer->multi = curl_multi_init();
    transfer->slots = memory_zalloc(options->calls_max * sizeof(*transfer->slots));
    for (unsigned i = 0; i < options->calls_max; i++) {
        transfer->slots[i].curl.easy = curl_easy_init();
        made = made && transfer->slots[i].curl.easy;
    }
    (void)pthread_mutex_init(&transfer->lock, NULL);
    (void)curl_multi_setopt(
        transfer->multi, CURLMOPT_MAXCONNECTS, (long)options->calls_max);
    if (!transfer->multi || !made || start_thread(transfer) != 0) {
        free_all(transfer);
        return error_set(err, ERROR_INTERNAL, "cannot start the thread for transfers");
    }
    *out_transfer = transfer;
    return 0;
}

void aws_transfer_stop(struct aws_transfer *transfer)
{
    pthread_mutex_lock(&transfer->lock);
    transfer->ending = true;
    pthread_mutex_unlock(&transfer->lock);
    wake(transfer);
    (void)pthread_join(transfer->thread, NULL);
}

void aws_transfer_destroy(struct aws_transfer *transfer)
{
    if (transfer) {
        free_all(transfer);
    }
}
