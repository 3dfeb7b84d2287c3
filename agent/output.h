/* SPDX-License-Identifier: Apache-2.0 */
/* output.h - how what predict returned gets into the object store
 *
 * Uploads run side by side, off the daemon's thread; those that are over are taken from
 * a list. All functions are for one thread and do not block. */
#ifndef CORTEX_AGENT_OUTPUT_H
#define CORTEX_AGENT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/object.h"

struct output;

/* notify is called on another thread whenever an upload is over. */
struct output *
output_create(struct object_store *store, void (*notify)(void *arg), void *arg);

#define OUTPUT_LARGE (1u << 20) /* bytes; larger results are counted apart */

struct output_result {
    const char *dest; /* copied */
    uint64_t worker_id;
    uint64_t job_id;
    uint64_t index;
    uint64_t attempt;
    const void *data;
    size_t size;
    void *memory; /* what data lies in, which is freed then; NULL: data is copied */
};
/* Starts to store the JSON as "<dest>/<job id>/<batch id>.json". */
void output_start(struct output *output, const struct output_result *result);

struct output_end {
    uint64_t worker_id;
    uint64_t job_id;
    uint64_t index;
    uint64_t attempt;
    struct error error; /* code OK: it is stored */
};
/* The next upload that is over; false if there is none. */
bool output_next(struct output *output, struct output_end *out);

/* Bytes of results that are on their way: of those that are not large, and of those
 * that are. */
size_t output_bytes(const struct output *output);
size_t output_large_bytes(const struct output *output);

#endif
