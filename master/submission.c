/* SPDX-License-Identifier: Apache-2.0 */
/* submission.c - what a job is asked to do: the body of a POST, checked */
#include "master/submission.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/json.h"
#include "common/sqs_arn.h"
#include "master/json_fields.h"

#define KIND_TOO_FEW   "configreader.too_few_elements"
#define KIND_EMPTY     "configreader.cannot_be_empty"
#define KIND_TOO_SMALL "configreader.must_be_greater_than_or_equal_to"
#define KIND_TOO_LARGE "configreader.must_be_less_than_or_equal_to"
#define KIND_NO_INPUT  "batchapi.specify_exactly_one_key"
#define KIND_CONFLICT  "batchapi.conflicting_fields"
#define KIND_ITEM_SIZE "batchapi.item_size_exceeds_limit"

// What the body may hold, object by object; the enums are the rows.
enum { ROOT_WORKERS, ROOT_TIMEOUT, ROOT_ATTEMPTS, ROOT_DEAD, ROOT_CONFIG, ROOT_INPUT };
static const struct json_field root_fields[] = {
    [ROOT_WORKERS] = {"workers", JSON_FIELD_INTEGER},
    [ROOT_TIMEOUT] = {"timeout", JSON_FIELD_INTEGER},
    [ROOT_ATTEMPTS] = {"max_attempts", JSON_FIELD_INTEGER},
    [ROOT_DEAD] = {"sqs_dead_letter_queue", JSON_FIELD_OBJECT},
    [ROOT_CONFIG] = {"config", JSON_FIELD_OBJECT},
    [ROOT_INPUT + SUBMISSION_ITEM_LIST] = {"item_list", JSON_FIELD_OBJECT},
    [ROOT_INPUT +
        SUBMISSION_FILE_PATH_LISTER] = {"file_path_lister", JSON_FIELD_OBJECT},
    [ROOT_INPUT + SUBMISSION_DELIMITED_FILES] = {"delimited_files", JSON_FIELD_OBJECT},
};
#define ROOT_COUNT  (sizeof(root_fields) / sizeof(root_fields[0]))
#define INPUT_COUNT (ROOT_COUNT - ROOT_INPUT)

enum { INPUT_BATCH_SIZE, INPUT_ITEMS, INPUT_PATHS = 1, INPUT_INCLUDES, INPUT_EXCLUDES };
static const struct json_field item_list_fields[] = {
    [INPUT_BATCH_SIZE] = {"batch_size", JSON_FIELD_INTEGER},
    [INPUT_ITEMS] = {"items", JSON_FIELD_ARRAY},
};
static const struct json_field lister_fields[] = {
    [INPUT_BATCH_SIZE] = {"batch_size", JSON_FIELD_INTEGER},
    [INPUT_PATHS] = {"s3_paths", JSON_FIELD_TEXTS},
    [INPUT_INCLUDES] = {"includes", JSON_FIELD_TEXTS},
    [INPUT_EXCLUDES] = {"excludes", JSON_FIELD_TEXTS},
};
#define INPUT_FIELDS_MAX 4

enum { DEAD_ARN, DEAD_RECEIVES, DEAD_COUNT };
static const struct json_field dead_fields[DEAD_COUNT] = {
    [DEAD_ARN] = {"arn", JSON_FIELD_TEXT},
    [DEAD_RECEIVES] = {"max_receive_count", JSON_FIELD_INTEGER},
};

// The body taken apart, types checked; a slice of size 0 is absent.
struct parts {
    struct json_slice root[ROOT_COUNT];
    struct json_slice dead[DEAD_COUNT];
    struct json_slice inputs[INPUT_COUNT][INPUT_FIELDS_MAX];
};

static int take_parts(struct json_slice body, struct parts *parts, struct error *err)
{
    if (json_fields_take(body, "", root_fields, ROOT_COUNT, parts->root, err) != 0) {
        return -1;
    }
    struct json_slice dead = parts->root[ROOT_DEAD];
    if (dead.size && json_fields_take(dead,
                                      root_fields[ROOT_DEAD].name,
                                      dead_fields,
                                      DEAD_COUNT,
                                      parts->dead,
                                      err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < INPUT_COUNT; i++) {
        bool list = i == SUBMISSION_ITEM_LIST;
        struct json_slice input = parts->root[ROOT_INPUT + i];
        if (input.size && json_fields_take(input,
                                           root_fields[ROOT_INPUT + i].name,
                                           list ? item_list_fields : lister_fields,
                                           list ? INPUT_ITEMS + 1 : INPUT_FIELDS_MAX,
                                           parts->inputs[i],
                                           err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_body(struct json_slice body,
                      const struct submission_limits *limits,
                      struct error *err)
{
    char excerpt[JSON_EXCERPT_SIZE];

    if (body.size > limits->body_size_max) {
        return error_set_kind(err,
                              ERROR_OUT_OF_RANGE,
                              "error",
                              "request body too large: it has %zu bytes, the limit is "
                              "%zu bytes",
                              body.size,
                              limits->body_size_max);
    }
    if (json_check(body.text, body.size, err) != 0) {
        return error_wrap(err, "request body");
    }
    body = json_trim(body.text, body.size);
    if (body.text[0] != '{') {
        json_excerpt(body.text, body.size, 0, excerpt);
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "request body: expected a JSON object, got %s",
                         excerpt);
    }
    return 0;
}

static int choose_input(const struct parts *parts,
                        struct submission *submission,
                        struct error *err)
{
    const char *given[INPUT_COUNT];
    size_t count = 0;

    for (size_t i = 0; i < INPUT_COUNT; i++) {
        if (parts->root[ROOT_INPUT + i].size) {
            given[count++] = root_fields[ROOT_INPUT + i].name;
            submission->input = (enum submission_input)i;
        }
    }
    if (count == 1) {
        return 0;
    }
    if (count == 0) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              KIND_NO_INPUT,
                              "expected exactly one of the keys item_list, "
                              "file_path_lister, delimited_files, got none");
    }
    return error_set_kind(
        err,
        ERROR_INVALID_ARGUMENT,
        KIND_CONFLICT,
        "%s%s%s and %s cannot be specified together, expected exactly "
        "one of the keys item_list, file_path_lister, delimited_files",
        given[0],
        count > 2 ? ", " : "",
        count > 2 ? given[1] : "",
        given[count - 1]);
}

static int count_items(struct submission *submission,
                       const struct submission_limits *limits,
                       struct error *err)
{
    struct json_cursor cursor;
    struct json_slice item;

    if (submission->items.size) {
        json_cursor_init(&cursor, submission->items);
        for (; json_cursor_element(&cursor, &item); submission->item_count++) {
            if (item.size > limits->item_size_max) {
                return error_set_kind(err,
                                      ERROR_OUT_OF_RANGE,
                                      KIND_ITEM_SIZE,
                                      "items: item %" PRIu64 " of item_list has %zu "
                                      "bytes, the limit is %zu bytes",
                                      submission->item_count,
                                      item.size,
                                      limits->item_size_max);
            }
        }
    }
    if (submission->item_count == 0) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              KIND_TOO_FEW,
                              "items: item_list must have at least 1 element, got %s",
                              submission->items.size ? "[]" : "none");
    }
    return 0;
}

// The number an integer's text stands for, the type's bounds for what is beyond them.
static int64_t integer_of(struct json_slice value)
{
    bool negative = value.text[0] == '-';
    int64_t number = 0;

    for (size_t i = negative; i < value.size; i++) {
        int64_t digit = value.text[i] - '0';
        if (number > (INT64_MAX - digit) / 10) {
            return negative ? INT64_MIN : INT64_MAX;
        }
        number = number * 10 + digit;
    }
    return negative ? -number : number;
}

// An integer from 1 to max. What is absent is an error if it is required, else *out
// stays.
static int take_integer(struct json_slice value,
                        const char *where,
                        const char *name,
                        bool required,
                        uint32_t max,
                        uint32_t *out,
                        struct error *err)
{
    char place[JSON_FIELD_PLACE_SIZE];
    char excerpt[JSON_EXCERPT_SIZE] = "none";
    int64_t number = value.size ? integer_of(value) : 0;

    if (!value.size && !required) {
        return 0;
    }
    if (number >= 1 && number <= max) {
        *out = (uint32_t)number;
        return 0;
    }
    json_field_place(place, where, name);
    if (value.size) {
        json_excerpt(value.text, value.size, 0, excerpt);
    }
    return error_set_kind(err,
                          ERROR_INVALID_ARGUMENT,
                          number < 1 ? KIND_TOO_SMALL : KIND_TOO_LARGE,
                          "%s: must be %s than or equal to %u, got %s",
                          place,
                          number < 1 ? "greater" : "less",
                          number < 1 ? 1 : max,
                          excerpt);
}

static int take_batch_size(const struct parts *parts,
                           struct submission *submission,
                           struct error *err)
{
    return take_integer(parts->inputs[submission->input][INPUT_BATCH_SIZE],
                        submission_input_name(submission->input),
                        "batch_size",
                        true,
                        SUBMISSION_BATCH_ITEMS_MAX,
                        &submission->batch_size,
                        err);
}

static int take_dead_letters(const struct parts *parts,
                             struct submission *submission,
                             struct error *err)
{
    static const char place[] = "sqs_dead_letter_queue: arn";
    uint32_t receives = 0;

    if (!parts->root[ROOT_DEAD].size) {
        return 0;
    }
    if (parts->dead[DEAD_ARN].size) {
        submission->dead_letter_arn =
            json_field_text(parts->dead[DEAD_ARN], place, err);
        if (!submission->dead_letter_arn) {
            return -1;
        }
    }
    if (!submission->dead_letter_arn || !*submission->dead_letter_arn) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              KIND_EMPTY,
                              "%s: cannot be empty, expected the ARN of a queue",
                              place);
    }
    if (sqs_arn_parse(submission->dead_letter_arn, NULL, err) != 0) {
        return error_wrap(err, "%s", place);
    }
    if (take_integer(parts->dead[DEAD_RECEIVES],
                     root_fields[ROOT_DEAD].name,
                     dead_fields[DEAD_RECEIVES].name,
                     true,
                     SUBMISSION_ATTEMPTS_MAX,
                     &receives,
                     err) != 0) {
        return -1;
    }
    if (parts->root[ROOT_ATTEMPTS].size && submission->max_attempts != receives) {
        return error_set_kind(
            err,
            ERROR_INVALID_ARGUMENT,
            KIND_CONFLICT,
            "max_attempts: %u and sqs_dead_letter_queue: "
            "max_receive_count: %u mean the same, expected one of them "
            "or equal values",
            submission->max_attempts,
            receives);
    }
    submission->max_attempts = receives;
    return 0;
}

static int take_job_fields(const struct parts *parts,
                           struct submission *submission,
                           struct error *err)
{
    const struct json_slice *root = parts->root;

    submission->config = root[ROOT_CONFIG];
    submission->max_attempts = 1;
    if (take_integer(root[ROOT_WORKERS],
                     "",
                     root_fields[ROOT_WORKERS].name,
                     true,
                     SUBMISSION_WORKERS_MAX,
                     &submission->workers,
                     err) != 0 ||
        take_integer(root[ROOT_TIMEOUT],
                     "",
                     root_fields[ROOT_TIMEOUT].name,
                     false,
                     SUBMISSION_TIMEOUT_MAX_S,
                     &submission->timeout_s,
                     err) != 0 ||
        take_integer(root[ROOT_ATTEMPTS],
                     "",
                     root_fields[ROOT_ATTEMPTS].name,
                     false,
                     SUBMISSION_ATTEMPTS_MAX,
                     &submission->max_attempts,
                     err) != 0) {
        return -1;
    }
    return take_dead_letters(parts, submission, err);
}

static int take_lister(const struct parts *parts,
                       struct submission *submission,
                       lister_check_url_fn check_url,
                       void *arg,
                       struct error *err)
{
    const struct json_slice *input = parts->inputs[submission->input];
    const struct lister_texts texts = {
        input[INPUT_PATHS], input[INPUT_INCLUDES], input[INPUT_EXCLUDES]};

    submission->lister.name = submission_input_name(submission->input);
    return lister_parse(&submission->lister, &texts, check_url, arg, err);
}

static int take_all(const struct parts *parts,
                    const struct submission_limits *limits,
                    lister_check_url_fn check_url,
                    void *arg,
                    struct submission *submission,
                    struct error *err)
{
    if (choose_input(parts, submission, err) != 0) {
        return -1;
    }
    bool list = submission->input == SUBMISSION_ITEM_LIST;
    if (list) {
        submission->items = parts->inputs[SUBMISSION_ITEM_LIST][INPUT_ITEMS];
    }
    if ((list && count_items(submission, limits, err) != 0) ||
        take_batch_size(parts, submission, err) != 0 ||
        take_job_fields(parts, submission, err) != 0) {
        return -1;
    }
    return list ? 0 : take_lister(parts, submission, check_url, arg, err);
}

int submission_parse(const char *text,
                     size_t size,
                     const struct submission_limits *limits,
                     lister_check_url_fn check_url,
                     void *arg,
                     struct submission **out_submission,
                     struct error *err)
{
    struct json_slice body = {text, size};
    struct parts parts = {0};

    if (check_body(body, limits, err) != 0 ||
        take_parts(json_trim(text, size), &parts, err) != 0) {
        return -1;
    }
    struct submission *submission = memory_zalloc(sizeof(*submission));
    if (take_all(&parts, limits, check_url, arg, submission, err) != 0) {
        submission_destroy(submission);
        return -1;
    }
    *out_submission = submission;
    return 0;
}

void submission_destroy(struct submission *submission)
{
    if (submission) {
        lister_fini(&submission->lister);
        free(submission->dead_letter_arn);
        free(submission);
    }
}

const char *submission_input_name(enum submission_input input)
{
    return root_fields[ROOT_INPUT + input].name;
}
