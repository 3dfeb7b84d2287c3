/* SPDX-License-Identifier: Apache-2.0 */
/* submission.h - what a job is asked to do: the body of a POST, checked
 *
 * Checks run in the order of the Batch API: size, JSON and types, exactly one input,
 * then items, batch sizes, workers, timeout, attempts, dead letter queue, s3_paths,
 * includes, excludes and URLs; the first violation is returned. Unknown keys are
 * ignored, null means absent, a key that matches only when case is ignored is taken if
 * no exact one is there, and of equal keys the last counts. `config` and the items are
 * not touched.
 *
 * Errors: INVALID_ARGUMENT with the Batch API's kinds, OUT_OF_RANGE for what is larger
 * than a limit. Each names the field, quotes the value and says what was expected.
 *
 * Pure but for the callback that checks a URL. Thread-safe; a parsed submission does
 * not change.
 */
#ifndef CORTEX_MASTER_SUBMISSION_H
#define CORTEX_MASTER_SUBMISSION_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/json_text.h"
#include "master/lister.h"

#define SUBMISSION_BATCH_ITEMS_MAX 1000000
#define SUBMISSION_WORKERS_MAX     10000
#define SUBMISSION_TIMEOUT_MAX_S   31536000 /* one year */
#define SUBMISSION_ATTEMPTS_MAX    100

struct submission_limits {
    size_t body_size_max;  /* bytes of the request's body */
    size_t item_size_max;  /* bytes of one item's text */
    size_t batch_size_max; /* bytes of one batch, its brackets and commas included */
};
#define SUBMISSION_LIMITS_DEFAULT                                                      \
    {                                                                                  \
        10u << 20, 8u << 20, 16u << 20                                                 \
    }

enum submission_input {
    SUBMISSION_ITEM_LIST,
    SUBMISSION_FILE_PATH_LISTER,
    SUBMISSION_DELIMITED_FILES,
};

struct submission {
    uint32_t workers;
    uint32_t timeout_s;       /* 0: none */
    uint32_t max_attempts;    /* 1 unless given, here or as max_receive_count */
    char *dead_letter_arn;    /* NULL: none */
    struct json_slice config; /* an object's text in the body; size 0: absent */
    enum submission_input input;
    uint32_t batch_size; /* items */
    /* ITEM_LIST: the array's text in the body. */
    struct json_slice items;
    uint64_t item_count;
    /* The other two. */
    struct lister lister;
};

/* text is borrowed: it must live as long as the submission. The caller destroys it. */
int submission_parse(const char *text,
                     size_t size,
                     const struct submission_limits *limits,
                     lister_check_url_fn check_url,
                     void *arg,
                     struct submission **out_submission,
                     struct error *err);
void submission_destroy(struct submission *submission); /* NULL is fine */

/* "item_list", ...: the input's key, which errors begin with. */
const char *submission_input_name(enum submission_input input);

#endif
