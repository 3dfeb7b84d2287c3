/* SPDX-License-Identifier: Apache-2.0 */
/* s3_upload.h - how a large object is stored in parts
 *
 * Up to S3_UPLOAD_PARTS_AT_ONCE parts are under way at a time. If one fails the others
 * are waited for and the upload is aborted, so that the store keeps nothing. Driven by
 * the I/O thread alone; nothing here blocks.
 *
 * Source: Amazon S3 User Guide, "Uploading and copying objects using multipart upload",
 * "Amazon S3 multipart upload limits".
 */
#ifndef CORTEX_COMMON_S3_UPLOAD_H
#define CORTEX_COMMON_S3_UPLOAD_H

#include "common/object.h"
#include "common/s3_request.h"

#define S3_UPLOAD_PARTS_AT_ONCE 8
#define S3_UPLOAD_PART_SIZE     (8u << 20) /* larger if there were too many parts */
#define S3_UPLOAD_PARTS_MAX     10000

/* As object_put_start. */
void s3_upload_start(struct s3_service *service,
                     const char *url,
                     const void *data,
                     size_t size,
                     const char *content_type,
                     object_done_fn done,
                     void *arg);

#endif
