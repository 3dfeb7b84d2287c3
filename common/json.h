/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - control documents as trees, and text to and from JSON strings
 *
 * For small documents that we read and write ourselves: settings, specs, status,
 * project lists. Items and `config` never come here, since a tree changes what it holds
 * (see json_text.h for those). Trees are cJSON's; whoever builds or walks one includes
 * cJSON.h. Nothing blocks; a tree belongs to one thread at a time.
 */
#ifndef CORTEX_COMMON_JSON_H
#define CORTEX_COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/json_text.h"

struct cJSON;

/* The tree of one whole document, which json_check must pass and which may not hold
 * "\u0000" (cJSON would cut the text there). INVALID_ARGUMENT. Free with json_free. */
int json_parse(const char *text,
               size_t size,
               struct cJSON **out_tree,
               struct error *err);
void json_free(struct cJSON *tree);

/* The value at a path of keys joined by dots, such as "networking.endpoint"; NULL if it
 * is absent or null. Keys match exactly. Borrowed from the tree. */
const struct cJSON *json_find(const struct cJSON *tree, const char *path);

/* Typed reading. What is absent or null leaves *out as it is and is no error; a value
 * of another type or out of bounds is INVALID_ARGUMENT: "compute.gpu: expected an
 * integer from 0 to 16, got 1.5". Text is borrowed from the tree. Integers are exact up
 * to 2^53. */
int json_get_text(const struct cJSON *tree,
                  const char *path,
                  const char **out,
                  struct error *err);
int json_get_integer(const struct cJSON *tree,
                     const char *path,
                     int64_t min,
                     int64_t max,
                     int64_t *out,
                     struct error *err);
int json_get_bool(const struct cJSON *tree,
                  const char *path,
                  bool *out,
                  struct error *err);
/* INVALID_ARGUMENT "<path>: is required" unless there is a value. */
int json_require(const struct cJSON *tree, const char *path, struct error *err);

/* Adds the tree's text to *out, on one line. */
void json_add_tree(struct buffer *out, const struct cJSON *tree);

/* Adds text as a JSON string with its quotes. A byte that is no UTF-8 becomes U+FFFD.
 */
void json_add_string(struct buffer *out, const char *text, size_t size);
void json_add_text(struct buffer *out, const char *text); /* NUL-terminated */

/* Adds the UTF-8 text that a string slice (with its quotes, from a checked document)
 * stands for. "\u0000" is INVALID_ARGUMENT, since the text could not be a C string; a
 * lone surrogate becomes U+FFFD. */
int json_unescape(struct json_slice string, struct buffer *out, struct error *err);

#endif
