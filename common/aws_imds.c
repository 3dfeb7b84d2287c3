/* SPDX-License-Identifier: Apache-2.0 */
/* aws_imds.c - what an EC2 instance is told about itself */
#include "common/aws_imds.h"

#include <stdlib.h>
#include <string.h>

#include "common/aws_http.h"
#include "common/aws_settings.h"

#define IMDS_ENDPOINT   "http://169.254.169.254"
#define IMDS_TIMEOUT_MS 1000

static int ask(const char *method,
               const char *path,
               const char *header,
               struct buffer *out,
               struct error *err)
{
    const char *set = aws_settings_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *base = set ? set : IMDS_ENDPOINT;
    size_t length = strlen(base);
    char *url =
        memory_format("%.*s%s", (int)(length - (base[length - 1] == '/')), base, path);
    const char *const headers[] = {header, NULL};
    const struct aws_http http = {
        .method = method,
        .url = url,
        .headers = headers,
        .no_proxy = true,
        .timeout_ms = IMDS_TIMEOUT_MS,
    };
    long status = 0;
    struct buffer body = BUFFER_INIT;
    int result = aws_http_run(&http, &status, &body, err);

    if (result == 0 && status != 200) {
        result = error_set(err,
                           status >= 500 || status == 429 ? ERROR_UNAVAILABLE
                                                          : ERROR_NOT_FOUND,
                           "%s: expected status 200, got %ld",
                           url,
                           status);
    }
    if (result == 0) {
        buffer_add(out, buffer_text(&body), body.size);
    }
    buffer_fini(&body);
    free(url);
    return result;
}

bool aws_imds_disabled(void)
{
    return aws_settings_env_true("AWS_EC2_METADATA_DISABLED");
}

int aws_imds_get(const char *path, struct buffer *out, struct error *err)
{
    struct buffer token = BUFFER_INIT;

    if (aws_imds_disabled()) {
        return error_set(err, ERROR_NOT_FOUND, "AWS_EC2_METADATA_DISABLED is true");
    }
    int result = ask("PUT",
                     "/latest/api/token",
                     "X-aws-ec2-metadata-token-ttl-seconds: 60",
                     &token,
                     err);
    if (result == 0) {
        char *header =
            memory_format("X-aws-ec2-metadata-token: %s", buffer_text(&token));
        result = ask("GET", path, header, out, err);
        free(header);
    }
    buffer_fini(&token);
    return result;
}
