/* SPDX-License-Identifier: Apache-2.0 */
/* aws_sts.h - how keys for a role are asked for
 *
 * Blocks up to AWS_STS_TIMEOUT_MS. Any thread.
 *
 * Source: AWS Security Token Service API Reference, AssumeRole and
 * AssumeRoleWithWebIdentity.
 */
#ifndef CORTEX_COMMON_AWS_STS_H
#define CORTEX_COMMON_AWS_STS_H

#include "common/aws_credentials.h"

#define AWS_STS_TIMEOUT_MS 10000

struct aws_sts_request {
    const char *role_arn;
    const char *session_name; /* NULL: "cortex" */
    const char *external_id;  /* NULL: none */
    const char *duration_s;   /* NULL: the service's */
    /* Who asks: */
    const struct aws_credentials *caller; /* these keys, */
    const char *web_identity_token;       /* or, caller being NULL, this token */
};

int aws_sts_assume(const struct aws_settings *settings,
                   const struct aws_sts_request *request,
                   struct aws_credentials *out,
                   struct error *err);

/* "2026-01-31T23:59:59Z" as seconds since 1970; 0 if it is not that. */
int64_t aws_sts_time(const char *text);

#endif
