/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sqs_arn.c - is every ARN of a queue, and every spot notice, read as written? */
#include "agent/spot.h"
#include "common/sqs_arn.h"
#include "tests/fuzz/fuzz.h"

static void check_arn(const char *text)
{
    struct sqs_arn arn;
    struct error err = {0};

    if (sqs_arn_parse(text, &arn, &err) != 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "a bad ARN is a bad argument");
        fuzz_check_error(&err);
        return;
    }
    char *again = memory_format(
        "arn:%s:sqs:%s:%s:%s", arn.partition, arn.region, arn.account, arn.name);
    fuzz_check(strcmp(text, again) == 0, "an ARN is its parts");
    free(again);
}

static void check_notice(const char *data, size_t size)
{
    struct spot_notice notice;
    struct error err = {0};

    if (spot_parse(data, size, &notice, &err) != 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "no notice is a bad argument");
        fuzz_check_error(&err);
        return;
    }
    fuzz_check(strcmp(notice.action, "terminate") == 0 ||
                   strcmp(notice.action, "stop") == 0 ||
                   strcmp(notice.action, "hibernate") == 0,
               "a notice is of one of three actions");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_take_text(&input);

    check_arn(text);
    check_notice((const char *)data, size);
    free(text);
    return 0;
}
