/* SPDX-License-Identifier: Apache-2.0 */
/* aws_imds.h - what an EC2 instance is told about itself
 *
 * Version 2 of the instance metadata service only (a token first, one for each
 * question), with a second's patience and no proxy. Elsewhere than on EC2 nobody
 * answers. AWS_EC2_METADATA_SERVICE_ENDPOINT moves it. Blocks up to 2 s; any thread.
 *
 * Source: Amazon EC2 User Guide, "Instance metadata and user data".
 */
#ifndef CORTEX_COMMON_AWS_IMDS_H
#define CORTEX_COMMON_AWS_IMDS_H

#include <stdbool.h>

#include "common/buffer.h"
#include "common/error.h"

/* AWS_EC2_METADATA_DISABLED is true. */
bool aws_imds_disabled(void);

/* Adds what is at the path ("/latest/meta-data/placement/region"). NOT_FOUND if there
 * is no such thing, or AWS_EC2_METADATA_DISABLED is true; UNAVAILABLE without answer.
 */
int aws_imds_get(const char *path, struct buffer *out, struct error *err);

#endif
