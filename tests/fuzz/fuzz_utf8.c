/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_utf8.c - is text read as RFC 3629 has it, and any byte fit for an error? */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct fuzz_input input = {data, size};
    struct error err = {0};
    bool valid = true;

    for (size_t at = 0; at < size;) {
        uint32_t code = 0;
        char again[4];
        size_t length = utf8_decode(text + at, size - at, &code);
        fuzz_check(length <= size - at, "a character ends with the text at the latest");
        if (length > 0) {
            fuzz_check(utf8_encode(code, again) == length &&
                           memcmp(again, text + at, length) == 0,
                       "a character is written as it was read");
        }
        valid = valid && length > 0;
        at += length ? length : 1;
    }
    fuzz_check(utf8_valid(text, size) == valid, "valid means every character is");

    char *sentence = fuzz_take_text(&input);
    (void)error_set(&err, ERROR_INTERNAL, "x%s", sentence);
    fuzz_check(utf8_valid(err.message, strlen(err.message)), "a sentence is UTF-8");
    (void)error_wrap(&err, "%s", sentence);
    fuzz_check(utf8_valid(err.message, strlen(err.message)), "a wrapped one is, too");
    free(sentence);
    return 0;
}
