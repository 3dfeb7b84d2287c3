/* SPDX-License-Identifier: Apache-2.0 */
/* corpus.h - the cases of tests/corpus/<kind>, one after another
 *
 * A folder of JSON files, each an array of objects: input, and what is to come of it.
 * Needs cmocka.h before it.
 */
#ifndef CORTEX_TESTS_CORPUS_H
#define CORTEX_TESTS_CORPUS_H

#include <dirent.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/utf8.h"

typedef void (*corpus_case_fn)(const cJSON *row);

static inline size_t corpus_each_of_file(const char *path, corpus_case_fn check)
{
    struct buffer text = BUFFER_INIT;
    const cJSON *row = NULL;
    size_t count = 0;

    assert_int_equal(fs_read(path, 1 << 20, &text, NULL), 0);
    cJSON *rows = cJSON_Parse(buffer_text(&text));
    assert_non_null(rows);
    cJSON_ArrayForEach(row, rows)
    {
        check(row);
        count++;
    }
    cJSON_Delete(rows);
    buffer_fini(&text);
    return count;
}

/* Calls check for every case; fails if there are fewer than count_min. */
static inline void corpus_each(const char *kind, size_t count_min, corpus_case_fn check)
{
    char *folder = fs_join(TEST_SOURCE_DIR "/tests/corpus", kind);
    DIR *entries = opendir(folder);
    struct dirent *entry;
    size_t count = 0;

    assert_non_null(entries);
    while ((entry = readdir(entries))) {
        if (strstr(entry->d_name, ".json")) {
            char *path = fs_join(folder, entry->d_name);
            count += corpus_each_of_file(path, check);
            free(path);
        }
    }
    (void)closedir(entries);
    free(folder);
    assert_true(count >= count_min);
}

/* A text of the case, NULL if it has none. In a case with "bytes" each character of it
 * is a byte. The caller frees. */
static inline char *corpus_text(const cJSON *row, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, key));
    char *out = memory_strdup(text);
    size_t used = 0;
    uint32_t code;

    if (!text || !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "bytes"))) {
        return out;
    }
    for (const char *at = text; *at; at += utf8_decode(at, strlen(at), &code)) {
        (void)utf8_decode(at, strlen(at), &code);
        out[used++] = (char)code;
    }
    out[used] = '\0';
    return out;
}

#endif
