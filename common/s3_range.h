/* SPDX-License-Identifier: Apache-2.0 */
/* s3_range.h - how bytes of an S3 object are asked for, and whether they all came
 *
 * Nothing here blocks.
 */
#ifndef CORTEX_COMMON_S3_RANGE_H
#define CORTEX_COMMON_S3_RANGE_H

#include "common/object.h"
#include "common/s3_request.h"

/* A request for bytes [offset, offset + size), size not 0; UINT64_MAX: to the end. etag
 * "" or what the object must still have. */
struct s3_request *s3_range_create(struct s3_service *service,
                                   const char *url,
                                   uint64_t offset,
                                   uint64_t size,
                                   const char *etag);

/* What the answer says of the whole object; UNAVAILABLE if it is not the bytes that
 * were asked for. */
int s3_range_check(const struct s3_request *request,
                   uint64_t offset,
                   uint64_t size,
                   struct object_info *out_info,
                   struct error *err);

#endif
