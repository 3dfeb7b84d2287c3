/* SPDX-License-Identifier: Apache-2.0 */
/* admission.c - whose sessions the master accepts, and for how long */
#include "master/admission.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/log.h"
#include "master/identity.h"

struct admission {
    struct identity self;
    struct keys *keys;
};

static int authorize(void *data,
                     const struct session_claim *claim,
                     enum key_role *out_role,
                     struct error *err)
{
    struct admission *admission = data;

    if (!claim->token[0]) {
        return keys_check(admission->keys,
                          claim->key,
                          claim->host,
                          claim->role,
                          claim->wall_ms,
                          out_role,
                          err);
    }
    *out_role = KEY_ROLE_NONE;
    return keys_check_token(
        admission->keys, claim->token, claim->key, claim->host, claim->wall_ms, err);
}

static bool find_token(void *data,
                       const char *token,
                       int64_t wall_ms,
                       unsigned char out_psk[KEY_SIZE])
{
    struct admission *admission = data;

    return keys_find_token(admission->keys, token, wall_ms, out_psk);
}

int admission_open(const char *folder,
                   struct admission **out_admission,
                   struct error *err)
{
    struct admission *admission = memory_zalloc(sizeof(*admission));
    char *path = identity_keys_path(folder);
    struct error why = {0};
    int result = identity_load(folder, &admission->self, &why);

    if (result == 0) {
        result = keys_open(path, &admission->keys, &why);
    }
    free(path);
    if (result == 0) {
        *out_admission = admission;
        return 0;
    }
    key_wipe(admission, sizeof(*admission));
    free(admission);
    if (why.code == ERROR_NOT_FOUND) {
        *out_admission = NULL;
        return 0;
    }
    return error_copy(err, &why);
}

void admission_seal(struct admission *admission, struct session_server_options *out)
{
    *out = (struct session_server_options){.key = admission->self.key,
                                           .authorize = authorize,
                                           .find_token = find_token,
                                           .data = admission};
    memcpy(out->cluster, admission->self.join.cluster, KEY_CLUSTER_SIZE);
}

struct keys *admission_keys(struct admission *admission)
{
    return admission->keys;
}

void admission_reload(struct admission *admission)
{
    struct error err = {0};
    bool changed = false;

    if (keys_reload(admission->keys, &changed, &err) != 0) {
        log_error("%s; the keys before it go on to hold", err.message);
    } else if (changed) {
        log_info("authorized_keys has changed: %zu keys and tokens",
                 keys_count(admission->keys));
    }
}
