/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_framing.c - is a body's length taken only when it is said once and clearly? */
#include <strings.h>

#include "client/bridge/framing.h"
#include "tests/fuzz/fuzz.h"

/* What hangs on to these names is a line that was folded. */
static const char *const whole[] = {
    "content-length", "transfer-encoding", "idempotency-key"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct framing framing = {0};
    struct error err = {0};
    unsigned lengths = 0;
    unsigned encodings = 0;
    unsigned hosts = 0;
    bool plain = true;
    bool token = true;
    unsigned long long length = 0;

    while (input.size > 0) {
        char *name = fuzz_take_text(&input);
        char *value = fuzz_take_text(&input);
        framing_header(&framing, name, value);
        token = token && *name && !strpbrk(name, " \t\r\n\v\f:\"(),/;<=>?@[\\]{}");
        for (const char *at = name; *at; at++) {
            token = token && *at > 0x20 && *at < 0x7f;
        }
        for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
            size_t whole_size = strlen(whole[i]);
            token = token && (strncasecmp(name, whole[i], whole_size) != 0 ||
                              strlen(name) == whole_size);
        }
        hosts += strcasecmp(name, "host") == 0;
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
        fuzz_check(lengths + encodings <= 1 && hosts <= 1 && plain && token,
                   "a length is said once and clearly");
        fuzz_check(framing.length == length, "and is that number");
    } else {
        fuzz_check(lengths + encodings > 1 || hosts > 1 || !plain || !token,
                   "what is clear is taken");
        fuzz_check_error(&err);
    }
    return 0;
}
