/* SPDX-License-Identifier: Apache-2.0 */
/* show.h - how APIs and jobs are shown to people
 *
 * The tutorial's tables and blocks. Pure: all is added to *out, and the caller tells
 * the time, in ns since 1970. */
#ifndef CORTEX_CLIENT_CLI_SHOW_H
#define CORTEX_CLIENT_CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include "client/api.h"
#include "common/buffer.h"

struct show {
    const char *bridge_url; /* base of endpoints, without a slash at its end */
    int64_t now_ns;
    bool bold;
    bool verbose; /* with configurations and versions */
};

/* env_name: shown as a column; NULL hides it. */
void show_apis(struct buffer *out,
               const struct show *show,
               const char *env_name,
               const struct client_listing *listing);

void show_api(struct buffer *out,
              const struct show *show,
              const struct client_detail *detail);

void show_job(struct buffer *out,
              const struct show *show,
              const struct client_job *job,
              const struct client_definition *definition);

#endif
