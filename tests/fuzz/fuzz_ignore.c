/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_ignore.c - does any .cortexignore decide about any path in bounded time? */
#include "client/cli/ignore.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    bool folder = fuzz_take_byte(&input) & 1;
    char *path = fuzz_take_text(&input);
    struct ignore *ignore = NULL;
    struct error err = {0};

    if (ignore_create(fuzz_rest(&input), input.size, &ignore, &err) != 0) {
        fuzz_check_error(&err);
    } else {
        bool result = ignore_match(ignore, path, folder);
        fuzz_check(ignore_match(ignore, path, folder) == result, "the same every time");
    }
    ignore_destroy(ignore);
    free(path);
    return 0;
}
