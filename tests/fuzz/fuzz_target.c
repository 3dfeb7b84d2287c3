/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_target.c - is every request target read as text or refused? */
#include "client/bridge/target.h"
#include "tests/fuzz/fuzz.h"

static void ask(const struct target *target)
{
    const char *text = NULL;
    uint64_t number = 7;
    bool boolean = false;
    struct error err = {0};

    if (target_get_job(target, NULL, &text, &err) != 0) {
        fuzz_check_error(&err);
    }
    if (target_get_number(target, "limit", 5, &number, &err) == 0) {
        fuzz_check(number <= 5 || number == 7, "a number is within its bound");
    }
    number = 7000;
    if (target_get_number(target, "offset", 1000, &number, &err) == 0) {
        fuzz_check(number <= 1000 || number == 7000, "a number is within its bound");
    }
    (void)target_get_bool(target, "dryRun", &boolean, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_take_text(&input);
    struct target target;
    struct error err = {0};

    if (target_parse(text, &target, &err) != 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "a bad target is a bad request");
        fuzz_check_error(&err);
    } else {
        fuzz_check(target.path[0] == '/', "a path begins with a slash");
        fuzz_check(utf8_valid(target.path, strlen(target.path)), "a path is UTF-8");
        for (size_t i = 0; i < target.pair_count; i++) {
            fuzz_check(utf8_valid(target.pairs[i].key, strlen(target.pairs[i].key)),
                       "so is a query");
        }
        ask(&target);
    }
    target_fini(&target);
    free(text);
    return 0;
}
