/* SPDX-License-Identifier: Apache-2.0 */
/* api_compute.h - how much of a machine an API's worker asks for
 *
 * The section `compute` of a cortex.yaml, and shared memory, which is asked for
 * elsewhere. Errors are those of api_field.h. Pure. */
#ifndef CORTEX_MASTER_API_COMPUTE_H
#define CORTEX_MASTER_API_COMPUTE_H

#include <stdint.h>

#include "common/error.h"
#include "common/yaml_document.h"
#include "master/api_spec.h"

/* Sets what the section names: cpu, mem, gpu. */
int api_compute_read(const struct yaml_node *node,
                     struct api_spec *spec,
                     struct error *err);

/* *out_text, freed before, is what was given. */
int api_compute_read_shm_size(const struct yaml_node *node,
                              int64_t *out_bytes,
                              char **out_text,
                              struct error *err);

#endif
