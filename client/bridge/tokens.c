/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.c - what an HTTP token is, and what each may do */
#include "client/bridge/tokens.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/clock.h"
#include "common/id.h"
#include "common/utf8.h"

#define TOKEN_PREFIX "cortex_"
#define HASH_PREFIX  "blake2b:"
#define BLANKS       " \t"

static const char *const role_names[] = {
    [TOKEN_NOBODY] = "nobody",
    [TOKEN_READ] = "read",
    [TOKEN_SUBMIT] = "submit",
    [TOKEN_ADMIN] = "admin",
};

/* --- one token --- */

const char *token_role_name(enum token_role role)
{
    return role_names[role];
}

void token_generate(char out[TOKEN_TEXT_SIZE])
{
    unsigned char bits[TOKEN_HASH_SIZE];
    size_t prefix = strlen(TOKEN_PREFIX);

    id_random_bytes(bits, sizeof(bits));
    (void)snprintf(out, TOKEN_TEXT_SIZE, "%s", TOKEN_PREFIX);
    (void)sodium_bin2hex(out + prefix, TOKEN_TEXT_SIZE - prefix, bits, sizeof(bits));
    sodium_memzero(bits, sizeof(bits));
}

void token_hash(const char *text, unsigned char out[TOKEN_HASH_SIZE])
{
    (void)crypto_generichash(
        out, TOKEN_HASH_SIZE, (const unsigned char *)text, strlen(text), NULL, 0);
}

void token_hash_format(const unsigned char hash[TOKEN_HASH_SIZE],
                       char out[TOKEN_HASH_TEXT_SIZE])
{
    (void)sodium_bin2hex(out, TOKEN_HASH_TEXT_SIZE, hash, TOKEN_HASH_SIZE);
}

void token_fini(struct token *token)
{
    free(token->apis);
    free(token->comment);
    token->apis = NULL;
    token->comment = NULL;
}

void token_copy(const struct token *from, struct token *out)
{
    *out = *from;
    out->apis = memory_strdup(from->apis);
    out->comment = memory_strdup(from->comment);
}

bool token_may_call(const struct token *token, const char *method)
{
    switch (token->role) {
    case TOKEN_ADMIN:
    case TOKEN_SUBMIT:
        return true;
    case TOKEN_READ:
        return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    case TOKEN_NOBODY:
        break;
    }
    return false;
}

bool token_may_use_api(const struct token *token, const char *api_name)
{
    char pattern[TOKEN_PATTERN_SIZE];

    if (token->role == TOKEN_NOBODY) {
        return false;
    }
    if (!token->apis) {
        return true;
    }
    for (const char *at = token->apis; api_name && *at; at += *at == ',') {
        size_t size = strcspn(at, ",");
        (void)snprintf(pattern, sizeof(pattern), "%.*s", (int)size, at);
        if (fnmatch(pattern, api_name, 0) == 0) {
            return true;
        }
        at += size;
    }
    return false;
}

/* --- a line --- */

static int refuse_value(const char *option,
                        const char *value,
                        const char *expected,
                        struct error *err)
{
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "%s: got \"%.100s\", expected %s",
                     option,
                     value,
                     expected);
}

static int read_role(struct token *token, const char *value, struct error *err)
{
    for (enum token_role role = TOKEN_READ; role <= TOKEN_ADMIN; role++) {
        if (strcmp(value, role_names[role]) == 0) {
            token->role = role;
            return 0;
        }
    }
    return refuse_value("role", value, "admin, submit or read", err);
}

static int read_apis(struct token *token, const char *value, struct error *err)
{
    size_t count = 0;
    bool fine = true;

    for (const char *at = value;; at++) {
        size_t size = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-*?");
        fine = fine && size > 0 && size < TOKEN_PATTERN_SIZE;
        count++;
        at += size;
        if (*at != ',') {
            fine = fine && *at == '\0';
            break;
        }
    }
    if (!fine || count > TOKEN_PATTERNS_MAX || strlen(value) >= TOKEN_APIS_SIZE) {
        return refuse_value("api",
                            value,
                            "at most 64 patterns of lower-case letters, digits, -, * "
                            "and ?, separated by commas",
                            err);
    }
    token->apis = memory_strdup(value);
    return 0;
}

static int read_expiry(struct token *token, const char *value, struct error *err)
{
    // A time before 1970 is a slip, and 0 would be for ever.
    return clock_parse_end(value, &token->expires_ms) && token->expires_ms > 0
               ? 0
               : refuse_value("expires",
                              value,
                              "a day such as 2027-01-31, or 2027-01-31T12:00:00Z",
                              err);
}

static const struct {
    const char *name;
    int (*read)(struct token *token, const char *value, struct error *err);
} options[] = {{"role", read_role}, {"api", read_apis}, {"expires", read_expiry}};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

// A word in front of the hash. *inout_seen has a bit for each option there was.
static int
read_option(struct token *token, char *word, unsigned *inout_seen, struct error *err)
{
    char *equals = strchr(word, '=');

    if (equals) {
        *equals = '\0';
    }
    for (size_t i = 0; equals && i < OPTION_COUNT; i++) {
        if (strcmp(word, options[i].name) == 0) {
            if (*inout_seen & 1u << i) {
                return error_set(
                    err, ERROR_INVALID_ARGUMENT, "%s= is there twice", word);
            }
            *inout_seen |= 1u << i;
            return options[i].read(token, equals + 1, err);
        }
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "got \"%.20s\", expected role=, api=, expires= or the hash of a "
                     "token (" HASH_PREFIX " and 64 hex digits)",
                     word);
}

static int read_hash(struct token *token, const char *word, struct error *err)
{
    const char *digits = word + strlen(HASH_PREFIX);
    size_t size = 0;

    if (strlen(digits) != TOKEN_HASH_TEXT_SIZE - 1 ||
        strspn(digits, "0123456789abcdef") != TOKEN_HASH_TEXT_SIZE - 1 ||
        sodium_hex2bin(token->hash,
                       sizeof(token->hash),
                       digits,
                       strlen(digits),
                       NULL,
                       &size,
                       NULL) != 0) {
        return refuse_value(
            "the hash", word, HASH_PREFIX " and 64 hex digits, lower case", err);
    }
    if (token->role == TOKEN_NOBODY) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "the token has no role, expected role= in front of its hash");
    }
    if (token->role == TOKEN_ADMIN && token->apis) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "role=admin is for all apis: api= does not go with it");
    }
    return 0;
}

// The token of a line that is not empty.
static int parse_line(char *line, struct token *token, struct error *err)
{
    char *next = line;
    unsigned seen = 0;

    while (next) {
        char *word = strsep(&next, BLANKS);
        if (strncmp(word, HASH_PREFIX, strlen(HASH_PREFIX)) == 0) {
            const char *comment = next ? next + strspn(next, BLANKS) : "";
            token->comment = memory_strdup(comment);
            return read_hash(token, word, err);
        }
        if (*word != '\0' && read_option(token, word, &seen, err) != 0) {
            return -1;
        }
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "there is no hash of a token, expected " HASH_PREFIX
                     " and 64 hex digits");
}

/* --- a file --- */

static int
add_line(struct token_list *list, char *line, size_t number, struct error *err)
{
    struct token token = {.line = number};

    if (list->count == TOKENS_MAX) {
        return error_set(
            err, ERROR_INVALID_ARGUMENT, "there are more than %d tokens", TOKENS_MAX);
    }
    if (parse_line(line, &token, err) != 0) {
        token_fini(&token);
        return -1;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (memcmp(list->tokens[i].hash, token.hash, sizeof(token.hash)) == 0) {
            token_fini(&token);
            return error_set(err,
                             ERROR_INVALID_ARGUMENT,
                             "the token is on line %zu already",
                             list->tokens[i].line);
        }
    }
    list->tokens = memory_realloc(list->tokens, (list->count + 1) * sizeof(token));
    list->tokens[list->count++] = token;
    return 0;
}

static bool is_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7F) {
            return false;
        }
    }
    return utf8_valid(text, size);
}

int token_list_parse(const char *text,
                     size_t size,
                     struct token_list *out,
                     struct error *err)
{
    struct token_list list = {NULL, 0};
    size_t number = 0;

    if (size > TOKENS_SIZE_MAX || !is_text(text, size)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "expected lines of UTF-8 text, at most %u bytes",
                         TOKENS_SIZE_MAX);
    }
    char *copy = memory_strndup(text, size);
    char *next = copy;
    int result = 0;
    while (result == 0 && next) {
        char *line = strsep(&next, "\n");
        number++;
        line += strspn(line, BLANKS);
        if (*line != '\0' && *line != '#') {
            result = add_line(&list, line, number, err);
        }
    }
    free(copy);
    if (result != 0) {
        token_list_fini(&list);
        return error_wrap(err, "line %zu", number);
    }
    *out = list;
    return 0;
}

void token_list_fini(struct token_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        token_fini(&list->tokens[i]);
    }
    free(list->tokens);
    list->tokens = NULL;
    list->count = 0;
}

const struct token *token_list_find(const struct token_list *list,
                                    const unsigned char hash[TOKEN_HASH_SIZE],
                                    int64_t wall_ms)
{
    const struct token *found = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (sodium_memcmp(list->tokens[i].hash, hash, TOKEN_HASH_SIZE) == 0) {
            found = &list->tokens[i]; // and on, so that the place does not show either
        }
    }
    return found && (found->expires_ms == 0 || wall_ms < found->expires_ms) ? found
                                                                            : NULL;
}
