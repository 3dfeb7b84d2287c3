/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - control documents as trees, and text to and from JSON strings */
#include "common/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/utf8.h"

#define KEY_SIZE_MAX 256                /* of one key of a path, with NUL */
#define EXACT_MAX    9007199254740992.0 /* 2^53: up to it integers are exact */

// Whether a checked document holds the escape \u0000 (and not "\\u0000").
static bool holds_nul(const char *text, size_t size)
{
    static const char escape[] = "\\u0000";
    const char *at = text;

    while ((at = memmem(at, size - (size_t)(at - text), escape, sizeof(escape) - 1))) {
        const char *slash = at;
        while (slash > text && slash[-1] == '\\') {
            slash--;
        }
        if ((at - slash) % 2 == 0) {
            return true;
        }
        at++;
    }
    return false;
}

int json_parse(const char *text,
               size_t size,
               struct cJSON **out_tree,
               struct error *err)
{
    struct json_slice value = json_trim(text, size);

    if (json_check(text, size, err) != 0) {
        return -1;
    }
    if (holds_nul(text, size)) {
        return error_set(
            err, ERROR_INVALID_ARGUMENT, "expected text without the character \\u0000");
    }
    struct cJSON *tree = cJSON_ParseWithLength(value.text, value.size);
    if (!tree) {
        return error_set(err, ERROR_INTERNAL, "cJSON refused a document that is JSON");
    }
    *out_tree = tree;
    return 0;
}

void json_free(struct cJSON *tree)
{
    cJSON_Delete(tree);
}

const struct cJSON *json_find(const struct cJSON *tree, const char *path)
{
    while (tree && *path) {
        char key[KEY_SIZE_MAX];
        size_t length = strcspn(path, ".");
        if (length >= sizeof(key)) {
            return NULL;
        }
        memcpy(key, path, length);
        key[length] = '\0';
        tree = cJSON_GetObjectItemCaseSensitive(tree, key);
        path += length + (path[length] == '.');
    }
    return cJSON_IsNull(tree) ? NULL : tree;
}

// "<path>: expected <what>, got <value>"
static int mismatch(const struct cJSON *value,
                    const char *path,
                    const char *expected,
                    struct error *err)
{
    char excerpt[JSON_EXCERPT_SIZE];
    struct buffer text = BUFFER_INIT;

    json_add_tree(&text, value);
    json_excerpt(buffer_text(&text), text.size, 0, excerpt);
    buffer_fini(&text);
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "%s: expected %s, got %s",
                     path,
                     expected,
                     excerpt);
}

int json_get_text(const struct cJSON *tree,
                  const char *path,
                  const char **out,
                  struct error *err)
{
    const struct cJSON *value = json_find(tree, path);

    if (value && !cJSON_IsString(value)) {
        return mismatch(value, path, "a string", err);
    }
    if (value) {
        *out = value->valuestring;
    }
    return 0;
}

int json_get_integer(const struct cJSON *tree,
                     const char *path,
                     int64_t min,
                     int64_t max,
                     int64_t *out,
                     struct error *err)
{
    const struct cJSON *value = json_find(tree, path);
    double number = value ? value->valuedouble : 0;
    char expected[96];

    if (!value) {
        return 0;
    }
    bool exact = cJSON_IsNumber(value) && number >= -EXACT_MAX && number <= EXACT_MAX &&
                 number == (double)(int64_t)number;
    if (!exact || (int64_t)number < min || (int64_t)number > max) {
        (void)snprintf(expected,
                       sizeof(expected),
                       "an integer from %" PRId64 " to %" PRId64,
                       min,
                       max);
        return mismatch(value, path, expected, err);
    }
    *out = (int64_t)number;
    return 0;
}

int json_get_bool(const struct cJSON *tree,
                  const char *path,
                  bool *out,
                  struct error *err)
{
    const struct cJSON *value = json_find(tree, path);

    if (value && !cJSON_IsBool(value)) {
        return mismatch(value, path, "true or false", err);
    }
    if (value) {
        *out = cJSON_IsTrue(value);
    }
    return 0;
}

int json_require(const struct cJSON *tree, const char *path, struct error *err)
{
    return json_find(tree, path)
               ? 0
               : error_set(err, ERROR_INVALID_ARGUMENT, "%s: is required", path);
}

void json_add_tree(struct buffer *out, const struct cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);

    if (!text) {
        abort(); // out of memory, as in buffer.h
    }
    buffer_add_text(out, text);
    cJSON_free(text);
}

static void add_escape(struct buffer *out, unsigned char c)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (const char *pair = letters; *pair; pair += 2) {
        if ((unsigned char)*pair == c) {
            buffer_add_char(out, '\\');
            buffer_add_char(out, pair[1]);
            return;
        }
    }
    buffer_add_format(out, "\\u%04x", c);
}

void json_add_string(struct buffer *out, const char *text, size_t size)
{
    size_t plain = 0; // begin of what has not been added yet

    buffer_add_char(out, '"');
    for (size_t at = 0; at < size;) {
        unsigned char c = (unsigned char)text[at];
        uint32_t code = 0;
        size_t length = c < 0x80 ? 1 : utf8_decode(text + at, size - at, &code);
        if (length && c >= 0x20 && c != '"' && c != '\\') {
            at += length;
            continue;
        }
        buffer_add(out, text + plain, at - plain);
        if (length) {
            add_escape(out, c);
        } else {
            buffer_add_text(out, "\xef\xbf\xbd");
        }
        plain = ++at;
    }
    buffer_add(out, text + plain, size - plain);
    buffer_add_char(out, '"');
}

void json_add_text(struct buffer *out, const char *text)
{
    json_add_string(out, text, strlen(text));
}

static uint32_t hex_of(const char *digits)
{
    char text[5] = {digits[0], digits[1], digits[2], digits[3], '\0'};

    return (uint32_t)strtoul(text, NULL, 16);
}

// The code point of the \u escape at `at`, both halves of a pair taken together.
static const char *take_unicode(const char *at, const char *end, uint32_t *out_code)
{
    uint32_t code = hex_of(at + 2);

    at += 6;
    if (code >= 0xD800 && code <= 0xDBFF && end - at >= 6 && at[0] == '\\' &&
        at[1] == 'u') {
        uint32_t second = hex_of(at + 2);
        if (second >= 0xDC00 && second <= 0xDFFF) {
            *out_code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
            return at + 6;
        }
    }
    *out_code = code;
    return at;
}

int json_unescape(struct json_slice string, struct buffer *out, struct error *err)
{
    static const char letters[] = "b\bf\fn\nr\rt\t";
    const char *at = string.text + 1;
    const char *end = string.text + string.size - 1;
    char bytes[4];

    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        buffer_add(out, at, (size_t)((slash ? slash : end) - at));
        if (!slash) {
            break;
        }
        if (slash[1] == 'u') {
            uint32_t code = 0;
            at = take_unicode(slash, end, &code);
            if (code == 0) {
                return error_set(err,
                                 ERROR_INVALID_ARGUMENT,
                                 "expected text without the character \\u0000");
            }
            buffer_add(out, bytes, utf8_encode(code, bytes));
            continue;
        }
        const char *pair = strchr(letters, slash[1]);
        buffer_add_char(out, pair ? pair[1] : slash[1]);
        at = slash + 2;
    }
    return 0;
}
