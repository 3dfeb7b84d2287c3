/* SPDX-License-Identifier: Apache-2.0 */
/* target.h - what the first line of an HTTP request asks for
 *
 * Takes a request target (RFC 9112, origin and absolute form) apart: a decoded path and
 * decoded query pairs. Nothing is normalised: "." and ".." are names like others, and
 * what is no endpoint is not found. Pure. Errors are INVALID_ARGUMENT and quote what
 * was sent.
 */
#ifndef CORTEX_CLIENT_BRIDGE_TARGET_H
#define CORTEX_CLIENT_BRIDGE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define TARGET_PATH_SIZE_MAX 2048 /* bytes of a decoded path; endpoints have 1,000 */
#define TARGET_PAIRS_MAX     32   /* parts of a query */

struct target_pair {
    char *key;
    char *value; /* NULL when there was no "=" */
};

struct target {
    char *path; /* begins with "/", UTF-8, no control characters */
    struct target_pair pairs[TARGET_PAIRS_MAX];
    size_t pair_count;
};

/* Initialises *out whatever it returns; target_fini frees it. */
int target_parse(const char *text, struct target *out, struct error *err);
void target_fini(struct target *target);

/* The value of a key, "" for one without "="; *out is NULL if it is not there.
 * Borrowed. Said twice with different values is an error. */
int target_get(const struct target *target,
               const char *key,
               const char **out,
               struct error *err);

/* The same, read as a type; *inout stays as it is if the key is not there.
 * A bool is spelled as in Go: 1 t T true TRUE True 0 f F false FALSE False. */
int target_get_bool(const struct target *target,
                    const char *key,
                    bool *inout,
                    struct error *err);
int target_get_number(const struct target *target,
                      const char *key,
                      uint64_t max,
                      uint64_t *inout,
                      struct error *err);

/* Which job is meant: by the path segment (NULL or "" if there is none), by `jobID`,
 * `job_id` or `jobId`, or by a bare job id as a query. *out_text is NULL if there is
 * none of them, and is not yet checked to be a job id. Two that differ are an error,
 * and so is one of the keys with nothing behind it. Borrowed. */
int target_get_job(const struct target *target,
                   const char *segment,
                   const char **out_text,
                   struct error *err);

#endif
