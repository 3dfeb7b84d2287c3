/* SPDX-License-Identifier: Apache-2.0 */
/* seal.c - how a program comes by what its sealed calls to a master need */
#include "common/seal.h"

#include <stdlib.h>
#include <string.h>

#include "common/fs.h"

#define JOIN_FILE "join"
#define KEY_FILE  "key"
#define JOIN_MODE 0600

/* The folder's join string, if it has one: found is false otherwise. */
static int
find_known(const char *path, struct key_join *out, bool *out_found, struct error *err)
{
    struct error error;
    int result = key_join_load(path, out, &error);

    if (result != 0 && error.code != ERROR_NOT_FOUND) {
        return error_copy(err, &error);
    }
    *out_found = result == 0;
    return 0;
}

/* Whether the folder's join string is of the same master: then it was joined before. */
static int has_joined(const char *path,
                      const struct key_join *join,
                      bool *out_joined,
                      struct error *err)
{
    struct key_join known;
    bool found = false;

    if (find_known(path, &known, &found, err) != 0) {
        return -1;
    }
    *out_joined = found &&
                  memcmp(known.cluster, join->cluster, KEY_CLUSTER_SIZE) == 0 &&
                  memcmp(known.public_key, join->public_key, KEY_SIZE) == 0;
    return 0;
}

static int take_join(const char *path, struct key_join *join, struct error *err)
{
    bool joined = true;

    if (join->has_token && has_joined(path, join, &joined, err) != 0) {
        return -1;
    }
    if (!joined) {
        return 0; // to be written once it has
    }
    join->has_token = false;
    return key_join_save(path, join, JOIN_MODE, err);
}

static int find_join(const struct seal_request *request,
                     const char *path,
                     struct seal *seal,
                     struct error *err)
{
    if (!request->join) {
        return path ? find_known(path, &seal->join, &seal->sealed, err) : 0;
    }
    seal->sealed = true;
    if (key_join_parse(request->join, &seal->join, err) != 0) {
        return -1;
    }
    return path ? take_join(path, &seal->join, err) : 0;
}

static int find_key(const struct seal_request *request,
                    const char *path,
                    struct seal *seal,
                    struct error *err)
{
    const char *from = request->key_file ? request->key_file : path;

    if (!seal->sealed) {
        return request->key_file
                   ? error_set(err,
                               ERROR_INVALID_ARGUMENT,
                               "a key file is of use with a join string only, which "
                               "says whose master is to be trusted")
                   : 0;
    }
    return from ? key_file_ensure(from, &seal->key, err)
                : error_set(err,
                            ERROR_INVALID_ARGUMENT,
                            "a join string needs a folder or a file to keep a key in");
}

int seal_open(const struct seal_request *request, struct seal *out, struct error *err)
{
    struct seal seal = {.sealed = false};
    char *join = request->folder ? fs_join(request->folder, JOIN_FILE) : NULL;
    char *key = request->folder ? fs_join(request->folder, KEY_FILE) : NULL;
    int result = request->folder && request->join
                     ? fs_make_folder(request->folder, 0700, err)
                     : 0;

    if (result == 0 && find_join(request, join, &seal, err) == 0 &&
        find_key(request, key, &seal, err) == 0) {
        *out = seal;
    } else {
        result = -1;
    }
    key_wipe(&seal, sizeof(seal));
    free(join);
    free(key);
    return result;
}

int seal_remember(const char *folder, struct seal *seal, struct error *err)
{
    char *path = fs_join(folder, JOIN_FILE);

    seal->join.has_token = false;
    key_wipe(seal->join.token, sizeof(seal->join.token));
    int result = key_join_save(path, &seal->join, JOIN_MODE, err);
    free(path);
    return result;
}

void seal_options(const struct seal *seal,
                  enum key_role role,
                  const char *name,
                  struct session_client_options *out)
{
    *out =
        (struct session_client_options){.key = seal->key, .role = role, .name = name};
    memcpy(out->server, seal->join.public_key, KEY_SIZE);
    memcpy(out->cluster, seal->join.cluster, KEY_CLUSTER_SIZE);
}
