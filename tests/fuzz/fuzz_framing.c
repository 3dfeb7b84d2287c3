/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_framing.c - is a body's length taken only when it is said once and clearly? */
#include <strings.h>

#include "client/bridge/framing.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct framing framing = {0};
    struct error err = {0};
    unsigned lengths = 0;
    unsigned encodings = 0;
    bool plain = true;
    unsigned long long length = 0;

    while (input.size > 0) {
        char *name = fuzz_take_text(&input);
        char *value = fuzz_take_text(&input);
        framing_header(&framing, name, value);
        if (strcasecmp(name, "content-length") == 0) {
            lengths++;
            plain = plain && *value && !value[strspn(value, "0123456789")];
            length = strtoull(value, NULL, 10); // huge: ULLONG_MAX
        } else if (strcasecmp(name, "transfer-encoding") == 0) {
            encodings++;
            plain = plain && strcasecmp(value, "chunked") == 0;
        }
        free(name);
        free(value);
    }
    if (framing_check(&framing, &err) == 0) {
        fuzz_check(lengths + encodings <= 1 && plain,
                   "a length is said once and clearly");
        fuzz_check(framing.length == length, "and is that number");
    } else {
        fuzz_check(lengths + encodings > 1 || !plain, "what is clear is taken");
        fuzz_check_error(&err);
    }
    return 0;
}
