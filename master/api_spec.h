/* SPDX-License-Identifier: Apache-2.0 */
/* api_spec.h - what a cortex.yaml asks for, and whether it may
 *
 * Reads a configuration file, which holds a list of APIs, checks every field and names
 * each version by what it is made of. Errors are INVALID_ARGUMENT with the original's
 * kinds, one sentence of the form
 *   <file>: <api name> (BatchAPI): <section>: <field>: <reason> (line 5, column 11)
 * Pure: no I/O, no clock.
 */
#ifndef CORTEX_MASTER_API_SPEC_H
#define CORTEX_MASTER_API_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define API_SPEC_NAME_SIZE_MAX     42   /* characters of a name */
#define API_SPEC_ENDPOINT_SIZE_MAX 1000 /* characters of an endpoint */
#define API_SPEC_COUNT_MAX         256  /* APIs in a file */

#define API_SPEC_PREDICTOR_ID_SIZE 64 /* 63 hex digits and NUL */
#define API_SPEC_SPEC_ID_SIZE      33 /* 32 hex digits and NUL */
#define API_SPEC_ID_SIZE           51 /* 16 + "--" + 32 and NUL */

/* One API. Texts are the struct's own and never NULL unless it says so. */
struct api_spec {
    char *name;
    char *endpoint;       /* "/image-classifier": begins with a slash, ends with none */
    char *predictor_type; /* "python" */
    char *predictor_path; /* relative to the project, without "./" in front */
    char *python_path;    /* "src/"; "" for the project's root */
    char *config;         /* a JSON object, "{}" if there was none */
    char **env;           /* "NAME=value", by name */
    size_t env_count;
    char *log_level;       /* "debug", "info", "warning", "error" */
    uint32_t cpu_millis;   /* per worker; 0: no request */
    uint64_t memory_bytes; /* per worker; 0: no request */
    uint32_t gpus;         /* per worker */

    char *image;     /* as given, NULL if not; nothing is run in it */
    char *cpu;       /* as given; NULL: null */
    char *mem;       /* as given, NULL if not */
    char *shm_size;  /* as given, NULL if not */
    char *submitted; /* the API's own map as JSON */

    char predictor_id[API_SPEC_PREDICTOR_ID_SIZE];
    char spec_id[API_SPEC_SPEC_ID_SIZE]; /* equal for equal APIs of equal projects */
    char api_id[API_SPEC_ID_SIZE];       /* names this version; newer ones sort first */
    char *json;                          /* the whole as one JSON object, `api_spec` */
};

struct api_spec_source {
    const char *file_name;  /* for errors and the document: "cortex.yaml" */
    const char *text;       /* the file */
    size_t size;            /* bytes */
    const char *project_id; /* names the project's archive */
    int64_t now_ns;         /* wall clock: dates the version */
    /* Whether the project holds the file `path`, or, if path ends in a slash, anything
     * below that folder. The path is relative, without "./" in front. */
    bool (*exists)(void *arg, const char *path);
    void *arg;
};

struct api_specs {
    struct api_spec *specs; /* as they stand in the file */
    size_t count;           /* at least 1 */
};

/* Reads all APIs or none. On 0 *out is for api_specs_fini. */
int api_spec_parse(const struct api_spec_source *source,
                   struct api_specs *out,
                   struct error *err);
void api_specs_fini(struct api_specs *specs);

#endif
