/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_blobs.c - are the files of any archive listed, or is it refused? */
#include "master/blobs.h"
#include "tests/fuzz/store.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct blobs *blobs = blobs_create(NULL, "s3://b/projects", "/nowhere");
    struct buffer paths = BUFFER_INIT;
    struct error err = {0};

    store_object = (struct fuzz_input){data, size};
    if (blobs_list(blobs, ID, &paths, &err) != 0) {
        fuzz_check_error(&err);
    }
    fuzz_check(paths.size == 0 || paths.data[paths.size - 1] == '\0',
               "NUL behind each");
    buffer_fini(&paths);
    blobs_destroy(blobs);
    return 0;
}
