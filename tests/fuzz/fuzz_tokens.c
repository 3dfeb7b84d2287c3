/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tokens.c - is every tokens file read as what it says or refused? */
#include "client/bridge/tokens.h"
#include "tests/fuzz/fuzz.h"

static void check_token(const struct token_list *list, const struct token *token)
{
    fuzz_check(token->role > TOKEN_NOBODY && token->role <= TOKEN_ADMIN,
               "a token has a role");
    fuzz_check(token->expires_ms >= 0, "a token expires after 1970 or never");
    fuzz_check(!token->apis || token->role != TOKEN_ADMIN, "an admin has no scope");
    fuzz_check(token->line > 0, "a token is on a line");
    fuzz_check(!strchr(token->comment, '\n'), "a comment is on the line");
    fuzz_check(token_list_find(list, token->hash, token->expires_ms - 1) == token,
               "a token is found by its hash");
    fuzz_check(token->expires_ms == 0 ||
                   !token_list_find(list, token->hash, token->expires_ms),
               "until it expires");
    fuzz_check(token_may_use_api(token, NULL) == !token->apis,
               "only a token without a scope learns what is not there");
    (void)token_may_use_api(token, "image-classifier-1");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_list list;
    struct error err = {0};

    if (token_list_parse((const char *)data, size, &list, &err) != 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "a bad file is a bad argument");
        fuzz_check_error(&err);
        return 0;
    }
    fuzz_check(list.count <= TOKENS_MAX, "tokens are limited");
    for (size_t i = 0; i < list.count; i++) {
        check_token(&list, &list.tokens[i]);
    }
    token_list_fini(&list);
    return 0;
}
