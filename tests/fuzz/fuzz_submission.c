/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_submission.c - is every body of a POST taken as it stands or refused? */
#include "master/submission.h"
#include "tests/fuzz/fuzz.h"

static const struct submission_limits limits = {32u << 10, 8u << 10, 16u << 10};

static int check_url(void *arg, const char *url, struct error *err)
{
    (void)arg;
    return strncmp(url, "s3://", 5) == 0 && url[5]
               ? 0
               : error_set(err, ERROR_INVALID_ARGUMENT, "%s: expected s3://b/key", url);
}

static void check_items(const struct submission *submission)
{
    struct json_cursor cursor;
    struct json_slice item;
    uint64_t count = 0;

    json_cursor_init(&cursor, submission->items);
    while (json_cursor_element(&cursor, &item)) {
        fuzz_check(item.size <= limits.item_size_max, "an item is within its limit");
        count++;
    }
    fuzz_check(count == submission->item_count && count > 0, "items are counted");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct submission *submission = NULL;
    struct error err = {0};
    static const char url[] = "s3://b/k/x.jpg";

    if (submission_parse(
            (const char *)data, size, &limits, check_url, NULL, &submission, &err) !=
        0) {
        fuzz_check(submission == NULL, "untouched on failure");
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT || err.code == ERROR_OUT_OF_RANGE,
                   "a bad body is the sender's fault");
        fuzz_check_error(&err);
        return 0;
    }
    fuzz_check(size <= limits.body_size_max, "a body is within its limit");
    fuzz_check(submission->workers >= 1 && submission->workers <= 10000, "workers");
    fuzz_check(submission->batch_size >= 1 && submission->batch_size <= 1000000,
               "batch");
    fuzz_check(submission->max_attempts >= 1 && submission->max_attempts <= 100,
               "tries");
    fuzz_check(submission->config.size == 0 || *submission->config.text == '{',
               "config");
    if (submission->input == SUBMISSION_ITEM_LIST) {
        check_items(submission);
    } else {
        fuzz_check(submission->lister.path_count > 0, "a lister has paths");
        (void)lister_selects(&submission->lister, url, strlen(url));
    }
    submission_destroy(submission);
    return 0;
}
