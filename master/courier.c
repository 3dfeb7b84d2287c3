/* SPDX-License-Identifier: Apache-2.0 */
/* courier.c - how a dead letter is carried to its queue */
#include "master/courier.h"

#include <stdlib.h>

#include "common/buffer.h"
#include "common/id.h"
#include "common/sqs.h"
#include "master/deadletter.h"

struct courier {
    struct pool *pool;
    struct payload_cache *payloads;
    const struct prepare *prepare;
    struct sqs *sqs;
};

/* A letter on its way. */
struct delivery {
    struct courier *courier;
    struct loop *loop;
    struct action *action;
    enum sqs_outcome outcome;
    struct error failure;
};

int courier_create(struct pool *pool,
                   struct payload_cache *payloads,
                   const struct prepare *prepare,
                   struct courier **out_courier,
                   struct error *err)
{
    struct courier *courier = memory_zalloc(sizeof(*courier));
    const struct sqs_options options = {.sends_max = DEADLETTER_MAX};

    courier->pool = pool;
    courier->payloads = payloads;
    courier->prepare = prepare;
    if (sqs_create(&options, &courier->sqs, err) != 0) {
        free(courier);
        return -1;
    }
    *out_courier = courier;
    return 0;
}

void courier_destroy(struct courier *courier)
{
    if (courier) {
        sqs_destroy(courier->sqs);
        free(courier);
    }
}

static void delivery_free(struct delivery *delivery)
{
    action_free(delivery->action);
    free(delivery);
}

static int report(struct state *state, void *arg, struct error *err)
{
    struct delivery *delivery = arg;
    const struct stretch *stretch = &delivery->action->stretches[0];
    int result = deadletter_done(state,
                                 stretch->job_id,
                                 stretch->first_index,
                                 delivery->outcome,
                                 &delivery->failure,
                                 err);

    delivery_free(delivery);
    return result;
}

static void on_done(void *arg, enum sqs_outcome outcome, const struct error *err)
{
    struct delivery *delivery = arg;

    if (err && err->code == ERROR_CANCELLED) { // the master is leaving
        delivery_free(delivery);
        return;
    }
    delivery->outcome = outcome;
    if (err) {
        error_copy(&delivery->failure, err);
    }
    loop_post(delivery->loop, report, delivery);
}

static void send_payload(struct delivery *delivery, const struct buffer *payload)
{
    const struct action *action = delivery->action;
    char job_id[ID_JOB_TEXT_SIZE];
    char batch_id[ID_UUID_TEXT_SIZE];
    const struct aws_sign_pair attributes[] = {
        {"api_name", action->api_name},
        {"job_id", job_id},
    };
    struct sqs_message message = {
        .id = batch_id,
        .body = {buffer_text(payload), payload->size},
        .attributes = attributes,
        .attribute_count = sizeof(attributes) / sizeof(attributes[0]),
    };
    struct error err = {0};

    id_job_format(action->job_id, job_id);
    id_batch_format(action->job_id, action->stretches[0].first_index, batch_id);
    if (sqs_arn_parse(action->text, &message.queue, &err) != 0) {
        on_done(delivery, SQS_REFUSED, &err); // of a job older than that check
    } else {
        sqs_send(delivery->courier->sqs, &message, on_done, delivery);
    }
}

static void deliver(void *arg)
{
    struct delivery *delivery = arg;
    struct courier *courier = delivery->courier;
    const struct stretch *stretch = &delivery->action->stretches[0];
    char *prefix = prepare_payload_url(courier->prepare, stretch->job_id);
    struct buffer payload = BUFFER_INIT;
    struct error err = {0};
    uint32_t size;
    uint32_t count;

    if (payload_cache_read(courier->payloads,
                           prefix,
                           &stretch->segment,
                           stretch->first_index,
                           1,
                           SIZE_MAX,
                           &payload,
                           &size,
                           &count,
                           &err) == 0) {
        send_payload(delivery, &payload);
    } else {
        on_done(
            delivery, error_code_retryable(err.code) ? SQS_AWAY : SQS_REFUSED, &err);
    }
    buffer_fini(&payload);
    free(prefix);
}

void courier_send(struct courier *courier, struct loop *loop, struct action *action)
{
    struct delivery *delivery = memory_zalloc(sizeof(*delivery));

    delivery->courier = courier;
    delivery->loop = loop;
    delivery->action = action;
    pool_run(courier->pool, deliver, delivery);
}
