/* SPDX-License-Identifier: Apache-2.0 */
/* inputs.c - which files a lister finds, in which order */
#include "master/inputs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

void inputs_init(struct inputs *inputs,
                 struct object_store *store,
                 const struct lister *lister,
                 size_t entry,
                 const char *after_url)
{
    *inputs = (struct inputs){
        .store = store,
        .lister = lister,
        .entry = entry,
    };
    (void)snprintf(inputs->url, sizeof(inputs->url), "%s", after_url);
}

void inputs_fini(struct inputs *inputs)
{
    object_list_close(inputs->list);
    inputs->list = NULL;
}

// Opens the listing of the entry, or of the next one that is not covered; 0: no more.
static int open_list(struct inputs *inputs, struct error *err)
{
    const struct lister *lister = inputs->lister;
    const char *after = *inputs->url ? inputs->url : NULL;

    while (inputs->entry < lister->path_count &&
           lister->paths[inputs->entry].covered_by != LISTER_UNCOVERED) {
        inputs->entry++;
        after = NULL;
    }
    if (inputs->entry >= lister->path_count) {
        return 0;
    }
    return object_list_open(inputs->store,
                            lister->paths[inputs->entry].url,
                            after,
                            &inputs->list,
                            err) == 0
               ? 1
               : -1;
}

// Closes the entry's listing, so that the next entry's is opened.
static void close_list(struct inputs *inputs)
{
    inputs_fini(inputs);
    inputs->url[0] = '\0';
    inputs->entry++;
}

// Takes a listed URL in: 1 if it is a file that is meant.
static int take_url(struct inputs *inputs, const char *url, struct error *err)
{
    size_t size = strlen(url);

    inputs->keys++;
    if (size >= sizeof(inputs->url)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%.100s...: expected a URL of less than %d bytes, got %zu",
                         url,
                         INPUTS_URL_SIZE,
                         size);
    }
    memcpy(inputs->url, url, size + 1);
    if (url[size - 1] == '/' || !lister_selects(inputs->lister, url, size)) {
        return 0;
    }
    if (!utf8_valid(url, size)) {
        char excerpt[JSON_EXCERPT_SIZE];
        json_excerpt(url, size, 0, excerpt);
        return error_set(
            err, ERROR_INVALID_ARGUMENT, "%s: expected a file name in UTF-8", excerpt);
    }
    return 1;
}

// One step: 1: a file; 0: nothing yet; -1; *out_end at the end of all.
static int step(struct inputs *inputs, bool *out_end, struct error *err)
{
    struct object_entry entry;

    if (!inputs->list) {
        int opened = open_list(inputs, err);
        *out_end = opened == 0;
        return opened < 0 ? -1 : 0;
    }
    int got = object_list_next(inputs->list, &entry, err);
    if (got == 0) {
        close_list(inputs);
    }
    return got <= 0 ? got : take_url(inputs, entry.url, err);
}

int inputs_next(struct inputs *inputs, struct error *err)
{
    bool end = false;
    int got = 0;

    while (got == 0 && !end) {
        got = step(inputs, &end, err);
    }
    return got;
}

int inputs_none(const struct lister *lister, struct error *err)
{
    bool filtered = lister->includes.count || lister->excludes.count;
    char more[48] = "";

    if (lister->path_count > 1) {
        (void)snprintf(more, sizeof(more), " and %zu more", lister->path_count - 1);
    }
    return error_set_kind(err,
                          ERROR_INVALID_ARGUMENT,
                          "batchapi.no_s3_files_found",
                          "%s: no files were found that match s3_paths (%s%s)%s",
                          lister->name,
                          lister->paths[0].url,
                          more,
                          filtered ? ", includes and excludes" : "");
}

// A missing or forbidden bucket is the submission's fault, not ours: keep what kind of
// error it was, but say that the argument is wrong.
static int blame_submission(struct error *err)
{
    if (err && (err->code == ERROR_NOT_FOUND || err->code == ERROR_PERMISSION_DENIED)) {
        char kind[ERROR_KIND_SIZE];
        (void)snprintf(kind, sizeof(kind), "%s", error_kind(err));
        memcpy(err->kind, kind, sizeof(kind));
        err->code = ERROR_INVALID_ARGUMENT;
    }
    return -1;
}

static bool same_bucket(const char *left, const char *right)
{
    static const size_t scheme = sizeof("s3://") - 1;
    size_t length = strcspn(left + scheme, "/");

    return strncmp(left, right, scheme + length) == 0 &&
           (right[scheme + length] == '/' || right[scheme + length] == '\0');
}

// Whether the entries behind the first match can be listed; once for neighbours in the
// same bucket.
static int check_rest(struct inputs *inputs, struct error *err)
{
    const struct lister_path *paths = inputs->lister->paths;
    size_t count = inputs->lister->path_count;

    for (size_t i = inputs->entry + 1; i < count; i++) {
        struct object_list *list = NULL;
        struct object_entry entry;
        if (same_bucket(paths[i - 1].url, paths[i].url)) {
            continue;
        }
        int got = object_list_open(inputs->store, paths[i].url, NULL, &list, err);
        if (got == 0) {
            got = object_list_next(list, &entry, err);
        }
        object_list_close(list);
        if (got < 0) {
            return -1;
        }
    }
    return 0;
}

int inputs_check(struct object_store *store,
                 const struct lister *lister,
                 bool (*stopped)(void *arg),
                 void *arg,
                 struct error *err)
{
    struct inputs inputs;
    bool end = false;
    int got = 0;

    inputs_init(&inputs, store, lister, 0, "");
    while (got == 0 && !end) {
        if (stopped && stopped(arg)) {
            got = error_set(err, ERROR_CANCELLED, "stopped while looking for files");
            break;
        }
        got = step(&inputs, &end, err);
    }
    if (got > 0) {
        got = check_rest(&inputs, err);
    } else if (got == 0) {
        got = inputs_none(lister, err);
    }
    inputs_fini(&inputs);
    return got == 0 ? 0 : blame_submission(err);
}

// A page's token is "<entry> <0 or 1: whether any file was found before> <url>".
static int parse_token(const char *token,
                       const struct lister *lister,
                       size_t *out_entry,
                       bool *out_found,
                       const char **out_url,
                       struct error *err)
{
    char *end = NULL;
    unsigned long long entry =
        *token >= '0' && *token <= '9' ? strtoull(token, &end, 10) : SIZE_MAX;

    if (!*token) {
        *out_entry = 0;
        *out_found = false;
        *out_url = "";
        return 0;
    }
    if (entry >= lister->path_count || end[0] != ' ' ||
        (end[1] != '0' && end[1] != '1') || end[2] != ' ' ||
        strlen(end + 3) >= INPUTS_URL_SIZE) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "page token: expected one that was returned, got '%.100s'",
                         token);
    }
    *out_entry = (size_t)entry;
    *out_found = end[1] == '1';
    *out_url = end + 3;
    return 0;
}

int inputs_page(struct object_store *store,
                const struct lister *lister,
                const char *token,
                void (*each)(void *arg, const char *url),
                void *arg,
                struct buffer *out_token,
                struct error *err)
{
    struct inputs inputs;
    size_t entry = 0;
    size_t paths = 0;
    bool found = false;
    bool end = false;
    const char *after = NULL;
    int got = 0;

    if (parse_token(token, lister, &entry, &found, &after, err) != 0) {
        return -1;
    }
    inputs_init(&inputs, store, lister, entry, after);
    while (got >= 0 && !end && paths < INPUTS_PAGE_PATHS_MAX &&
           inputs.keys < INPUTS_PAGE_KEYS_MAX) {
        got = step(&inputs, &end, err);
        if (got > 0) {
            each(arg, inputs.url);
            paths++;
            found = true;
        }
    }
    inputs_fini(&inputs);
    if (got < 0) {
        return blame_submission(err);
    }
    if (end) {
        return found ? 0 : inputs_none(lister, err);
    }
    buffer_add_format(out_token, "%zu %d %s", inputs.entry, found, inputs.url);
    return 0;
}
