/* SPDX-License-Identifier: Apache-2.0 */
/* lister.c - which files a submission asks for, by paths and patterns */
#include "master/lister.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "master/json_fields.h"

#define KIND_TOO_FEW  "configreader.too_few_elements"
#define KIND_TOO_MANY "configreader.too_many_elements"

#define QUOTE_SIZE_MAX 300 /* a longer pattern is shortened in a message */

// How many elements an array has; more than max is an error.
static int count_elements(struct json_slice array,
                          const char *place,
                          size_t max,
                          size_t *out_count,
                          struct error *err)
{
    struct json_cursor cursor;
    struct json_slice element;
    size_t count = 0;

    if (array.size) {
        json_cursor_init(&cursor, array);
        while (json_cursor_element(&cursor, &element)) {
            count++;
        }
    }
    if (count > max) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              KIND_TOO_MANY,
                              "%s: must have at most %zu elements, got %zu",
                              place,
                              max,
                              count);
    }
    *out_count = count;
    return 0;
}

static int take_paths(struct json_slice array, struct lister *lister, struct error *err)
{
    char place[JSON_FIELD_PLACE_SIZE];
    struct json_cursor cursor;
    struct json_slice element;
    size_t count = 0;

    json_field_place(place, lister->name, "s3_paths");
    if (count_elements(array, place, LISTER_PATHS_MAX, &count, err) != 0) {
        return -1;
    }
    if (count == 0) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              KIND_TOO_FEW,
                              "%s: must have at least 1 element, got %s",
                              place,
                              array.size ? "[]" : "none");
    }
    lister->paths = memory_zalloc(count * sizeof(lister->paths[0]));
    json_cursor_init(&cursor, array);
    while (json_cursor_element(&cursor, &element)) {
        struct lister_path *path = &lister->paths[lister->path_count];
        path->covered_by = LISTER_UNCOVERED;
        path->url = json_field_text(element, place, err);
        if (!path->url) {
            return -1;
        }
        lister->path_count++;
    }
    return 0;
}

static int take_glob(struct json_slice string,
                     const char *place,
                     struct glob **out_glob,
                     struct error *err)
{
    char excerpt[JSON_EXCERPT_SIZE];
    char *pattern = json_field_text(string, place, err);

    if (!pattern) {
        return -1;
    }
    int result = glob_create(pattern, out_glob, err);
    if (result != 0) {
        const char *shown = pattern;
        if (strlen(pattern) > QUOTE_SIZE_MAX) {
            json_excerpt(pattern, strlen(pattern), 0, excerpt);
            shown = excerpt;
        }
        (void)error_wrap(err, "%s: %s", place, shown);
    }
    free(pattern);
    return result;
}

static int take_globs(struct json_slice array,
                      const char *where,
                      const char *name,
                      struct lister_globs *out,
                      struct error *err)
{
    char place[JSON_FIELD_PLACE_SIZE];
    struct json_cursor cursor;
    struct json_slice element;
    size_t count = 0;

    json_field_place(place, where, name);
    if (count_elements(array, place, LISTER_GLOBS_MAX, &count, err) != 0) {
        return -1;
    }
    if (count == 0) {
        return 0;
    }
    out->globs = memory_zalloc(count * sizeof(struct glob *));
    json_cursor_init(&cursor, array);
    while (json_cursor_element(&cursor, &element)) {
        if (take_glob(element, place, &out->globs[out->count], err) != 0) {
            return -1;
        }
        out->count++;
    }
    return 0;
}

static int check_urls(const struct lister *lister,
                      lister_check_url_fn check_url,
                      void *arg,
                      struct error *err)
{
    for (size_t i = 0; i < lister->path_count; i++) {
        if (check_url(arg, lister->paths[i].url, err) != 0) {
            return error_wrap(err, "%s: s3_paths", lister->name);
        }
    }
    return 0;
}

// A path as its keys see it: "s3://bucket" is "s3://bucket/".
struct prefix {
    char *text;
    size_t index;
};

static int prefix_compare(const void *left, const void *right)
{
    const struct prefix *a = left;
    const struct prefix *b = right;
    int order = strcmp(a->text, b->text);

    return order ? order : a->index < b->index ? -1 : 1;
}

// In sorted order a path that covers others stands right before them.
static void find_covered(struct lister *lister)
{
    static const char scheme[] = "s3://";
    size_t count = lister->path_count;
    struct prefix *prefixes = memory_zalloc(count * sizeof(prefixes[0]));
    const struct prefix *cover = NULL;

    for (size_t i = 0; i < count; i++) {
        const char *url = lister->paths[i].url;
        bool bucket = strncmp(url, scheme, sizeof(scheme) - 1) == 0 &&
                      !strchr(url + sizeof(scheme) - 1, '/');
        prefixes[i] = (struct prefix){memory_format("%s%s", url, bucket ? "/" : ""), i};
    }
    qsort(prefixes, count, sizeof(prefixes[0]), prefix_compare);
    for (size_t i = 0; i < count; i++) {
        if (cover && strncmp(prefixes[i].text, cover->text, strlen(cover->text)) == 0) {
            lister->paths[prefixes[i].index].covered_by = cover->index;
        } else {
            cover = &prefixes[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(prefixes[i].text);
    }
    free(prefixes);
}

int lister_parse(struct lister *lister,
                 const struct lister_texts *texts,
                 lister_check_url_fn check_url,
                 void *arg,
                 struct error *err)
{
    if (take_paths(texts->paths, lister, err) != 0 ||
        take_globs(texts->includes, lister->name, "includes", &lister->includes, err) !=
            0 ||
        take_globs(texts->excludes, lister->name, "excludes", &lister->excludes, err) !=
            0 ||
        check_urls(lister, check_url, arg, err) != 0) {
        return -1;
    }
    find_covered(lister);
    return 0;
}

static void globs_fini(struct lister_globs *globs)
{
    for (size_t i = 0; i < globs->count; i++) {
        glob_destroy(globs->globs[i]);
    }
    free(globs->globs);
}

void lister_fini(struct lister *lister)
{
    for (size_t i = 0; i < lister->path_count; i++) {
        free(lister->paths[i].url);
    }
    free(lister->paths);
    globs_fini(&lister->includes);
    globs_fini(&lister->excludes);
}

static bool any_matches(const struct lister_globs *globs, const char *url, size_t size)
{
    for (size_t i = 0; i < globs->count; i++) {
        if (glob_match(globs->globs[i], url, size)) {
            return true;
        }
    }
    return false;
}

bool lister_selects(const struct lister *lister, const char *url, size_t size)
{
    return (lister->includes.count == 0 || any_matches(&lister->includes, url, size)) &&
           !any_matches(&lister->excludes, url, size);
}
