/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - where results, hints and warnings go */
#include "client/cli/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/render.h"
#include "common/fs.h"

int output_is_json(const char *text, bool *out_json, struct error *err)
{
    if (text && strcmp(text, "json") != 0 && strcmp(text, "pretty") != 0) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--output: got \"%s\", expected pretty or json",
                         text);
    }
    *out_json = text && strcmp(text, "json") == 0;
    return 0;
}

bool output_is_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

int output_write(const void *data, size_t size, struct error *err)
{
    if (fs_write_all(STDOUT_FILENO, data, size, err) != 0) {
        return error_wrap(err, "standard output");
    }
    return 0;
}

int output_take(struct buffer *buffer, struct error *err)
{
    int result = output_write(buffer_text(buffer), buffer->size, err);

    buffer_fini(buffer);
    return result;
}

void output_hint(const char *format, ...)
{
    va_list arguments;

    if (isatty(STDERR_FILENO) != 1) {
        return;
    }
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

void output_warn(const char *text)
{
    (void)fprintf(stderr, "warning: %s\n", text);
}

void output_error(const struct error *err)
{
    struct buffer line = BUFFER_INIT;
    size_t first = strcspn(err->message, "\n");
    char *head = memory_format("error: %.*s", (int)first, err->message);

    render_bold(&line, head, isatty(STDERR_FILENO) == 1);
    (void)fprintf(stderr, "%s%s\n", buffer_text(&line), err->message + first);
    buffer_fini(&line);
    free(head);
}
