/* SPDX-License-Identifier: Apache-2.0 */
/* own_key.c - how an agent's key is changed, and who the agent stays */
#include "agent/own_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/seal.h"

#define ID_FILE_MAX 64

int own_key_name(const char *key_file,
                 const struct key_pair *key,
                 unsigned char out[KEY_NAME_SIZE],
                 struct error *err)
{
    char *path = memory_format("%s.id", key_file);
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    int result = fs_read(path, ID_FILE_MAX, &text, &error);

    if (result == 0 && !key_name_parse(buffer_text(&text), out)) {
        result = error_set(
            err, ERROR_FAILED_PRECONDITION, "%s: expected 32 hex digits", path);
    } else if (result != 0 && error.code == ERROR_NOT_FOUND) {
        memcpy(out, key->public_key, KEY_NAME_SIZE);
        result = 0;
    } else if (result != 0) {
        result = error_copy(err, &error);
    }
    buffer_fini(&text);
    free(path);
    return result;
}

static int
keep_name(const char *key_file, const struct key_pair *key, struct error *err)
{
    char *path = memory_format("%s.id", key_file);
    unsigned char name[KEY_NAME_SIZE];
    char text[KEY_NAME_TEXT_SIZE];
    int result = own_key_name(key_file, key, name, err);

    if (result == 0) {
        key_name_format(name, text);
        result = fs_write_durable(path, text, strlen(text), 0600, err);
    }
    free(path);
    return result;
}

// The master knows the next key before it takes the place of the one that holds.
static int
rotate(const struct daemon_options *options, const struct seal *seal, struct error *err)
{
    char *next_file = memory_format("%s.next", seal->key_file);
    struct session_client_options sealed;
    struct key_pair next;
    int result = key_file_ensure(next_file, &next, err);

    if (result == 0) {
        seal_options(seal, KEY_ROLE_AGENT, NULL, &sealed);
        result = session_rotate(options->master_url ? options->master_url
                                                    : seal->join.address,
                                &sealed,
                                next.public_key,
                                err);
        key_wipe(&sealed, sizeof(sealed));
    }
    if (result == 0 && keep_name(seal->key_file, &seal->key, err) == 0) {
        result = key_file_replace(seal->key_file, next_file, err);
    } else {
        result = -1;
    }
    key_wipe(&next, sizeof(next));
    free(next_file);
    return result;
}

int own_key_rotate(const struct daemon_options *options, struct error *err)
{
    char *folder = fs_absolute(options->state_dir);
    const struct seal_request request = {
        .folder = folder, .join = options->join, .key_file = options->key_file};
    struct seal seal;
    int result = seal_open(&request, &seal, err);

    if (result == 0 && (!seal.sealed || seal.join.has_token)) {
        result = error_set(err,
                           ERROR_FAILED_PRECONDITION,
                           "the agent of %s has not joined a master that has keys",
                           folder);
    } else if (result == 0) {
        result = rotate(options, &seal, err);
    }
    if (result == 0) {
        (void)printf(
            "%s is a new key, and the master knows it. The agent uses it within "
            "an hour; the old one is refused a day from now.\n",
            seal.key_file);
    }
    free(folder);
    return result;
}
