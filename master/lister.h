/* SPDX-License-Identifier: Apache-2.0 */
/* lister.h - which files a submission asks for, by paths and patterns
 *
 * The part that file_path_lister and delimited_files have in common. Pure but for the
 * callback that checks a URL; a parsed lister does not change and may be used by many
 * threads.
 */
#ifndef CORTEX_MASTER_LISTER_H
#define CORTEX_MASTER_LISTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/json_text.h"
#include "master/glob.h"

#define LISTER_PATHS_MAX 100000 /* s3_paths */
#define LISTER_GLOBS_MAX 1000   /* includes, and excludes */
#define LISTER_UNCOVERED SIZE_MAX

struct lister_path {
    char *url;         /* what a file's URL must begin with */
    size_t covered_by; /* index of the path that has all of this one's; or UNCOVERED */
};

struct lister_globs {
    struct glob **globs;
    size_t count;
};

/* Embedded in its owner; all zero but for the name before it is parsed. */
struct lister {
    const char *name; /* "delimited_files": what errors begin with; static */
    struct lister_path *paths;
    size_t path_count;
    struct lister_globs includes;
    struct lister_globs excludes;
};

/* The arrays of strings of a checked document; size 0: absent. */
struct lister_texts {
    struct json_slice paths;
    struct json_slice includes;
    struct json_slice excludes;
};

/* 0 if a path of s3_paths is well formed; object_check_url, as a rule. */
typedef int (*lister_check_url_fn)(void *arg, const char *url, struct error *err);

/* Checks in the order: s3_paths, includes, excludes, URLs. INVALID_ARGUMENT names the
 * lister, the field and the path or pattern. lister_fini is due whatever the result. */
int lister_parse(struct lister *lister,
                 const struct lister_texts *texts,
                 lister_check_url_fn check_url,
                 void *arg,
                 struct error *err);
void lister_fini(struct lister *lister);

/* Whether includes and excludes let a file's URL through. */
bool lister_selects(const struct lister *lister, const char *url, size_t size);

#endif
