/* SPDX-License-Identifier: Apache-2.0 */
/* sqs_arn.h - which queue an ARN names
 *
 * "arn:aws:sqs:us-west-2:123456789012:failed.fifo". Pure; thread-safe.
 *
 * Source: AWS General Reference, "Amazon Resource Names"; Amazon SQS Developer Guide,
 * "Amazon SQS message quotas" (what a queue's name may hold).
 */
#ifndef CORTEX_COMMON_SQS_ARN_H
#define CORTEX_COMMON_SQS_ARN_H

#include <stdbool.h>

#include "common/error.h"

#define SQS_ARN_NAME_MAX 80 /* characters of a queue's name, ".fifo" included */

struct sqs_arn {
    char partition[24]; /* "aws", "aws-cn" */
    char region[40];
    char account[16]; /* 12 digits */
    char name[SQS_ARN_NAME_MAX + 1];
    bool fifo;
};

/* INVALID_ARGUMENT, kind aws.invalid_sqs_arn, naming the part that is wrong. out may be
 * NULL: the text is only checked. */
int sqs_arn_parse(const char *text, struct sqs_arn *out, struct error *err);

#endif
