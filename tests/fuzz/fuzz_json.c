/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json.c - do text and trees come through JSON as they were? */
#include "common/json.h"
#include "common/json_write.h"
#include "tests/fuzz/fuzz.h"

static void text_survives(const char *text, size_t size)
{
    struct buffer quoted = BUFFER_INIT;
    struct buffer back = BUFFER_INIT;

    json_add_string(&quoted, text, size);
    fuzz_check(json_check(quoted.data, quoted.size, NULL) == 0, "a string is JSON");
    struct json_slice string = {quoted.data, quoted.size};
    int result = json_unescape(string, &back, NULL);
    if (utf8_valid(text, size) && !memchr(text, 0, size)) {
        fuzz_check(result == 0 && back.size == size &&
                       (size == 0 || memcmp(back.data, text, size) == 0),
                   "text comes back as it was");
        buffer_clear(&quoted);
        json_write_bytes(&quoted, text, size);
        fuzz_check(json_check(quoted.data, quoted.size, NULL) == 0, "so is this one");
    }
    buffer_fini(&quoted);
    buffer_fini(&back);
}

static void string_is_unescaped(const char *text, size_t size)
{
    struct json_slice string = json_trim(text, size);
    struct buffer out = BUFFER_INIT;
    struct error err = {0};

    if (string.size > 1 && *string.text == '"') {
        if (json_unescape(string, &out, &err) == 0) {
            fuzz_check(utf8_valid(buffer_text(&out), out.size), "unescaped is UTF-8");
            fuzz_check(strlen(buffer_text(&out)) == out.size, "and holds no NUL");
        } else {
            fuzz_check_error(&err);
        }
    }
    buffer_fini(&out);
}

static void tree_survives(const char *text, size_t size)
{
    struct cJSON *tree = NULL;
    struct cJSON *again = NULL;
    struct buffer out = BUFFER_INIT;
    struct error err = {0};

    if (json_parse(text, size, &tree, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    json_add_tree(&out, tree);
    fuzz_check(json_check(out.data, out.size, NULL) == 0, "a tree is written as JSON");
    fuzz_check(json_parse(out.data, out.size, &again, NULL) == 0, "and read again");
    json_free(again);
    json_free(tree);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    text_survives(text, size);
    if (json_check(text, size, NULL) == 0) {
        string_is_unescaped(text, size);
    }
    tree_survives(text, size);
    return 0;
}
