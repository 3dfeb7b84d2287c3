/* SPDX-License-Identifier: Apache-2.0 */
/* aws_credentials.h - which keys requests to AWS are signed with
 *
 * The sources are asked in the order in which the AWS tools ask them; the first that
 * has something wins: environment, the profile's role (source_profile or
 * credential_source), web identity, the profile's keys, its credential_process, the
 * container's endpoint, instance metadata.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".
 */
#ifndef CORTEX_COMMON_AWS_CREDENTIALS_H
#define CORTEX_COMMON_AWS_CREDENTIALS_H

#include <stdint.h>

#include "common/aws_settings.h"
#include "common/error.h"

#define AWS_CREDENTIALS_PROCESS_MS 30000 /* what a credential_process may take */
#define AWS_CREDENTIALS_TEXT_MAX   (64u << 10)

struct aws_credentials {
    char *access_key;
    char *secret_key;
    char *session_token; /* NULL: none */
    int64_t expires_s;   /* wall clock; 0: never */
    char source[128];    /* "environment", "profile 'x'" */
};

/* Blocks as long as the sources take. UNAVAILABLE: one did not answer that should,
 * another try may help; UNAUTHENTICATED: none has any, and what to do. Any thread. */
int aws_credentials_find(const struct aws_settings *settings,
                         struct aws_credentials *out,
                         struct error *err);
void aws_credentials_fini(struct aws_credentials *credentials);

#endif
