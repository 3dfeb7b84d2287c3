/* SPDX-License-Identifier: Apache-2.0 */
/* api_document.h - what a version of an API is called and how it is written down
 *
 * Its ids are hashes of what it is made of, so that equal definitions of equal projects
 * have equal ids; the document is the `api_spec` that clients and predictors see, with
 * the original's members, those included that mean nothing here. Pure. */
#ifndef CORTEX_MASTER_API_DOCUMENT_H
#define CORTEX_MASTER_API_DOCUMENT_H

#include <stddef.h>

#include "master/api_spec.h"

/* Sets predictor_id, spec_id, api_id and json of what was read otherwise. index: the
 * API's place in the file, from 0. */
void api_document_complete(struct api_spec *spec,
                           const struct api_spec_source *source,
                           size_t index);

#endif
