/* SPDX-License-Identifier: Apache-2.0 */
/* s3_list.h - how the keys of a bucket are walked, page by page
 *
 * Source: Amazon S3 API Reference, API_ListObjectsV2.
 */
#ifndef CORTEX_COMMON_S3_LIST_H
#define CORTEX_COMMON_S3_LIST_H

#include "common/object_kind.h"
#include "common/s3_request.h"

/* As object_list_open. Blocks in next. */
int s3_list_open(struct s3_service *service,
                 const char *prefix_url,
                 const char *start_after,
                 struct object_list **out_list,
                 struct error *err);

#endif
