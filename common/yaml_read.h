/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_read.h - what a node means: YAML 1.2's core schema
 *
 * For whoever reads a field of a document (yaml_document.h), which leaves scalars the
 * text that was written. See https://yaml.org/spec/1.2.2/#103-core-schema. Pure. */
#ifndef CORTEX_COMMON_YAML_READ_H
#define CORTEX_COMMON_YAML_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/yaml_document.h"

/* `null`, `~` or nothing at all. */
bool yaml_read_null(const struct yaml_node *node);

/* A whole decimal number without quotes; false for anything else or past int64_t. A
 * number with zeros in front is none: it means different things to different readers.
 */
bool yaml_read_int(const struct yaml_node *node, int64_t *out);

/* `true` or `false` (also True, TRUE...), without quotes. */
bool yaml_read_bool(const struct yaml_node *node, bool *out);

/* A decimal number, fraction and exponent allowed, without quotes. */
bool yaml_read_float(const struct yaml_node *node, double *out);

/* A string: in quotes, or what is neither null, boolean nor number. NULL if it is none.
 * Borrowed. */
const char *yaml_read_string(const struct yaml_node *node);

/* The whole tree as JSON text: maps and lists in their order, strings quoted, numbers
 * with the digits that were written (`12345678901234567890` and `1e-3` stay as they
 * are; 0x1F and 0o17 become decimal; 0777 is a string). -1 for .inf and .nan. */
int yaml_read_as_json(const struct yaml_node *node,
                      struct buffer *out,
                      struct error *err);

/* "a list", "a map", "null", "a string", "an integer", "a number", "a boolean": what
 * YAML 1.2's core schema makes of it. */
const char *yaml_read_kind_words(const struct yaml_node *node);

#endif
