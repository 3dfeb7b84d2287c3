/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_aws_xml.c - is every answer of a store taken for what it says, or for no XML? */
#include "common/aws_xml.h"
#include "tests/fuzz/fuzz.h"

struct seen {
    size_t elements;
    struct buffer first; /* text of the first element that has any */
    char *path;          /* and where it stands */
};

static void note(void *arg, const char *path, const char *text)
{
    struct seen *seen = arg;

    seen->elements++;
    fuzz_check(*path != '\0' && utf8_valid(path, strlen(path)), "a path is UTF-8");
    if (text) {
        fuzz_check(utf8_valid(text, strlen(text)), "a text is UTF-8");
    }
    if (text && !seen->path) {
        seen->path = memory_strdup(path);
        buffer_add_text(&seen->first, text);
    }
}

static void check_answer(const char *data, size_t size)
{
    struct seen seen = {.first = BUFFER_INIT};
    struct buffer found = BUFFER_INIT;
    struct error err = {0};
    char *root = NULL;

    if (aws_xml_read(data, size, note, &seen, &root, &err) != 0) {
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT, "no XML is a bad argument");
        fuzz_check_error(&err);
    } else {
        fuzz_check(root && *root, "a document has a root");
        if (seen.path) {
            aws_xml_find(data, size, seen.path, &found);
            fuzz_check(found.size == seen.first.size && memcmp(buffer_text(&found),
                                                               buffer_text(&seen.first),
                                                               found.size) == 0,
                       "the first text of a path is found by it");
        }
    }
    free(root);
    free(seen.path);
    buffer_fini(&found);
    buffer_fini(&seen.first);
}

/* Whether XML may hold the text as it is: no control characters, no U+FFFE and the
 * like, and no carriage return, which a reader takes for a newline. */
static bool is_plain(const char *text)
{
    size_t size = strlen(text);

    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte < ' ' && byte != '\n' && byte != '\t') || byte == 0xEF) {
            return false;
        }
    }
    return size > 0 && utf8_valid(text, size);
}

static void check_text(const char *text)
{
    struct buffer document = BUFFER_INIT;
    struct buffer found = BUFFER_INIT;

    buffer_add_text(&document, "<a><b>");
    aws_xml_add_text(&document, text);
    buffer_add_text(&document, "</b></a>");
    aws_xml_find(document.data, document.size, "b", &found);
    fuzz_check(found.size == strlen(text) &&
                   memcmp(buffer_text(&found), text, found.size) == 0,
               "a text is read as it was written");
    buffer_fini(&document);
    buffer_fini(&found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    check_answer((const char *)data, size);
    char *text = fuzz_take_text(&input);
    if (is_plain(text)) {
        check_text(text);
    }
    free(text);
    return 0;
}
