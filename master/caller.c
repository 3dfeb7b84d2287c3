/* SPDX-License-Identifier: Apache-2.0 */
/* caller.c - whose call it is, and what he may see */
#include "master/caller.h"

#include <fnmatch.h>
#include <string.h>

#define PATTERN_SIZE 129 /* bytes with NUL: longer ones fit no api's name */

static bool is_scoped(const struct caller *caller)
{
    return caller->acting_apis && *caller->acting_apis;
}

static bool fits_any(const char *patterns, const char *api_name)
{
    char pattern[PATTERN_SIZE];

    for (const char *at = patterns; *at; at += *at == ',') {
        size_t size = strcspn(at, ",");
        if (size < sizeof(pattern)) {
            memcpy(pattern, at, size);
            pattern[size] = '\0';
            if (fnmatch(pattern, api_name, 0) == 0) {
                return true;
            }
        }
        at += size;
    }
    return false;
}

bool caller_may_see(const struct caller *caller, const char *api_name)
{
    return (!caller->key || keys_may_use_api(caller->keys, caller->key, api_name)) &&
           (!is_scoped(caller) || fits_any(caller->acting_apis, api_name));
}

void caller_agent_id(const struct caller *caller, unsigned char out[KEY_NAME_SIZE])
{
    keys_agent_id(caller->keys, caller->key, out);
}

bool caller_is_limited(const struct caller *caller)
{
    return is_scoped(caller) ||
           (caller->key && keys_are_limited(caller->keys, caller->key));
}
