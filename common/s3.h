/* SPDX-License-Identifier: Apache-2.0 */
/* s3.h - s3://bucket/key as a kind of store
 *
 * `self` of the table is a struct s3_service.
 */
#ifndef CORTEX_COMMON_S3_H
#define CORTEX_COMMON_S3_H

#include "common/object_kind.h"
#include "common/s3_request.h"

extern const struct object_kind s3_kind;

/* As object_stat. Blocks. */
int s3_stat(struct s3_service *service,
            const char *url,
            struct object_info *out_info,
            struct error *err);

#endif
