/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_quantity.c - is a quantity the same on every scale? */
#include "master/quantity.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_take_text(&input);
    int64_t ones = -1;
    int64_t thousandths = -1;

    if (quantity_read(text, 1000, &thousandths)) {
        fuzz_check(thousandths >= 0, "no quantity is negative");
        fuzz_check(quantity_read(text, 1, &ones), "a quantity is one on every scale");
        fuzz_check(ones == thousandths / 1000 + (thousandths % 1000 != 0),
                   "rounded up");
    } else {
        fuzz_check(thousandths == -1, "untouched on failure");
    }
    free(text);
    return 0;
}
