/* SPDX-License-Identifier: Apache-2.0 */
/* object_tool.c - common/object.h as a command, for tests in Python
 *
 * usage: object_tool VERB [ARGUMENT]...; see the table at the end. Data goes in and out
 * by standard input and output. Errors are one line "CODE message" on standard error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/object.h"

#define TOOL_SIZE_MAX (1u << 30)

static struct object_store *store;

static int write_out(const void *data, size_t size, struct error *err)
{
    return fs_write_all(STDOUT_FILENO, data, size, err);
}

static int run_put(char **arguments, struct error *err)
{
    struct buffer data = BUFFER_INIT;
    int result = fs_read("/dev/stdin", TOOL_SIZE_MAX, &data, err);

    if (result == 0) {
        result = object_put(
            store, arguments[0], buffer_text(&data), data.size, "text/plain", err);
    }
    buffer_fini(&data);
    return result;
}

static int run_get(char **arguments, struct error *err)
{
    struct buffer data = BUFFER_INIT;
    int result = object_get(store,
                            arguments[0],
                            strtoull(arguments[1], NULL, 10),
                            strtoull(arguments[2], NULL, 10),
                            TOOL_SIZE_MAX,
                            arguments[3],
                            &data,
                            NULL,
                            err);

    if (result == 0) {
        result = write_out(buffer_text(&data), data.size, err);
    }
    buffer_fini(&data);
    return result;
}

static int run_read(char **arguments, struct error *err)
{
    static char piece[100000];
    struct object_reader *reader = NULL;
    ssize_t got = -1;
    int result = object_reader_open(
        store, arguments[0], strtoull(arguments[1], NULL, 10), &reader, err);

    while (result == 0 &&
           (got = object_reader_read(reader, piece, sizeof(piece), err)) > 0) {
        result = write_out(piece, (size_t)got, err);
    }
    object_reader_close(reader);
    return got == 0 ? result : -1;
}

static int run_stat(char **arguments, struct error *err)
{
    struct object_info info;

    if (object_stat(store, arguments[0], &info, err) != 0) {
        return -1;
    }
    printf("%" PRIu64 " %s", info.size, info.etag);
    return 0;
}

static int run_list(char **arguments, struct error *err)
{
    struct object_list *list = NULL;
    struct object_entry entry;
    int got = object_list_open(store, arguments[0], arguments[1], &list, err);

    while (got == 0 && (got = object_list_next(list, &entry, err)) > 0) {
        printf("%" PRIu64 " %s %s", entry.size, entry.etag, entry.url);
        (void)putchar('\0');
        got = 0;
    }
    object_list_close(list);
    return got;
}

static int run_delete(char **arguments, struct error *err)
{
    return object_delete(store, arguments[0], err);
}

static int run_describe(char **arguments, struct error *err)
{
    char *text = object_store_describe(store);

    (void)arguments;
    (void)err;
    printf("%s", text);
    free(text);
    return 0;
}

static const struct verb {
    const char *name;
    int arguments;
    int (*run)(char **arguments, struct error *err);
} verbs[] = {
    {"put", 1, run_put},           /* URL */
    {"get", 4, run_get},           /* URL OFFSET SIZE ETAG */
    {"read", 2, run_read},         /* URL OFFSET */
    {"stat", 1, run_stat},         /* URL: "SIZE ETAG" */
    {"list", 2, run_list},         /* PREFIX AFTER: "SIZE ETAG URL" and NUL each */
    {"delete", 1, run_delete},     /* URL */
    {"describe", 0, run_describe}, /* who we are */
};

int main(int argc, char **argv)
{
    static const struct object_options options = {.allow_file = true};
    struct error err = {0};
    const struct verb *verb = NULL;

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (argc > 1 && strcmp(argv[1], verbs[i].name) == 0) {
            verb = &verbs[i];
        }
    }
    if (!verb || argc - 2 != verb->arguments) {
        (void)fprintf(stderr, "object_tool: expected a verb and its arguments\n");
        return 2;
    }
    int result = object_store_create(&options, &store, &err);
    if (result == 0) {
        result = verb->run(argv + 2, &err);
        object_store_destroy(store);
    }
    if (result != 0) {
        (void)fprintf(stderr, "%s %s\n", error_code_name(err.code), err.message);
    }
    return result == 0 ? 0 : 1;
}
