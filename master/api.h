/* SPDX-License-Identifier: Apache-2.0 */
/* api.h - what a deployed definition is made of
 *
 * A version never changes once it exists; jobs hold on to the one they were submitted
 * to. Counted by its holders, on the loop's thread only. */
#ifndef CORTEX_MASTER_API_H
#define CORTEX_MASTER_API_H

#include <stddef.h>
#include <stdint.h>

struct api_version {
    unsigned refs;
    char *api_id; /* unique; a newer one of the same name sorts first */
    char *name;
    char *endpoint; /* path, begins with a slash and does not end with one */
    char *spec_id;  /* equal specs and projects have equal ids */
    char *predictor_id;
    char *project_id;
    char *spec; /* the whole definition, a JSON object */
    char *predictor_path;
    char *python_path; /* "" : the project's root */
    char *log_level;
    char *config; /* JSON object */
    char *env;    /* NAME=value, each ended by a NUL */
    size_t env_size;
    uint32_t cpu_millis;   /* of one worker */
    uint64_t memory_bytes; /* 0: not stated */
    uint32_t gpus;
    int64_t deployed_ns;
};

/* All strings "" and one reference; fill it before it is shared. */
struct api_version *api_version_create(void);
struct api_version *api_version_ref(struct api_version *version);
void api_version_unref(struct api_version *version); /* NULL is fine */

/* Replaces a string field of a version that is being filled. */
void api_version_set(char **field, const char *text);

#endif
