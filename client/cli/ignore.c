/* SPDX-License-Identifier: Apache-2.0 */
/* ignore.c - which files a .cortexignore leaves out */
#include "client/cli/ignore.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

#define SEGMENTS_MAX 128 // folders in one another, in a pattern and in a path

struct pattern {
    char *text; // without the marks below
    bool negated;
    bool folders_only;
    bool anchored; // matched with the whole path, not with the name alone
};

struct ignore {
    struct pattern *patterns;
    size_t count;
};

// The line's length without the blanks at its end, but with one that is escaped.
static size_t trimmed(const char *line, size_t size)
{
    if (size > 0 && line[size - 1] == '\r') {
        size--;
    }
    while (size > 0 && line[size - 1] == ' ' && !(size > 1 && line[size - 2] == '\\')) {
        size--;
    }
    return size;
}

static bool read_pattern(const char *line, size_t size, struct pattern *out)
{
    struct pattern pattern = {NULL};

    size = trimmed(line, size);
    if (size == 0 || line[0] == '#') {
        return false;
    }
    if (line[0] == '!') {
        pattern.negated = true;
        line++;
        size--;
    }
    if (size > 0 && line[size - 1] == '/') {
        pattern.folders_only = true;
        size--;
    }
    pattern.anchored = memchr(line, '/', size) != NULL;
    if (size > 0 && line[0] == '/') {
        line++;
        size--;
    }
    if (size == 0) {
        return false;
    }
    pattern.text = memory_strndup(line, size);
    *out = pattern;
    return true;
}

int ignore_create(const char *text,
                  size_t size,
                  struct ignore **out_ignore,
                  struct error *err)
{
    if (size > IGNORE_SIZE_MAX) {
        return error_set(err,
                         ERROR_OUT_OF_RANGE,
                         "%zu bytes are more than the limit of %u",
                         size,
                         IGNORE_SIZE_MAX);
    }
    struct ignore *ignore = memory_zalloc(sizeof(*ignore));
    for (size_t at = 0; at < size;) {
        const char *line = text + at;
        const char *newline = memchr(line, '\n', size - at);
        size_t length = newline ? (size_t)(newline - line) : size - at;
        struct pattern pattern;
        at += length + 1;
        if (!read_pattern(line, length, &pattern)) {
            continue;
        }
        ignore->patterns = memory_realloc(
            ignore->patterns, (ignore->count + 1) * sizeof(*ignore->patterns));
        ignore->patterns[ignore->count++] = pattern;
        if (ignore->count > IGNORE_PATTERNS_MAX) {
            ignore_destroy(ignore);
            return error_set(
                err, ERROR_OUT_OF_RANGE, "more than %d patterns", IGNORE_PATTERNS_MAX);
        }
    }
    *out_ignore = ignore;
    return 0;
}

void ignore_destroy(struct ignore *ignore)
{
    if (!ignore) {
        return;
    }
    for (size_t i = 0; i < ignore->count; i++) {
        free(ignore->patterns[i].text);
    }
    free(ignore->patterns);
    free(ignore);
}

// Cuts the text at its slashes; 0 if there are too many.
static size_t split(char *text, char *out[SEGMENTS_MAX])
{
    size_t count = 0;

    for (char *next = text; next;) {
        if (count == SEGMENTS_MAX) {
            return 0;
        }
        char *segment = next;
        next = strchr(segment, '/');
        if (next) {
            *next++ = '\0';
        }
        out[count++] = segment;
    }
    return count;
}

// A "**" takes any number of path segments, at least one if it stands last: when what
// follows does not fit, the last "**" takes one more, which is all the going back that
// is ever needed.
static bool
segments_match(char *const *pattern, size_t patterns, char *const *path, size_t paths)
{
    size_t p = 0;
    size_t s = 0;
    size_t star = SIZE_MAX;
    size_t star_end = 0;

    while (s < paths) {
        if (p < patterns && strcmp(pattern[p], "**") == 0) {
            if (p + 1 == patterns) {
                return true;
            }
            star = p++;
            star_end = s;
        } else if (p < patterns && fnmatch(pattern[p], path[s], 0) == 0) {
            p++;
            s++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            s = ++star_end;
        } else {
            return false;
        }
    }
    return p == patterns;
}

static bool path_matches(const char *pattern_text, const char *path_text)
{
    char *pattern_copy = memory_strdup(pattern_text);
    char *path_copy = memory_strdup(path_text);
    char *pattern[SEGMENTS_MAX];
    char *path[SEGMENTS_MAX];
    size_t patterns = split(pattern_copy, pattern);
    size_t paths = split(path_copy, path);
    bool matches =
        patterns > 0 && paths > 0 && segments_match(pattern, patterns, path, paths);

    free(pattern_copy);
    free(path_copy);
    return matches;
}

static bool
pattern_matches(const struct pattern *pattern, const char *path, bool folder)
{
    if (pattern->folders_only && !folder) {
        return false;
    }
    if (pattern->anchored) {
        return path_matches(pattern->text, path);
    }
    const char *slash = strrchr(path, '/');
    return fnmatch(pattern->text, slash ? slash + 1 : path, 0) == 0;
}

bool ignore_match(const struct ignore *ignore, const char *path, bool folder)
{
    for (size_t i = ignore ? ignore->count : 0; i > 0; i--) {
        const struct pattern *pattern = &ignore->patterns[i - 1];
        if (pattern_matches(pattern, path, folder)) {
            return !pattern->negated;
        }
    }
    return false;
}
