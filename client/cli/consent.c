/* SPDX-License-Identifier: Apache-2.0 */
/* consent.c - whether the user wants to send so much */
#include "client/cli/consent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client/cli/render.h"
#include "common/buffer.h"

#define ANSWER_SIZE 64

static bool somebody_is_there(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

static int left_by_user(struct error *err)
{
    return error_set(err, ERROR_CANCELLED, "nothing was deployed");
}

// Asks until the answer is one. The end of the input is CANCELLED.
static int ask(const char *question, bool *out_yes, struct error *err)
{
    char answer[ANSWER_SIZE];

    for (;;) {
        (void)fprintf(stderr, "%s (y/n): ", question);
        if (!fgets(answer, sizeof(answer), stdin)) {
            (void)fputc('\n', stderr);
            return left_by_user(err);
        }
        answer[strcspn(answer, "\r\n")] = '\0';
        bool yes = strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
        if (yes || strcasecmp(answer, "n") == 0 || strcasecmp(answer, "no") == 0) {
            *out_yes = yes;
            return 0;
        }
        (void)fputs("please answer \"y\" or \"n\"\n", stderr);
    }
}

static int
ask_or_refuse(const char *what, const char *question, bool *out_yes, struct error *err)
{
    if (!somebody_is_there()) {
        return error_set(err,
                         ERROR_FAILED_PRECONDITION,
                         "%s: deploy with --yes if that is meant, or name in "
                         ".cortexignore what the API does not need",
                         what);
    }
    char *line = memory_format("%s; %s", what, question);
    int result = ask(line, out_yes, err);
    free(line);
    return result;
}

static int consent_to_file(struct project_file *file, struct error *err)
{
    struct buffer what = BUFFER_INIT;
    bool yes = false;

    buffer_add_format(&what, "%s is large (", file->path);
    render_size(&what, file->size);
    buffer_add_char(&what, ')');
    int result = ask_or_refuse(buffer_text(&what), "send it?", &yes, err);
    buffer_fini(&what);
    file->left_out = result == 0 && !yes;
    return result;
}

static int consent_to_all(const char *what, struct error *err)
{
    bool yes = false;

    if (ask_or_refuse(what, "deploy?", &yes, err) != 0) {
        return -1;
    }
    return yes ? 0 : left_by_user(err);
}

int consent_to_files(struct project *project, bool *out_asked_count, struct error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < project->file_count; i++) {
        struct project_file *file = &project->files[i];
        if (file->size > CONSENT_FILE_SIZE && consent_to_file(file, err) != 0) {
            return -1;
        }
        count += !file->left_out;
    }
    bool many = count >= CONSENT_FILE_COUNT;
    if (many) {
        char *what = memory_format("the project has %zu files", count);
        int result = consent_to_all(what, err);
        free(what);
        if (result != 0) {
            return -1;
        }
    }
    *out_asked_count = many;
    return 0;
}

int consent_to_archive(size_t size, struct error *err)
{
    struct buffer what = BUFFER_INIT;
    int result = 0;

    if (size >= CONSENT_ARCHIVE_SIZE) {
        buffer_add_text(&what, "the project is ");
        render_size(&what, size);
        buffer_add_text(&what, " packed");
        result = consent_to_all(buffer_text(&what), err);
    }
    buffer_fini(&what);
    return result;
}
