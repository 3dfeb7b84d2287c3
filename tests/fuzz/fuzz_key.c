/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_key.c - is every written key, token, name and join string read as it is written?
 */
#include "common/key.h"
#include "tests/fuzz/fuzz.h"

static void check_public(const char *text)
{
    unsigned char key[KEY_SIZE];
    char again[KEY_TEXT_SIZE];
    struct error err = {0};

    if (key_public_parse(text, key, &err) != 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "a bad key is a bad argument");
        fuzz_check_error(&err);
        return;
    }
    key_public_format(key, again);
    fuzz_check(strcmp(text, again) == 0, "a key is written in one way");
}

static void check_token(const char *text)
{
    unsigned char token[KEY_SIZE];
    char again[KEY_TEXT_SIZE];

    if (key_token_parse(text, token)) {
        key_token_format(token, again);
        fuzz_check(strcmp(text, again) == 0, "a token is written in one way");
    }
}

static void check_name(const char *text)
{
    unsigned char name[KEY_NAME_SIZE];
    char again[KEY_NAME_TEXT_SIZE];

    if (key_name_parse(text, name)) {
        key_name_format(name, again);
        fuzz_check(strcmp(text, again) == 0, "a name is written in one way");
    }
}

static void check_join(const char *text)
{
    struct key_join join;
    struct error err = {0};
    char again[KEY_JOIN_SIZE];

    if (key_join_parse(text, &join, &err) != 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "a bad one is a bad argument");
        fuzz_check_error(&err);
        return;
    }
    fuzz_check(key_join_format(&join, again, NULL) == 0, "what is read can be written");
    fuzz_check(strcmp(text, again) == 0, "a join string is written in one way");
}

/* The checksum of a join string is not guessed: one is made of the input. */
static void check_made_join(const uint8_t *data, size_t size)
{
    struct key_join join = {.has_token = size > 0 && (data[0] & 1) != 0};
    struct key_join again = {.has_token = false};
    char text[KEY_JOIN_SIZE];
    size_t at = 0;

    unsigned char *const parts[] = {join.cluster, join.public_key, join.token};
    const size_t sizes[] = {sizeof(join.cluster),
                            sizeof(join.public_key),
                            join.has_token ? sizeof(join.token) : 0};
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < sizes[i]; k++) {
            parts[i][k] = at < size ? data[at++] : 0;
        }
    }
    size_t left =
        size - at < sizeof(join.address) - 1 ? size - at : sizeof(join.address) - 1;
    memcpy(join.address, data + at, left);
    if (key_join_format(&join, text, NULL) == 0 && !strchr(join.address, '#')) {
        fuzz_check(key_join_parse(text, &again, NULL) == 0, "what is written is read");
        fuzz_check(strcmp(join.address, again.address) == 0, "the address is the same");
        fuzz_check(join.has_token == again.has_token &&
                       memcmp(join.token, again.token, sizeof(join.token)) == 0,
                   "so is the token");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_take_text(&input);

    check_public(text);
    check_token(text);
    check_name(text);
    check_join(text);
    check_made_join(data, size);
    free(text);
    return 0;
}
