/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_glob.c - does any pattern match in bounded time, and what it must? */
#include "master/glob.h"
#include "tests/fuzz/fuzz.h"

static bool matches(const char *pattern, const char *text, size_t size)
{
    struct glob *glob = NULL;

    fuzz_check(glob_create(pattern, &glob, NULL) == 0, "a pattern made of text is one");
    bool result = glob_match(glob, text, size);
    glob_destroy(glob);
    return result;
}

/* A text is matched by itself with a backslash before each byte of ASCII, alone and
 * among alternatives, and behind "**". */
static void text_matches_itself(const char *text)
{
    struct buffer escaped = BUFFER_INIT;

    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x80) {
            buffer_add_char(&escaped, '\\');
        }
        buffer_add_char(&escaped, *at);
    }
    if (escaped.size + 6 <= GLOB_PATTERN_SIZE_MAX && utf8_valid(text, strlen(text))) {
        char *braced = memory_format("{x,%s}", buffer_text(&escaped));
        char *behind = memory_format("**%s", buffer_text(&escaped));
        fuzz_check(matches(buffer_text(&escaped), text, strlen(text)), "itself");
        fuzz_check(matches(braced, text, strlen(text)), "itself in braces");
        fuzz_check(matches(behind, text, strlen(text)), "itself behind **");
        free(braced);
        free(behind);
    }
    buffer_fini(&escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *pattern = fuzz_take_text(&input);
    char *text = memory_strndup(fuzz_rest(&input), input.size);
    struct glob *glob = NULL;
    struct error err = {0};

    if (glob_create(pattern, &glob, &err) != 0) {
        fuzz_check(glob == NULL, "untouched on failure");
        fuzz_check_error(&err);
    } else {
        bool result = glob_match(glob, fuzz_rest(&input), input.size);
        fuzz_check(glob_match(glob, fuzz_rest(&input), input.size) == result, "always");
        if (strlen(pattern) + 2 <= GLOB_PATTERN_SIZE_MAX) {
            char *braced = memory_format("{%s", pattern); // closed by the pattern's end
            struct glob *same = NULL;
            bool plain = !strpbrk(pattern, ",}\\");
            fuzz_check(glob_create(braced, &same, NULL) == 0,
                       "braces close by themselves");
            if (plain) {
                fuzz_check(glob_match(same, fuzz_rest(&input), input.size) == result,
                           "one alternative is the pattern itself");
            }
            glob_destroy(same);
            free(braced);
        }
        glob_destroy(glob);
    }
    text_matches_itself(text);
    free(text);
    free(pattern);
    return 0;
}
