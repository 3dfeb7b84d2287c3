/* SPDX-License-Identifier: Apache-2.0 */
/* api.c - what a deployed definition is made of */
#include "master/api.h"

#include <stdlib.h>

#include "common/buffer.h"

struct api_version *api_version_create(void)
{
    struct api_version *version = memory_zalloc(sizeof(*version));
    char **const fields[] = {&version->api_id,
                             &version->name,
                             &version->endpoint,
                             &version->spec_id,
                             &version->predictor_id,
                             &version->project_id,
                             &version->spec,
                             &version->predictor_path,
                             &version->python_path,
                             &version->log_level,
                             &version->config,
                             &version->env};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        *fields[i] = memory_strdup("");
    }
    version->refs = 1;
    return version;
}

struct api_version *api_version_ref(struct api_version *version)
{
    version->refs++;
    return version;
}

void api_version_unref(struct api_version *version)
{
    if (!version || --version->refs > 0) {
        return;
    }
    free(version->api_id);
    free(version->name);
    free(version->endpoint);
    free(version->spec_id);
    free(version->predictor_id);
    free(version->project_id);
    free(version->spec);
    free(version->predictor_path);
    free(version->python_path);
    free(version->log_level);
    free(version->config);
    free(version->env);
    free(version);
}

void api_version_set(char **field, const char *text)
{
    free(*field);
    *field = memory_strdup(text);
}
