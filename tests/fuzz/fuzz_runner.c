/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_runner.c - is what a runner sends read the same however it comes? */
#include "agent/runner.h"
#include "tests/fuzz/fuzz.h"

/* All frames, told in *out; what is there grows by `step` bytes at a time. */
static int read_all(const struct fuzz_input *input, size_t step, struct buffer *out)
{
    struct buffer in = BUFFER_INIT;
    struct runner_frame frame;
    struct error err = {0};
    size_t at = 0;
    int got = 0;

    for (size_t taken = 0; taken < input->size && got == 0; taken += step) {
        size_t left = input->size - taken;
        buffer_add(&in, input->data + taken, left < step ? left : step);
        while ((got = runner_read(&in, &at, &frame, &err)) > 0) {
            fuzz_check(at <= in.size, "a frame lies in what was read");
            fuzz_check(frame.text_size == 0 ||
                           (frame.text > in.data &&
                            frame.text + frame.text_size <= in.data + at),
                       "and so does its text");
            buffer_add_format(out, "%d %d ", (int)frame.type, (int)frame.status);
            buffer_add(out, frame.text, frame.text_size);
        }
    }
    if (got < 0) {
        fuzz_check_error(&err);
    }
    buffer_fini(&in);
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    size_t step = fuzz_take_byte(&input) + 1;
    struct buffer whole = BUFFER_INIT;
    struct buffer cut = BUFFER_INIT;

    int result = read_all(&input, input.size + 1, &whole);
    fuzz_check(read_all(&input, step, &cut) == result, "the end is the same");
    fuzz_check(whole.size == cut.size &&
                   memcmp(buffer_text(&whole), buffer_text(&cut), cut.size) == 0,
               "and so are the frames");
    buffer_fini(&whole);
    buffer_fini(&cut);
    return 0;
}
