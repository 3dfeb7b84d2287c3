/* SPDX-License-Identifier: Apache-2.0 */
/* cors.c - which page of another site may use the API from a browser */
#include "client/bridge/cors.h"

#include <string.h>

int cors_check(const char *origin, struct error *err)
{
    const char *host = strncmp(origin, "https://", 8) == 0  ? origin + 8
                       : strncmp(origin, "http://", 7) == 0 ? origin + 7
                                                            : "";

    // As browsers write it, since it is compared byte by byte.
    if (*host && !host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-.:[]")]) {
        return 0;
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "--cors-origin: got \"%s\", expected one such as "
                     "https://app.example:8443, in lower case and without a path",
                     origin);
}

bool cors_allows(const char *allowed, const char *origin)
{
    return allowed && strcmp(allowed, origin) == 0;
}

bool cors_is_preflight(bool allowed, const char *method)
{
    return allowed && strcmp(method, "OPTIONS") == 0;
}

void cors_add_headers(struct MHD_Response *response, const char *allowed, bool fits)
{
    static const char *const said[][2] = {
        {"Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE"},
        {"Access-Control-Allow-Headers",
         "Authorization, Content-Type, Idempotency-Key"},
        {"Access-Control-Max-Age", "600"},
    };

    if (allowed) {
        (void)MHD_add_response_header(response, "Vary", "Origin");
    }
    if (fits) {
        (void)MHD_add_response_header(response, "Access-Control-Allow-Origin", allowed);
        for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
            (void)MHD_add_response_header(response, said[i][0], said[i][1]);
        }
    }
}
