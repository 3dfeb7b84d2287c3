/* SPDX-License-Identifier: Apache-2.0 */
/* target.c - what the first line of an HTTP request asks for */
#include "client/bridge/target.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/id.h"

static const char *const job_keys[] = {"jobID", "job_id", "jobId"};

#define JOB_KEY_COUNT (sizeof(job_keys) / sizeof(job_keys[0]))

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Bytes of the UTF-8 sequence at `text`, 0 if it is none (RFC 3629).
static size_t utf8_length(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, low, high, length;
    } rows[] = {
        {0x20, 0x7E, 0, 0, 1},
        {0xC2, 0xDF, 0x80, 0xBF, 2},
        {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3},
        {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4},
        {0xF4, 0xF4, 0x80, 0x8F, 4},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (text[0] < rows[i].first || text[0] > rows[i].last) {
            continue;
        }
        for (size_t k = 1; k < rows[i].length; k++) {
            unsigned char low = k == 1 ? rows[i].low : 0x80;
            unsigned char high = k == 1 ? rows[i].high : 0xBF;
            if (text[k] < low || text[k] > high) {
                return 0;
            }
        }
        return rows[i].length;
    }
    return 0;
}

static bool is_readable(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    while (*at) {
        size_t length = utf8_length(at);
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

// Undoes percent-encoding. NULL if it is broken, or if what comes out is not text. A
// "+" in a query is a space.
static char *decode(const char *text, size_t size, bool plus_is_space)
{
    char *out = memory_zalloc(size + 1);
    size_t used = 0;
    bool good = true;

    for (size_t i = 0; i < size && good; i++) {
        if (text[i] == '%') {
            int high = i + 2 < size ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < size ? hex_digit(text[i + 2]) : -1;
            good = high >= 0 && low >= 0 && high + low > 0;
            out[used++] = (char)(good ? high * 16 + low : 0);
            i += 2;
        } else {
            out[used++] = plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    if (!good || !is_readable(out)) {
        free(out);
        return NULL;
    }
    return out;
}

static int undecodable(const char *text, size_t size, struct error *err)
{
    char *quoted = memory_strndup(text, size < 200 ? size : 200);

    for (char *at = quoted; *at; at++) {
        if (*at < 0x20 || *at > 0x7E) {
            *at = '?';
        }
    }
    error_set(err,
              ERROR_INVALID_ARGUMENT,
              "\"%s\" in the URL is not percent-encoded UTF-8 text without control "
              "characters",
              quoted);
    free(quoted);
    return -1;
}

static int
parse_path(const char *text, size_t size, struct target *out, struct error *err)
{
    out->path = decode(text, size, false);
    if (!out->path) {
        return undecodable(text, size, err);
    }
    if (strlen(out->path) > TARGET_PATH_SIZE_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "the URL's path has %zu bytes, expected at most %d",
                         strlen(out->path),
                         TARGET_PATH_SIZE_MAX);
    }
    return 0;
}

static int
parse_pair(const char *text, size_t size, struct target *out, struct error *err)
{
    const char *equals = memchr(text, '=', size);
    size_t key_size = equals ? (size_t)(equals - text) : size;

    if (size == 0) {
        return 0;
    }
    if (out->pair_count == TARGET_PAIRS_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "the query has more than %d parts",
                         TARGET_PAIRS_MAX);
    }
    struct target_pair *pair = &out->pairs[out->pair_count++];
    pair->key = decode(text, key_size, true);
    if (equals) {
        pair->value = decode(equals + 1, size - key_size - 1, true);
    }
    return pair->key && (pair->value || !equals) ? 0 : undecodable(text, size, err);
}

// In the absolute form, what comes before the path is whatever host the client saw.
static const char *skip_authority(const char *text)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(schemes[i]);
        if (strncmp(text, schemes[i], length) == 0) {
            return text + length + strcspn(text + length, "/?");
        }
    }
    return text;
}

int target_parse(const char *text, struct target *out, struct error *err)
{
    const char *path = skip_authority(text);
    size_t path_size = strcspn(path, "?#");

    *out = (struct target){0};
    if (path != text && path_size == 0) {
        out->path = memory_strdup("/");
    } else if (*path != '/') {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "the request's path does not begin with a slash");
    } else if (parse_path(path, path_size, out, err) != 0) {
        return -1;
    }
    const char *at = path + path_size;
    while (*at == '?' || *at == '&') {
        size_t size = strcspn(++at, "&#");
        if (parse_pair(at, size, out, err) != 0) {
            return -1;
        }
        at += size;
    }
    return 0;
}

void target_fini(struct target *target)
{
    for (size_t i = 0; i < target->pair_count; i++) {
        free(target->pairs[i].key);
        free(target->pairs[i].value);
    }
    free(target->path);
    *target = (struct target){0};
}

// Takes `text` for what was said under `key`, unless something else was said before.
static int
settle(const char *key, const char *text, const char **inout, struct error *err)
{
    if (*inout && strcmp(*inout, text) != 0) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%s: got both \"%s\" and \"%s\", expected one",
                         key,
                         *inout,
                         text);
    }
    *inout = text;
    return 0;
}

int target_get(const struct target *target,
               const char *key,
               const char **out,
               struct error *err)
{
    const char *found = NULL;

    for (size_t i = 0; i < target->pair_count; i++) {
        const struct target_pair *pair = &target->pairs[i];
        const char *value = pair->value ? pair->value : "";
        if (strcmp(pair->key, key) == 0 && settle(key, value, &found, err) != 0) {
            return -1;
        }
    }
    *out = found;
    return 0;
}

int target_get_bool(const struct target *target,
                    const char *key,
                    bool *inout,
                    struct error *err)
{
    static const char *const spellings[] = {"0",
                                            "1",
                                            "f",
                                            "t",
                                            "F",
                                            "T",
                                            "false",
                                            "true",
                                            "FALSE",
                                            "TRUE",
                                            "False",
                                            "True"};
    const char *text;

    if (target_get(target, key, &text, err) != 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        if (strcmp(text, spellings[i]) == 0) {
            *inout = i % 2 == 1;
            return 0;
        }
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "%s: got \"%s\", expected true or false",
                     key,
                     text);
}

int target_get_number(const struct target *target,
                      const char *key,
                      uint64_t max,
                      uint64_t *inout,
                      struct error *err)
{
    const char *text;
    uint64_t number = 0;

    if (target_get(target, key, &text, err) != 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (digit > max || number > (max - digit) / 10) {
            break;
        }
        number = number * 10 + digit;
    }
    if (*at || at == text) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%s: got \"%s\", expected a whole number from 0 to %" PRIu64,
                         key,
                         text,
                         max);
    }
    *inout = number;
    return 0;
}

static bool is_job_key(const char *key)
{
    for (size_t i = 0; i < JOB_KEY_COUNT; i++) {
        if (strcmp(key, job_keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

int target_get_job(const struct target *target,
                   const char *segment,
                   const char **out_text,
                   struct error *err)
{
    const char *found = segment && *segment ? segment : NULL;
    uint64_t job_id;

    for (size_t i = 0; i < target->pair_count; i++) {
        const struct target_pair *pair = &target->pairs[i];
        const char *value = pair->value ? pair->value : "";
        if (is_job_key(pair->key)) {
            if (!*value) {
                return error_set_kind(err,
                                      ERROR_INVALID_ARGUMENT,
                                      "endpoints.query_param_required",
                                      "%s: expected a job id behind it",
                                      pair->key);
            }
        } else if (!*value && id_job_parse(pair->key, &job_id)) {
            value = pair->key;
        } else {
            continue;
        }
        if (settle("jobID", value, &found, err) != 0) {
            return -1;
        }
    }
    *out_text = found;
    return 0;
}
