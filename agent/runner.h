/* SPDX-License-Identifier: Apache-2.0 */
/* runner.h - what agent and runner process say to each other
 *
 * Frames on a stream socket, little-endian: uint32 size of what follows, uint8 type,
 * body. The other side is agent/runner/{channel,worker}.py.
 *
 *   START            6 texts, each a uint32 size and its bytes: predictor path, python
 *                    path, log level, api config, job config, job spec
 *   BATCH            batch id (36 bytes), payload (a JSON array)
 *   COMPLETE         run on_job_complete
 *   LEAVE            uint8 reason (enum agent_leave)
 *
 *   READY            uint8 has on_job_complete; dest_s3_dir of the merged config
 *   SETUP_FAILED     uint8 for want of memory; one line
 *   RESULT           uint8 status (below), int64 start in us since 1970, uint64
 * duration in us; then the JSON of VALUE, or the line of FAILED. In the order of the
 * batches COMPLETED COMPLETE_FAILED  one line LEFT             the process is about to
 * end in good order
 *
 * What comes from a runner may be the predictor's doing, so it is checked like any
 * other input. Pure. */
#ifndef CORTEX_AGENT_RUNNER_H
#define CORTEX_AGENT_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

#define RUNNER_BATCH_ID_SIZE 36
#define RUNNER_RESULT_MAX    (256u << 20) /* bytes of JSON; worker.py's too */
#define RUNNER_FRAME_MAX     (RUNNER_RESULT_MAX + 1024u) /* from a runner */

enum runner_type {
    RUNNER_START = 1,
    RUNNER_BATCH = 2,
    RUNNER_COMPLETE = 3,
    RUNNER_LEAVE = 4,
    RUNNER_READY = 16,
    RUNNER_SETUP_FAILED = 17,
    RUNNER_RESULT = 18,
    RUNNER_COMPLETED = 19,
    RUNNER_COMPLETE_FAILED = 20,
    RUNNER_LEFT = 21,
};

enum runner_status { RUNNER_NOTHING = 0, RUNNER_VALUE = 1, RUNNER_FAILED = 2 };

struct runner_start {
    const char *predictor_path;
    const char *python_path;
    const char *log_level;
    const char *api_config;
    const char *job_config;
    const char *job_spec;
};

void runner_write_start(struct buffer *out, const struct runner_start *start);
void runner_write_batch(struct buffer *out,
                        const char batch_id[RUNNER_BATCH_ID_SIZE],
                        const void *payload,
                        size_t size);
void runner_write_complete(struct buffer *out);
void runner_write_leave(struct buffer *out, uint8_t reason);

/* A frame from the runner. The text points into the buffer it was read from. */
struct runner_frame {
    enum runner_type type;
    bool flag;                 /* READY, SETUP_FAILED */
    enum runner_status status; /* RESULT */
    int64_t start_ms;          /* RESULT */
    uint64_t duration_us;      /* RESULT */
    const char *text;          /* the rest, not ended by a NUL */
    size_t text_size;
};

/* Bytes of the frame that *in begins with, as it says itself; 0 if that is not there.
 */
uint64_t runner_peek(const struct buffer *in);

/* Takes the frame at in->data + *at apart and moves *at behind it: 1, or 0 if it is not
 * all there yet, or -1 (INVALID_ARGUMENT) for what no runner of ours sends. */
int runner_read(const struct buffer *in,
                size_t *at,
                struct runner_frame *out,
                struct error *err);

#endif
