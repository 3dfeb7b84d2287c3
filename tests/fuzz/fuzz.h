/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - what every fuzz target is made of
 *
 * A target is one function that libFuzzer calls with inputs it invents, guided by which
 * code they reach. A target fails by a sanitizer's report, by taking too long (run.py),
 * or by fuzz_check: a promise of a header that an input breaks.
 *
 * Source: llvm.org/docs/LibFuzzer.html.
 */
#ifndef CORTEX_TESTS_FUZZ_H
#define CORTEX_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process unless the promise holds; libFuzzer then keeps the input. */
static inline void fuzz_check(bool holds, const char *promise)
{
    if (!holds) {
        (void)fprintf(stderr, "broken promise: %s\n", promise);
        abort();
    }
}

/* Of a call that returned -1: the error is a sentence that can be shown. */
static inline void fuzz_check_error(const struct error *err)
{
    size_t size = strlen(err->message);

    fuzz_check(err->code != ERROR_OK, "a failure has a code");
    fuzz_check(size > 0 && err->message[size - 1] != '\n', "a failure has a sentence");
    fuzz_check(utf8_valid(err->message, size), "an error's sentence is UTF-8");
}

/* An input that is taken apart from its front. */
struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

/* The next byte; 0 behind the end. */
static inline unsigned fuzz_take_byte(struct fuzz_input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

/* Up to the next NUL, which is dropped, or the end, as text of just its size, so that
 * a sanitizer sees what is read beyond it. The caller frees. */
static inline char *fuzz_take_text(struct fuzz_input *input)
{
    size_t size = strnlen((const char *)input->data, input->size);
    char *text = memory_strndup((const char *)input->data, size);

    size += size < input->size;
    input->data += size;
    input->size -= size;
    return text;
}

/* What is left, as bytes that are no text: one past them may not be read. */
static inline const char *fuzz_rest(const struct fuzz_input *input)
{
    return (const char *)input->data;
}

#endif
