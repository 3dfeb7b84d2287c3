/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json_writer.c - is what is written JSON, whatever is written? */
#include "client/document.h"
#include "client/json_writer.h"
#include "common/json_text.h"
#include "tests/fuzz/fuzz.h"

#define DEPTH_MAX 64

/* Writes one value a byte of the input, each with a text of it. */
static void write_pieces(struct json_writer *writer, struct fuzz_input *input)
{
    char open[DEPTH_MAX] = "[";
    unsigned depth = 1;

    json_writer_open(writer, NULL, '[');
    while (input->size > 0) {
        unsigned what = fuzz_take_byte(input);
        char *text = fuzz_take_text(input);
        const char *key = open[depth - 1] == '{' ? text : NULL;
        if (!utf8_valid(text, strlen(text))) {
            free(text);
            continue;
        }
        if (what % 8 < 2 && depth < DEPTH_MAX) {
            open[depth] = what % 8 == 0 ? '[' : '{';
            json_writer_open(writer, key, open[depth++]);
        } else if (what % 8 == 2 && depth > 1) {
            json_writer_close(writer, open[--depth] == '{' ? '}' : ']');
        } else if (what % 8 == 3) {
            json_writer_millionths(writer, key, (uint64_t)what << 50);
        } else if (what % 8 == 4) {
            json_writer_bool(writer, key, what & 128);
        } else if (what % 8 == 5) {
            json_writer_text_or_null(writer, key, text);
        } else {
            json_writer_text(writer, key, text);
        }
        free(text);
    }
    while (depth > 0) {
        json_writer_close(writer, open[--depth] == '{' ? '}' : ']');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct buffer out = BUFFER_INIT;
    struct json_writer writer = {.out = &out, .indent = fuzz_take_byte(&input) % 5};
    struct fuzz_input again = input;
    struct error err = {0};

    write_pieces(&writer, &input);
    fuzz_check(json_check(out.data, out.size, NULL) == 0, "what is written is JSON");
    buffer_clear(&out);
    char *text = fuzz_take_text(&again);
    (void)error_set(&err, ERROR_INTERNAL, "%s", text);
    document_error(&out, &err);
    fuzz_check(json_check(out.data, out.size, NULL) == 0, "an error is JSON");
    free(text);
    buffer_fini(&out);
    return 0;
}
