/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json_text.c - are the pieces of a checked document pieces of it? */
#include "common/json_text.h"
#include "tests/fuzz/fuzz.h"

static void check_inside(struct json_slice piece, struct json_slice whole)
{
    fuzz_check(piece.size > 0 && piece.text > whole.text &&
                   piece.text + piece.size < whole.text + whole.size,
               "an element lies inside its container");
}

static void walk(struct json_slice value)
{
    struct json_cursor cursor;
    struct json_slice key;
    struct json_slice element;

    if (*value.text == '{') {
        json_cursor_init(&cursor, value);
        while (json_cursor_member(&cursor, &key, &element)) {
            check_inside(key, value);
            check_inside(element, value);
            fuzz_check(*key.text == '"' && json_check(key.text, key.size, NULL) == 0,
                       "a key is a string");
            walk(element);
        }
    } else if (*value.text == '[') {
        json_cursor_init(&cursor, value);
        while (json_cursor_element(&cursor, &element)) {
            check_inside(element, value);
            walk(element);
        }
    } else {
        fuzz_check(json_check(value.text, value.size, NULL) == 0, "an element is JSON");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    unsigned at = fuzz_take_byte(&input);
    const char *text = fuzz_rest(&input);
    char excerpt[JSON_EXCERPT_SIZE];

    json_excerpt(text, input.size, input.size * at / 255, excerpt);
    fuzz_check(utf8_valid(excerpt, strlen(excerpt)), "an excerpt is text");
    if (json_check(text, input.size, NULL) == 0) {
        struct json_slice value = json_trim(text, input.size);
        fuzz_check(value.size > 0, "a document has a value");
        walk(value);
    }
    return 0;
}
