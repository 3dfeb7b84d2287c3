/* SPDX-License-Identifier: Apache-2.0 */
/* no_memory.c - what a program does when there is no memory, whoever asked for it
 *
 * The same as common/buffer.h: it ends with a sentence. Libraries are of many minds
 * about an allocation that fails (nng 1.5 hangs or crashes, as do fts and libarchive in
 * places), and a program that ends is started again with nothing lost. So the programs,
 * but not the tests, are linked with these in place of the C library's. */
#include <stdlib.h>
#include <unistd.h>

/* The C library's own, for those who put something in their place. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static void *or_die(void *memory, size_t size)
{
    static const char words[] = "out of memory\n";

    if (!memory && size > 0) {
        ssize_t written = write(STDERR_FILENO, words, sizeof(words) - 1);
        (void)written;
        abort();
    }
    return memory;
}

void *malloc(size_t size)
{
    return or_die(__libc_malloc(size), size);
}

void *calloc(size_t count, size_t size)
{
    return or_die(__libc_calloc(count, size), count > 0 ? size : 0);
}

void *realloc(void *old, size_t size)
{
    return or_die(__libc_realloc(old, size), size);
}
