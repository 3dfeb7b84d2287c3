/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_options.c - is a number on a command line what it says? */
#include "common/options.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_take_text(&input);
    int64_t number = -1;
    int64_t bytes = -1;
    int64_t time_ms = -1;

    if (options_read_number(text, &number)) {
        char *end = NULL;
        fuzz_check(strtoll(text, &end, 10) == number && *end == '\0', "as strtoll");
        fuzz_check(options_read_size(text, &bytes) == (number >= 0) || bytes == -1,
                   "a number is a size");
    } else {
        fuzz_check(number == -1, "untouched on failure");
    }
    fuzz_check(!options_read_size(text, &bytes) || bytes >= 0, "no size is negative");
    fuzz_check(!options_read_duration(text, &time_ms) || time_ms >= 0,
               "no duration is negative");
    free(text);
    return 0;
}
