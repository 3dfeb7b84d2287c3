/* SPDX-License-Identifier: Apache-2.0 */
/* admission.c - whose sessions the master accepts, and for how long */
#include "master/admission.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "master/identity.h"
#include "master/keys_file.h"

#define NAME_SIZE 65    /* of an agent, with NUL */
#define ROTATED_S 86400 /* that a key has left once its next one is known */

struct admission {
    struct identity self;
    char *folder;
    char *path;           // of authorized_keys
    pthread_mutex_t lock; // of who changes or reloads it
    struct keys *keys;
};

static int check_claim(struct admission *admission,
                       const struct session_claim *claim,
                       enum key_role *out_role,
                       struct error *err)
{
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

/* Who is not known may have been listed a moment ago: `keys add`, and he is here. */
static int authorize(void *data,
                     const struct session_claim *claim,
                     enum key_role *out_role,
                     struct error *err)
{
    struct admission *admission = data;

    if (check_claim(admission, claim, out_role, err) == 0) {
        return 0;
    }
    admission_reload(admission);
    return check_claim(admission, claim, out_role, err);
}

static bool find_token(void *data,
                       const char *token,
                       int64_t wall_ms,
                       unsigned char out_psk[KEY_SIZE])
{
    struct admission *admission = data;

    if (keys_find_token(admission->keys, token, wall_ms, out_psk)) {
        return true;
    }
    admission_reload(admission);
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
    if (result == 0) {
        pthread_mutex_init(&admission->lock, NULL);
        admission->path = path;
        admission->folder = memory_strdup(folder);
        *out_admission = admission;
        return 0;
    }
    free(path);
    key_wipe(admission, sizeof(*admission));
    free(admission);
    if (why.code == ERROR_NOT_FOUND) {
        *out_admission = NULL;
        return 0;
    }
    return error_copy(err, &why);
}

void admission_close(struct admission *admission)
{
    if (admission) {
        keys_close(admission->keys);
        pthread_mutex_destroy(&admission->lock);
        free(admission->path);
        free(admission->folder);
        key_wipe(admission, sizeof(*admission));
        free(admission);
    }
}

void admission_seal(struct admission *admission, struct session_server_options *out)
{
    *out = (struct session_server_options){.key = admission->self.key,
                                           .has_next = admission->self.has_next,
                                           .next = admission->self.next,
                                           .authorize = authorize,
                                           .find_token = find_token,
                                           .data = admission};
    memcpy(out->cluster, admission->self.join.cluster, KEY_CLUSTER_SIZE);
}

// What is half written, or gone for a moment, is read a second later.
bool admission_rekeyed(struct admission *admission, struct identity *out)
{
    struct identity *self = &admission->self;
    struct identity now = *self;
    bool changed =
        identity_load_keys(admission->folder, &now, NULL) == 0 &&
        (now.has_next != self->has_next ||
         !key_equal(&now.key, &self->key, sizeof(now.key)) ||
         (now.has_next && !key_equal(&now.next, &self->next, sizeof(now.next))));

    if (changed) {
        log_info(now.has_next ? "the next key of this master is announced"
                              : "this master has another key now");
        *self = now;
        *out = now;
    }
    key_wipe(&now, sizeof(now));
    return changed;
}

struct keys *admission_keys(struct admission *admission)
{
    return admission->keys;
}

/* What an agent calls itself, as a comment of one line. */
static void comment_of(const char *name, char out[NAME_SIZE])
{
    size_t size = 0;

    for (; size < NAME_SIZE - 1 && name[size]; size++) {
        out[size] = name[size] >= ' ' && name[size] <= '~' ? name[size] : '?';
    }
    out[size] = '\0';
}

static int list_agent(struct admission *admission,
                      const unsigned char key[KEY_SIZE],
                      const char *token_id,
                      const char *name,
                      struct error *err)
{
    char text[KEY_TEXT_SIZE];
    char comment[NAME_SIZE];
    bool changed;
    struct error error;
    const struct keys_line line = {
        .role = "agent", .token = token_id, .what = text, .comment = comment};

    key_public_format(key, text);
    comment_of(name, comment);
    if (keys_file_add(admission->path, &line, &error) != 0) {
        // One that is there may be revoked: that is for its next session to hear.
        return error.code == ERROR_ALREADY_EXISTS ? 0 : error_copy(err, &error);
    }
    log_info("%s has joined as %s with the token %s", comment, text, token_id);
    return keys_reload(admission->keys, &changed, err);
}

int admission_join(struct admission *admission,
                   const unsigned char key[KEY_SIZE],
                   const char *token_id,
                   const char *name,
                   struct error *err)
{
    pthread_mutex_lock(&admission->lock);
    int result =
        keys_check_token(admission->keys, token_id, key, NULL, clock_wall_ms(), err);
    if (result == 0) {
        result = list_agent(admission, key, token_id, name, err);
    }
    pthread_mutex_unlock(&admission->lock);
    return result;
}

int admission_rotate(struct admission *admission,
                     const unsigned char key[KEY_SIZE],
                     const unsigned char next_key[KEY_SIZE],
                     struct error *err)
{
    char old[KEY_TEXT_SIZE];
    char next[KEY_TEXT_SIZE];
    char expires[32];
    time_t end = (time_t)(clock_wall_ms() / 1000) + ROTATED_S;
    struct tm utc;
    bool changed;

    key_public_format(key, old);
    key_public_format(next_key, next);
    (void)gmtime_r(&end, &utc);
    (void)strftime(expires, sizeof(expires), "%Y-%m-%dT%H:%M:%SZ", &utc);
    pthread_mutex_lock(&admission->lock);
    int result = keys_file_rotate(admission->path, old, next, expires, err);
    if (result == 0) {
        result = keys_reload(admission->keys, &changed, err);
    }
    pthread_mutex_unlock(&admission->lock);
    if (result == 0) {
        log_info("%s has the next key %s and expires on %s", old, next, expires);
    }
    return result;
}

void admission_reload(struct admission *admission)
{
    struct error err = {0};
    bool changed = false;

    pthread_mutex_lock(&admission->lock);
    int result = keys_reload(admission->keys, &changed, &err);
    pthread_mutex_unlock(&admission->lock);
    if (result != 0) {
        log_error("%s; the keys before it go on to hold", err.message);
    } else if (changed) {
        log_info("authorized_keys has changed: %zu keys and tokens",
                 keys_count(admission->keys));
    }
}
