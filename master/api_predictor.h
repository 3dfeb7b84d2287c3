/* SPDX-License-Identifier: Apache-2.0 */
/* api_predictor.h - which class an API runs, and in which surroundings
 *
 * The section `predictor` of a cortex.yaml. Errors are those of api_field.h. Pure. */
#ifndef CORTEX_MASTER_API_PREDICTOR_H
#define CORTEX_MASTER_API_PREDICTOR_H

#include <stdint.h>

#include "common/error.h"
#include "common/yaml_document.h"
#include "master/api_spec.h"

/* What is read into, and what is known of the project; the rest is for the check. */
struct api_predictor {
    struct api_spec *spec;
    const struct api_spec_source *source;
    const struct yaml_node *shm_size_node; /* NULL: none was given */
    int64_t shm_bytes;
};

int api_predictor_read(const struct yaml_node *node,
                       struct api_predictor *predictor,
                       struct error *err);

/* Once compute is read too: shared memory is part of a worker's memory. */
int api_predictor_check_shm_size(const struct api_predictor *predictor,
                                 struct error *err);

#endif
