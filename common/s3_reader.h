/* SPDX-License-Identifier: Apache-2.0 */
/* s3_reader.h - how a whole S3 object is read in order
 *
 * In ranges of S3_READER_RANGE_SIZE, S3_READER_AHEAD of them under way or waiting to be
 * read: that many times that size is the memory a reader takes.
 */
#ifndef CORTEX_COMMON_S3_READER_H
#define CORTEX_COMMON_S3_READER_H

#include "common/object_kind.h"
#include "common/s3_request.h"

#define S3_READER_RANGE_SIZE (8u << 20)
#define S3_READER_AHEAD      3

/* As object_reader_open. Blocks until the first range is there. */
int s3_reader_open(struct s3_service *service,
                   const char *url,
                   uint64_t offset,
                   struct object_reader **out_reader,
                   struct error *err);

#endif
