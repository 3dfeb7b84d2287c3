/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - who the master is to those that call it */
#include "master/identity.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fs.h"
#include "common/id.h"

#define KEY_FILE        "master.key"
#define NEXT_FILE       "next.key"
#define JOIN_FILE       "join"
#define JOIN_MODE       0644 /* it may be shown */
#define KEYS_FILE       "authorized_keys"
#define ADDRESS_DEFAULT "tcp://127.0.0.1:8790"

static int make_join(const char *path,
                     const char *address,
                     struct identity *self,
                     struct error *err)
{
    struct error missing;

    if (key_join_load(path, &self->join, &missing) != 0) {
        if (missing.code != ERROR_NOT_FOUND) {
            return error_copy(err, &missing);
        }
        id_random_bytes(self->join.cluster, KEY_CLUSTER_SIZE);
        address = address ? address : ADDRESS_DEFAULT;
    }
    if (address && strlen(address) >= KEY_ADDRESS_SIZE) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--address: it has %zu bytes, expected at most %d",
                         strlen(address),
                         KEY_ADDRESS_SIZE - 1);
    }
    if (address) {
        (void)snprintf(self->join.address, sizeof(self->join.address), "%s", address);
    }
    memcpy(self->join.public_key, self->key.public_key, KEY_SIZE);
    return key_join_save(path, &self->join, JOIN_MODE, err);
}

int identity_make(const char *folder,
                  const char *address,
                  struct identity *out,
                  struct error *err)
{
    struct identity self = {.join = {.address = ""}};
    char *key = fs_join(folder, KEY_FILE);
    char *join = fs_join(folder, JOIN_FILE);
    int result = -1;

    if (fs_make_folder(folder, 0700, err) == 0 &&
        key_file_ensure(key, &self.key, err) == 0 &&
        make_join(join, address, &self, err) == 0) {
        *out = self;
        result = 0;
    }
    key_wipe(&self, sizeof(self));
    free(key);
    free(join);
    return result;
}

static int check_join(const char *folder, struct identity *self, struct error *err)
{
    char *path = fs_join(folder, JOIN_FILE);
    struct error why = {0};
    int result = key_join_load(path, &self->join, &why);

    if (result != 0 ||
        !key_equal(self->join.public_key, self->key.public_key, KEY_SIZE)) {
        result = error_set(err,
                           ERROR_FAILED_PRECONDITION,
                           "%s: %s; `cortex-master init --state-dir %s` mends it",
                           path,
                           result != 0 ? why.message : "it is of another master's key",
                           folder);
    }
    free(path);
    return result;
}

int identity_load_keys(const char *folder, struct identity *out, struct error *err)
{
    char *key = fs_join(folder, KEY_FILE);
    char *next = fs_join(folder, NEXT_FILE);
    struct error missing;
    int result = key_file_load(key, &out->key, err);

    if (result == 0) {
        out->has_next = key_file_load(next, &out->next, &missing) == 0;
        if (!out->has_next && missing.code != ERROR_NOT_FOUND) {
            result = error_copy(err, &missing);
        }
    }
    free(key);
    free(next);
    return result;
}

int identity_load(const char *folder, struct identity *out, struct error *err)
{
    struct identity self = {.join = {.address = ""}};
    int result = identity_load_keys(folder, &self, err);

    if (result == 0) {
        result = check_join(folder, &self, err);
    }
    if (result == 0) {
        *out = self;
    }
    key_wipe(&self, sizeof(self));
    return result;
}

int identity_rotate(const char *folder, struct identity *out, struct error *err)
{
    char *next = fs_join(folder, NEXT_FILE);
    int result = identity_load(folder, out, err);

    if (result == 0 && !out->has_next) {
        result = key_file_create(next, &out->next, err);
        out->has_next = result == 0;
    }
    free(next);
    return result;
}

int identity_finish(const char *folder, struct identity *out, struct error *err)
{
    char *key = fs_join(folder, KEY_FILE);
    char *next = fs_join(folder, NEXT_FILE);
    int result = identity_load(folder, out, err);

    if (result == 0 && !out->has_next) {
        result = error_set(err,
                           ERROR_FAILED_PRECONDITION,
                           "there is no next key: `cortex-master keys rotate` makes "
                           "and announces one");
    }
    if (result == 0) {
        result = key_file_replace(key, next, err);
    }
    if (result == 0) {
        result = identity_make(folder, NULL, out, err);
    }
    free(key);
    free(next);
    return result;
}

char *identity_keys_path(const char *folder)
{
    return fs_join(folder, KEYS_FILE);
}
