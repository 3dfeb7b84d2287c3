/* SPDX-License-Identifier: Apache-2.0 */
/* sqs.h - how a message is sent to a queue of Amazon SQS
 *
 * SendMessage in the AWS JSON protocol 1.0, signed by aws_sign, with the keys of
 * aws_account. The queue's ARN says region and account; the endpoint is that of
 * AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL or the profile, else SQS's own in the region.
 *
 * Blips are tried again here, SQS_ATTEMPTS times in all; who wants it done whatever it
 * takes sends again after SQS_AWAY. A message whose answer is lost may be there all the
 * same. A FIFO queue drops the second one of the same id (for five minutes), any other
 * keeps both: SQS has no way to tell.
 *
 * Source: Amazon SQS API Reference, "SendMessage", "Common Error Types"; Amazon SQS
 * Developer Guide, "Making query API requests using AWS JSON protocol".
 */
#ifndef CORTEX_COMMON_SQS_H
#define CORTEX_COMMON_SQS_H

#include <stdint.h>

#include "common/aws_sign.h"
#include "common/error.h"
#include "common/json_text.h"
#include "common/sqs_arn.h"

#define SQS_ATTEMPTS       3
#define SQS_MESSAGE_MAX    1048576 /* bytes of body and attributes: SQS's own limit */
#define SQS_ATTRIBUTES_MAX 10

struct sqs;

enum sqs_outcome {
    SQS_SENT,
    SQS_REFUSED, /* for good: no such queue, no access, too large */
    SQS_AWAY,    /* no answer, or one that asks for patience: another time it may go */
};

struct sqs_message {
    struct sqs_arn queue;
    const char *id; /* for a FIFO queue: its group, and what makes a repeat one */
    struct json_slice body;
    const struct aws_sign_pair *attributes; /* strings, by name */
    size_t attribute_count;
};

struct sqs_options {
    unsigned sends_max; /* at a time */
    int64_t backoff_ms; /* the first wait's upper bound; 0: 200; tests set 1 */
    unsigned stall_s;   /* a request without an answer ends after; 0: 30 */
};

/* Starts a thread for transfers and one that fetches keys; settings are read at the
 * first message. */
int sqs_create(const struct sqs_options *options,
               struct sqs **out_sqs,
               struct error *err);
/* Ends what is under way as SQS_AWAY (with CANCELLED), then the threads. NULL is fine.
 */
void sqs_destroy(struct sqs *sqs);

/* Called once for each message, on the I/O thread, and must not block. err is NULL if
 * it was sent; else it begins with the queue's name. */
typedef void (*sqs_done_fn)(void *arg,
                            enum sqs_outcome outcome,
                            const struct error *err);

/* Any thread; never blocks. Copies the message. */
void sqs_send(struct sqs *sqs,
              const struct sqs_message *message,
              sqs_done_fn done,
              void *arg);

#endif
