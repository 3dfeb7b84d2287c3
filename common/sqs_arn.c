/* SPDX-License-Identifier: Apache-2.0 */
/* sqs_arn.c - which queue an ARN names */
#include "common/sqs_arn.h"

#include <stdio.h>
#include <string.h>

#define ARN_PARTS       6
#define ARN_QUOTE_BYTES 200
#define ARN_EXAMPLE     "arn:aws:sqs:us-west-2:123456789012:failed-batches"
#define LOWER_DIGITS    "abcdefghijklmnopqrstuvwxyz0123456789-"
#define DIGITS          "0123456789"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_" LOWER_DIGITS

struct part {
    const char *text;
    size_t size;
};

static bool split(const char *text, struct part parts[ARN_PARTS])
{
    for (size_t i = 0; i < ARN_PARTS; i++) {
        parts[i] = (struct part){text, strcspn(text, ":")};
        text += parts[i].size;
        if (*text != (i + 1 < ARN_PARTS ? ':' : '\0')) {
            return false;
        }
        text++;
    }
    return true;
}

static bool is(struct part part, const char *word)
{
    return part.size == strlen(word) && strncmp(part.text, word, part.size) == 0;
}

static bool ends_with_fifo(struct part name)
{
    return name.size >= 5 && strncmp(name.text + name.size - 5, ".fifo", 5) == 0;
}

// From 1 to max bytes, all of them of those characters.
static bool made_of(struct part part, const char *characters, size_t max)
{
    return part.size >= 1 && part.size <= max &&
           strspn(part.text, characters) >= part.size;
}

static bool name_fits(struct part name)
{
    struct part stem = {name.text, name.size - (ends_with_fifo(name) ? 5 : 0)};

    return name.size <= SQS_ARN_NAME_MAX &&
           made_of(stem, NAME_CHARACTERS, SQS_ARN_NAME_MAX);
}

// What is wrong with the parts; NULL: nothing.
static const char *fault(const struct part parts[ARN_PARTS])
{
    const struct sqs_arn *size = NULL;

    if (!is(parts[0], "arn")) {
        return "it does not begin with \"arn:\"";
    }
    if (!made_of(parts[1], LOWER_DIGITS, sizeof(size->partition) - 1)) {
        return "the partition is no name such as \"aws\"";
    }
    if (!is(parts[2], "sqs")) {
        return "the service is not \"sqs\"";
    }
    if (!made_of(parts[3], LOWER_DIGITS, sizeof(size->region) - 1)) {
        return "the region is no name such as \"us-west-2\"";
    }
    if (parts[4].size != 12 || !made_of(parts[4], DIGITS, 12)) {
        return "the account is not 12 digits";
    }
    return name_fits(parts[5]) ? NULL
                               : "the queue's name is not 1 to 80 letters, digits, "
                                 "\"-\" and \"_\", with \".fifo\" at the end or not";
}

static void copy(struct part part, char *out, size_t size)
{
    (void)snprintf(out, size, "%.*s", (int)part.size, part.text);
}

int sqs_arn_parse(const char *text, struct sqs_arn *out, struct error *err)
{
    struct part parts[ARN_PARTS] = {0};
    const char *wrong = split(text, parts) ? fault(parts) : "it has not 6 parts";

    if (wrong) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              "aws.invalid_sqs_arn",
                              "expected the ARN of a queue such as " ARN_EXAMPLE
                              ", got \"%.*s\": %s",
                              ARN_QUOTE_BYTES,
                              text,
                              wrong);
    }
    if (out) {
        copy(parts[1], out->partition, sizeof(out->partition));
        copy(parts[3], out->region, sizeof(out->region));
        copy(parts[4], out->account, sizeof(out->account));
        copy(parts[5], out->name, sizeof(out->name));
        out->fifo = ends_with_fifo(parts[5]);
    }
    return 0;
}
