/* SPDX-License-Identifier: Apache-2.0 */
/* aws_settings.h - what the environment and the profile files say about AWS
 *
 * As the AWS tools read them: AWS_PROFILE chooses the profile ("default"),
 * AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE the files (~/.aws/config,
 * ~/.aws/credentials). Nothing here goes over the network. A struct aws_settings is
 * not changed once it is loaded and may be read by any thread.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files",
 * "Service-specific endpoints".
 */
#ifndef CORTEX_COMMON_AWS_SETTINGS_H
#define CORTEX_COMMON_AWS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define AWS_SETTINGS_FILE_SIZE_MAX (1u << 20)

struct aws_settings;

/* Reads environment and files; missing files are fine. INVALID_ARGUMENT if AWS_PROFILE
 * names a profile that no file has. */
int aws_settings_load(struct aws_settings **out_settings, struct error *err);
void aws_settings_destroy(struct aws_settings *settings);

/* What is returned is borrowed from the settings or the environment. */

/* The environment's value; NULL if it is not set or "". */
const char *aws_settings_env(const char *name);
/* Whether that value is "true", in any case. */
bool aws_settings_env_true(const char *name);

const char *aws_settings_profile_name(const struct aws_settings *settings);
/* A profile's value, the credentials file's before the config file's; NULL if it has
 * none. profile NULL: the chosen one. */
const char *aws_settings_profile(const struct aws_settings *settings,
                                 const char *profile,
                                 const char *key);

const char *aws_settings_region(const struct aws_settings *settings); /* or NULL */
const char *aws_settings_ca_bundle(const struct aws_settings *settings);
/* The endpoint to use in place of AWS's own for "S3" or "STS"; NULL if none is set. */
const char *aws_settings_endpoint(const struct aws_settings *settings,
                                  const char *service);

#endif
