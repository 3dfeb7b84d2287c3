/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.h - what an HTTP token is, and what each may do
 *
 * A token is "cortex_" and 64 hex digits: 256 random bits, shown once and stored
 * nowhere. A tokens file holds their BLAKE2b hashes, one a line:
 *
 *   # who submits
 *   role=submit api=image-*,audio expires=2027-01-31 blake2b:<64 hex digits> a comment
 *
 * role=     admin (everything), submit (POST, DELETE and GET) or read (GET); needed
 * api=      patterns of api names (`*`, `?`), separated by commas; without it: all
 * expires=  a day, whose end in UTC is meant, or a time such as 2027-01-31T12:00:00Z
 *
 * The options stand in front of the hash in any order, a comment behind it. Pure but
 * for token_generate. Thread-safe.
 */
#ifndef CORTEX_CLIENT_BRIDGE_TOKENS_H
#define CORTEX_CLIENT_BRIDGE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

#define TOKEN_HASH_SIZE      32
#define TOKEN_HASH_TEXT_SIZE (2 * TOKEN_HASH_SIZE + 1)     /* hex and NUL */
#define TOKEN_TEXT_SIZE      (7 + 2 * TOKEN_HASH_SIZE + 1) /* "cortex_", hex and NUL */
#define TOKEN_PATTERNS_MAX   64                            /* of one token's api= */
#define TOKEN_PATTERN_SIZE   128                           /* bytes of one of them */
#define TOKEN_APIS_SIZE      2048 /* bytes of all of them, as the envelope takes them */
#define TOKENS_MAX           1024 /* in a file */
#define TOKENS_SIZE_MAX      (1u << 20) /* bytes of a file */

enum token_role { TOKEN_NOBODY, TOKEN_READ, TOKEN_SUBMIT, TOKEN_ADMIN };

struct token {
    unsigned char hash[TOKEN_HASH_SIZE];
    enum token_role role;
    char *apis;         /* patterns separated by commas; NULL: all */
    int64_t expires_ms; /* since 1970; 0: never */
    char *comment;      /* "" if there is none */
    size_t line;        /* of the file, from 1 */
};

struct token_list {
    struct token *tokens;
    size_t count;
};

/* Makes a new token. Call id_init first. */
void token_generate(char out[TOKEN_TEXT_SIZE]);
void token_hash(const char *text, unsigned char out[TOKEN_HASH_SIZE]);
void token_hash_format(const unsigned char hash[TOKEN_HASH_SIZE],
                       char out[TOKEN_HASH_TEXT_SIZE]);
const char *token_role_name(enum token_role role); /* "submit"; "nobody" */
void token_fini(struct token *token);
void token_copy(const struct token *from, struct token *out);

/* Reads a file's text. INVALID_ARGUMENT names the line, unless there is no error; then
 * token_list_fini frees *out. */
int token_list_parse(const char *text,
                     size_t size,
                     struct token_list *out,
                     struct error *err);
void token_list_fini(struct token_list *list);

/* The token with this hash that has not expired, NULL if there is none. In a time that
 * does not tell how much of any hash fits. Borrowed. */
const struct token *token_list_find(const struct token_list *list,
                                    const unsigned char hash[TOKEN_HASH_SIZE],
                                    int64_t wall_ms);

/* Whether its role allows the method, and its scope the api (NULL: one that is not
 * there, which only a token for all apis may know). */
bool token_may_call(const struct token *token, const char *method);
bool token_may_use_api(const struct token *token, const char *api_name);

#endif
