/* SPDX-License-Identifier: Apache-2.0 */
/* enqueuer.h - how a submission becomes batches
 *
 * Runs the enqueuing of one job on the caller's thread, from the submission's text to
 * segments of batches: items of the list, URLs of files, or the values that files hold.
 * It blocks on the stores and on the sink; memory is bounded whatever the input's size.
 * Run again behind any segment, it makes just the batches that were to follow, as long
 * as the input is the same.
 *
 * It writes these lines to the job's log, and none of the others of that phase:
 *   started enqueuing batches to queue                   unless it goes on
 *   skipping A, since B covers it                        per covered s3_path, unless so
 *   partitioning N items found in job submission into M batches of size B
 *   enqueuing contents from file URL                     when a file is begun
 *   enqueued N batches           at each 100 up to 10,000, at each 10,000 after
 * and, when there was no batch, two lines that say what to look for.
 */
#ifndef CORTEX_MASTER_ENQUEUER_H
#define CORTEX_MASTER_ENQUEUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/object.h"
#include "master/inputs.h"
#include "master/payload.h"
#include "master/submission.h"

#define ENQUEUER_KEY_SIZE INPUTS_URL_SIZE

/* How far the input has been taken: just behind a batch. Plain data, to be stored with
 * the segment and given back as it is. */
struct enqueuer_position {
    uint32_t entry; /* of s3_paths */
    uint64_t
        offset; /* bytes taken of the item list's text or of the file, decompressed */
    uint64_t item; /* index of the next item in the list or file */
    uint64_t line; /* of the file, from 1; 0: not known */
    char etag[80]; /* the file's, which it must still have; "" : not known */
    char key[ENQUEUER_KEY_SIZE]; /* URL of the file under way or listed last, "" : none
                                  */
};

struct enqueuer_options {
    const char *body; /* the submission's text, checked before; borrowed */
    size_t body_size;
    struct submission_limits limits;
    struct object_store *inputs;    /* where the user's files are */
    struct object_store *payloads;  /* where segments go, */
    const char *payload_prefix_url; /* below the job's own prefix */
    size_t segment_size_max;        /* 0: payload.h's limits */
    uint32_t segment_count_max;
    /* The last segment that was committed, and its position; both NULL at the start. */
    const struct payload_segment *last;
    const struct enqueuer_position *after;
};

/* Whom it tells. All are called on the thread of enqueuer_run. */
struct enqueuer_sink {
    void *arg;
    /* The segment is durable. Returns when it is committed; -1 ends the enqueuing with
     * err. */
    int (*segment)(void *arg,
                   const struct payload_segment *segment,
                   const struct enqueuer_position *after,
                   struct error *err);
    void (*log)(void *arg, const char *line); /* without newline */
    bool (*stopped)(void *arg); /* true ends the enqueuing with CANCELLED */
};

/* 0 and the number of all batches, earlier ones included: at least 1. -1 with what is
 * wrong with the input or a store; kind batchapi.no_s3_files_found if no file matched,
 * FAILED_PRECONDITION with kind batchapi.no_batches if all were empty. */
int enqueuer_run(const struct enqueuer_options *options,
                 const struct enqueuer_sink *sink,
                 uint64_t *out_batches,
                 struct error *err);

#endif
