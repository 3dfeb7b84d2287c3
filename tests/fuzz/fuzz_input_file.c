/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_input_file.c - is a compressed file the same however it comes in? */
#include "master/input_file.h"
#include "tests/fuzz/store.h"

#define BYTES_MAX (1u << 20) /* of what comes out; a bomb is not waited for */

/* What the file holds from offset on, or the error, told in *out; -1 for that. */
static int read_all(const char *url, uint64_t offset, struct buffer *out)
{
    struct input_file *file = NULL;
    const char *data = NULL;
    struct error err = {0};
    ssize_t got = 0;

    fuzz_check(input_file_open(NULL, url, offset, "", &file, &err) == 0, "it opens");
    while (out->size < BYTES_MAX && (got = input_file_read(file, &data, &err)) > 0) {
        buffer_add(out, data, (size_t)got);
    }
    if (got < 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT,
                   "broken data is the file's fault");
        fuzz_check_error(&err);
    }
    input_file_close(file);
    return got < 0 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const urls[] = {"s3://b/a.gz", "s3://b/a.zst", "s3://b/a"};
    struct fuzz_input input = {data, size};
    const char *url = urls[fuzz_take_byte(&input) % 3];
    size_t piece = fuzz_take_byte(&input) + 1;
    struct buffer whole = BUFFER_INIT;
    struct buffer cut = BUFFER_INIT;
    struct buffer rest = BUFFER_INIT;

    store_object = input;
    store_piece = SIZE_MAX;
    int result = read_all(url, 0, &whole);
    store_piece = piece;
    int cut_result = read_all(url, 0, &cut);
    bool ended = whole.size < BYTES_MAX && cut.size < BYTES_MAX;
    fuzz_check(!ended || cut_result == result, "however it comes");
    if (result == 0 && ended) {
        fuzz_check(cut.size == whole.size &&
                       memcmp(buffer_text(&cut), buffer_text(&whole), cut.size) == 0,
                   "the bytes are the same");
        size_t offset = whole.size / 2;
        fuzz_check(
            read_all(url, offset, &rest) == 0 && rest.size == whole.size - offset &&
                memcmp(buffer_text(&rest), buffer_text(&whole) + offset, rest.size) ==
                    0,
            "and so is the second half");
    }
    buffer_fini(&whole);
    buffer_fini(&cut);
    buffer_fini(&rest);
    return 0;
}
