/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_keys.c - is every authorized_keys file read as what it says or refused? */
#include "common/key.h"
#include "master/keys.h"
#include "master/keys_entry.h"
#include "tests/fuzz/fuzz.h"

static void check_entry(const struct keys_entry *entry)
{
    fuzz_check(entry->revoked || entry->role > KEY_ROLE_NONE, "a key has a role");
    fuzz_check(entry->role < KEY_ROLE_COUNT, "a role is one of those there are");
    fuzz_check(entry->api_count <= KEYS_PATTERNS_MAX, "patterns are limited");
    fuzz_check(entry->network_count <= KEYS_PATTERNS_MAX, "networks are limited");
    fuzz_check(entry->uses <= KEYS_MAX, "uses are limited");
    fuzz_check(entry->expires_ms >= 0, "a key expires after 1970, or never");
    fuzz_check(entry->network_count > 0 || keys_entry_is_from(entry, "local"),
               "a key without networks may come from anywhere");
    (void)keys_entry_is_from(entry, "10.0.0.7");
    (void)keys_entry_is_from(entry, "2001:db8::7");
    (void)keys_entry_is_from(entry, "::ffff:10.0.0.7");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_take_text(&input);
    struct error err = {0};
    bool good = keys_check_text(text, "authorized_keys", &err) == 0;
    char *next = text;

    if (!good) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "a bad file is a bad argument");
        fuzz_check_error(&err);
    }
    while (next) {
        char *line = strsep(&next, "\n");
        struct keys_entry entry = {.line = 1};
        line[strcspn(line, "\r")] = '\0';
        if (!keys_entry_is_none(line)) {
            bool read = keys_entry_parse(line, &entry, &err) == 0;
            fuzz_check(read || !good, "a good file has good lines");
            if (read) {
                check_entry(&entry);
            }
            keys_entry_fini(&entry);
        }
    }
    free(text);
    return 0;
}
