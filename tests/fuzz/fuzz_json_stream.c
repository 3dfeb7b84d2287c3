/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json_stream.c - are a file's items the same wherever it is cut? */
#include "common/json_text.h"
#include "master/json_stream.h"
#include "tests/fuzz/fuzz.h"

#define ITEM_MAX 4096

/* All items, or what is wrong, told in *out. */
static void read_all(const char *text, size_t size, size_t step, struct buffer *out)
{
    struct json_stream stream;
    struct json_slice item;
    struct error err = {0};
    int got = 0;

    json_stream_init(&stream, ITEM_MAX, NULL);
    for (size_t at = 0; at < size && got == 0; at += step) {
        json_stream_push(&stream, text + at, size - at < step ? size - at : step);
        while ((got = json_stream_next(&stream, &item, &err)) > 0) {
            fuzz_check(item.size <= ITEM_MAX, "an item is within its limit");
            buffer_add(out, item.text, item.size);
            struct json_stream_position position = json_stream_position(&stream);
            buffer_add_format(
                out, "\n%zu %zu\n", (size_t)position.offset, (size_t)position.line);
        }
    }
    if (got == 0 && (got = json_stream_finish(&stream, &item, &err)) > 0) {
        fuzz_check(json_check(item.text, item.size, NULL) == 0, "an item is JSON");
        buffer_add(out, item.text, item.size);
    }
    if (got < 0) {
        fuzz_check_error(&err);
        // The excerpt behind it shows as much as is there.
        const char *excerpt = strstr(err.message, ", at '");
        buffer_add(out, err.message, excerpt ? (size_t)(excerpt - err.message) : 0);
    }
    json_stream_fini(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    size_t step = fuzz_take_byte(&input) % 37 + 1;
    struct buffer whole = BUFFER_INIT;
    struct buffer cut = BUFFER_INIT;

    read_all(fuzz_rest(&input), input.size, input.size + 1, &whole);
    read_all(fuzz_rest(&input), input.size, step, &cut);
    fuzz_check(whole.size == cut.size &&
                   strcmp(buffer_text(&whole), buffer_text(&cut)) == 0,
               "items and faults are the same however a file is cut");
    buffer_fini(&whole);
    buffer_fini(&cut);
    return 0;
}
