/* SPDX-License-Identifier: Apache-2.0 */
/* seal.c - how a program comes by what its sealed calls to a master need */
#include "common/seal.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/fs.h"

#define JOIN_FILE "join"
#define KEY_FILE  "key"

/* The folder's join string, if it has one: found is false otherwise. */
static int
read_join(const char *path, struct key_join *out, bool *out_found, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct error error;
    int result = 0;

    if (fs_read(path, KEY_JOIN_SIZE, &text, &error) != 0) {
        result = error.code == ERROR_NOT_FOUND ? 0 : error_copy(err, &error);
        *out_found = false;
    } else {
        char *line = memory_strdup(buffer_text(&text));
        line[strcspn(line, "\n")] = '\0';
        result = key_join_parse(line, out, err);
        *out_found = true;
        if (result != 0) {
            (void)error_wrap(err, "%s", path);
        }
        free(line);
    }
    buffer_fini(&text);
    return result;
}

/* Nothing is written if it stands there already: the disk may be full. */
static int write_join(const char *path, const struct key_join *join, struct error *err)
{
    char text[KEY_JOIN_SIZE + 1];
    struct buffer there = BUFFER_INIT;

    if (key_join_format(join, text, err) != 0) {
        return -1;
    }
    size_t size = strlen(text);
    text[size++] = '\n';
    bool same = fs_read(path, KEY_JOIN_SIZE, &there, NULL) == 0 && there.size == size &&
                memcmp(there.data, text, size) == 0;
    buffer_fini(&there);
    return same ? 0 : fs_write_durable(path, text, size, 0600, err);
}

/* Whether the folder's join string is of the same master: then it was joined before. */
static int has_joined(const char *path,
                      const struct key_join *join,
                      bool *out_joined,
                      struct error *err)
{
    struct key_join known;
    bool found;

    if (read_join(path, &known, &found, err) != 0) {
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
    return write_join(path, join, err);
}

static int find_join(const struct seal_request *request,
                     const char *path,
                     struct seal *seal,
                     struct error *err)
{
    if (!request->join) {
        return path ? read_join(path, &seal->join, &seal->sealed, err) : 0;
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
    int result = write_join(path, &seal->join, err);
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
