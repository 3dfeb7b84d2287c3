/* SPDX-License-Identifier: Apache-2.0 */
/* seal.c - how a program comes by what its sealed calls to a master need */
#include "common/seal.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/fs.h"

#define JOIN_FILE "join"
#define NEXT_FILE "join.next"
#define KEY_FILE  "key"
#define JOIN_MODE 0600

/* Where what is learned of the master is kept. */
struct seal_keeper {
    char *join; // paths
    char *next;
    struct key_join known;
    void (*tell)(const char *news);
};

static void keeper_free(struct seal_keeper *keeper)
{
    if (keeper) {
        free(keeper->join);
        free(keeper->next);
        free(keeper);
    }
}

static int keep_next(const struct seal_keeper *keeper,
                     const unsigned char next[KEY_SIZE],
                     struct error *err)
{
    struct key_join join = keeper->known;

    memcpy(join.public_key, next, KEY_SIZE);
    return key_join_save(keeper->next, &join, JOIN_MODE, err);
}

static int
keep_keys(struct seal_keeper *keeper, const unsigned char *next, struct error *err)
{
    return key_join_save(keeper->join, &keeper->known, JOIN_MODE, err) != 0 ||
                   (next ? keep_next(keeper, next, err)
                         : fs_remove(keeper->next, err)) != 0
               ? -1
               : 0;
}

/* Called back by trust. */
static void
keep(void *arg, const unsigned char proven[KEY_SIZE], const unsigned char *next)
{
    struct seal_keeper *keeper = arg;
    const char *news = next ? "the master is going to change its key; the next one is "
                              "known here"
                            : "the next key that the master had announced is withdrawn";
    struct error err = {0};

    if (memcmp(keeper->known.public_key, proven, KEY_SIZE) != 0) {
        news = "the master has changed its key";
    }
    memcpy(keeper->known.public_key, proven, KEY_SIZE);
    if (keep_keys(keeper, next, &err) != 0) {
        (void)error_wrap(&err, "the master's key is not kept");
        news = err.message;
    }
    if (keeper->tell) {
        keeper->tell(news);
    }
}

/* A file's join string, if there is one: found is false otherwise. */
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

static bool same_cluster(const struct key_join *a, const struct key_join *b)
{
    return memcmp(a->cluster, b->cluster, KEY_CLUSTER_SIZE) == 0;
}

/* Trusts what the folder says of the cluster. */
static int
trust_folder(struct seal *seal, const struct key_join *known, struct error *err)
{
    struct key_join next;
    bool found = false;

    trust_add(seal->trust, known->public_key);
    if (find_known(seal->keeper->next, &next, &found, err) != 0) {
        return -1;
    }
    if (found && same_cluster(&next, known)) {
        trust_add(seal->trust, next.public_key);
    }
    return 0;
}

/* A join string was given: of the folder's cluster, or of one that it did not know. */
static int take_join(struct seal *seal,
                     const struct key_join *given,
                     const struct key_join *known,
                     struct error *err)
{
    bool joined = known && same_cluster(known, given);

    seal->join = *given;
    if (joined) {
        memcpy(seal->join.public_key, known->public_key, KEY_SIZE);
        if (trust_folder(seal, known, err) != 0) {
            return -1;
        }
    } else if (fs_remove(seal->keeper->next, err) != 0) {
        return -1;
    }
    trust_add(seal->trust, given->public_key);
    if (given->has_token && !joined) {
        return 0; // to be written once it has
    }
    seal->join.has_token = false;
    return key_join_save(seal->keeper->join, &seal->join, JOIN_MODE, err);
}

static int
find_in_folder(const struct key_join *given, struct seal *seal, struct error *err)
{
    struct key_join known;
    bool found = false;

    if (find_known(seal->keeper->join, &known, &found, err) != 0) {
        return -1;
    }
    if (given) {
        return take_join(seal, given, found ? &known : NULL, err);
    }
    seal->sealed = found;
    if (found) {
        seal->join = known;
    }
    return found ? trust_folder(seal, &known, err) : 0;
}

static int
find_join(const struct seal_request *request, struct seal *seal, struct error *err)
{
    struct key_join given;
    int result = 0;

    if (request->join && key_join_parse(request->join, &given, err) != 0) {
        return -1;
    }
    seal->sealed = request->join != NULL;
    if (seal->keeper) {
        result = find_in_folder(request->join ? &given : NULL, seal, err);
        seal->keeper->known = seal->join;
    } else if (request->join) {
        seal->join = given;
        trust_add(seal->trust, given.public_key);
    }
    return result;
}

static int
find_key(const struct seal_request *request, struct seal *seal, struct error *err)
{
    if (!seal->sealed) {
        return request->key_file
                   ? error_set(err,
                               ERROR_INVALID_ARGUMENT,
                               "a key file is of use with a join string only, which "
                               "says whose master is to be trusted")
                   : 0;
    }
    return seal->key_file
               ? key_file_ensure(seal->key_file, &seal->key, err)
               : error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "a join string needs a folder or a file to keep a key in");
}

static char *key_path(const struct seal_request *request)
{
    if (request->key_file) {
        return memory_strdup(request->key_file);
    }
    return request->folder ? fs_join(request->folder, KEY_FILE) : NULL;
}

static void open_trust(const struct seal_request *request, struct seal *seal)
{
    const char *folder = request->folder;

    if (folder) {
        seal->keeper = memory_zalloc(sizeof(*seal->keeper));
        seal->keeper->join = fs_join(folder, JOIN_FILE);
        seal->keeper->next = fs_join(folder, NEXT_FILE);
        seal->keeper->tell = request->tell;
    }
    seal->trust = trust_create(folder ? keep : NULL, seal->keeper);
}

int seal_open(const struct seal_request *request, struct seal *out, struct error *err)
{
    struct seal seal = {.key_file = key_path(request)};
    int result = request->folder && request->join
                     ? fs_make_folder(request->folder, 0700, err)
                     : 0;

    open_trust(request, &seal);
    if (result == 0 && find_join(request, &seal, err) == 0 &&
        find_key(request, &seal, err) == 0) {
        *out = seal;
        key_wipe(&seal, sizeof(seal));
    } else {
        seal_close(&seal);
        result = -1;
    }
    return result;
}

void seal_close(struct seal *seal)
{
    free(seal->key_file);
    trust_destroy(seal->trust);
    keeper_free(seal->keeper);
    key_wipe(seal, sizeof(*seal));
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

/* A file that cannot be read leaves the key as it is. */
static void take_own_key(void *arg, struct key_pair *key)
{
    struct key_pair now;

    if (key_file_load(arg, &now, NULL) == 0) {
        *key = now;
    }
    key_wipe(&now, sizeof(now));
}

void seal_options(const struct seal *seal,
                  enum key_role role,
                  const char *name,
                  struct session_client_options *out)
{
    *out = (struct session_client_options){.key = seal->key,
                                           .own_key = take_own_key,
                                           .own_key_arg = seal->key_file,
                                           .trust = seal->trust,
                                           .role = role,
                                           .name = name};
    memcpy(out->server, seal->join.public_key, KEY_SIZE);
    memcpy(out->cluster, seal->join.cluster, KEY_CLUSTER_SIZE);
}
