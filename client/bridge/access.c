/* SPDX-License-Identifier: Apache-2.0 */
/* access.c - whether tokens are asked for, and whose token a request bears */
#include "client/bridge/access.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/bridge/file_stamp.h"
#include "common/fs.h"

#define SCHEME       "Bearer"
#define OTHERS_MODES 077 /* what is for the file's owner alone */

struct access {
    char *path; // NULL: none
    bool demanded;
    struct file_stamp stamp;
    struct token_list tokens;
};

// Reads a file that is there.
static int read_tokens(struct access *access, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct token_list tokens;
    int result = -1;

    if (access->stamp.mode & OTHERS_MODES) {
        return error_set(err,
                         ERROR_PERMISSION_DENIED,
                         "%s has mode %03o, expected 600: it is for its owner alone",
                         access->path,
                         (unsigned)access->stamp.mode & 0777);
    }
    if (fs_read(access->path, TOKENS_SIZE_MAX, &text, err) != 0) {
        goto out;
    }
    if (token_list_parse(buffer_text(&text), text.size, &tokens, err) != 0) {
        error_wrap(err, "%s", access->path);
        goto out;
    }
    token_list_fini(&access->tokens);
    access->tokens = tokens;
    result = 0;
out:
    buffer_fini(&text);
    return result;
}

int access_reread(struct access *access, bool *out_changed, struct error *err)
{
    if (!access->path || !file_stamp_changed(access->path, &access->stamp)) {
        *out_changed = false;
        return 0;
    }
    if (access->stamp.inode == 0) {
        token_list_fini(&access->tokens);
    } else {
        access->demanded = true; // whatever is in it
        if (read_tokens(access, err) != 0) {
            return -1;
        }
    }
    *out_changed = true;
    return 0;
}

int access_open(const char *path,
                bool demanded,
                struct access **out_access,
                struct error *err)
{
    struct access *access = memory_zalloc(sizeof(*access));
    bool changed;

    access->path = memory_strdup(path);
    access->demanded = demanded;
    int result = access_reread(access, &changed, err);
    if (result == 0 && demanded && access->stamp.inode == 0) {
        result = error_set(err,
                           ERROR_NOT_FOUND,
                           "--tokens: there is no file %s: make a token with "
                           "\"cortex-bridge tokens add --tokens %s\"",
                           path,
                           path);
    }
    if (result != 0) {
        access_close(access);
        return -1;
    }
    *out_access = access;
    return 0;
}

void access_close(struct access *access)
{
    token_list_fini(&access->tokens);
    free(access->path);
    free(access);
}

bool access_demanded(const struct access *access)
{
    return access->demanded;
}

size_t access_count(const struct access *access)
{
    return access->tokens.count;
}

bool access_admit(const struct access *access,
                  const char *authorization,
                  int64_t wall_ms,
                  struct token *out_token)
{
    size_t scheme = strlen(SCHEME);
    unsigned char hash[TOKEN_HASH_SIZE];

    if (!access->demanded) {
        *out_token = (struct token){.role = TOKEN_ADMIN};
        return true;
    }
    if (!authorization || strncasecmp(authorization, SCHEME, scheme) != 0 ||
        authorization[scheme] != ' ') {
        return false;
    }
    const char *text = authorization + scheme;
    token_hash(text + strspn(text, " "), hash);
    const struct token *token = token_list_find(&access->tokens, hash, wall_ms);
    if (token) {
        token_copy(token, out_token);
    }
    return token != NULL;
}

bool access_holds(const struct access *access,
                  const struct token *token,
                  int64_t wall_ms)
{
    return !access->demanded ||
           token_list_find(&access->tokens, token->hash, wall_ms) != NULL;
}
