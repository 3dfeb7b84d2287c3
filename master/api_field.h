/* SPDX-License-Identifier: Apache-2.0 */
/* api_field.h - how a map of cortex.yaml is read into a struct, strictly
 *
 * A section is a table of fields: name and reader. A key that is not
 * in the table is refused. Each error begins with the field's name, so that readers
 * that call api_field_read for an inner section yield "predictor: path: ...", and ends
 * with the place: "(line 5, column 11)". Pure. */
#ifndef CORTEX_MASTER_API_FIELD_H
#define CORTEX_MASTER_API_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/yaml_document.h"

struct api_field {
    const char *name; /* NULL ends the table */
    bool required;
    bool nullable; /* an explicit null is as if the key were not there */
    int (*read)(const struct yaml_node *node, void *target, struct error *err);
};

/* Characters that names and paths may have, for strspn. */
#define API_FIELD_LOWER  "abcdefghijklmnopqrstuvwxyz"
#define API_FIELD_UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define API_FIELD_DIGITS "0123456789"

/* Reads a map; every reader gets the target. */
int api_field_read(const struct yaml_node *map,
                   const struct api_field *fields,
                   void *target,
                   struct error *err);

/* Says what was found and what was expected, kind configreader.invalid_primitive_type.
 * Returns -1. */
int api_field_wrong_type(const struct yaml_node *node,
                         const char *expected,
                         struct error *err);

/* A string, borrowed from the node; NULL on failure. api_field_string refuses "". */
const char *api_field_text(const struct yaml_node *node, struct error *err);
const char *api_field_string(const struct yaml_node *node, struct error *err);

/* A copy of it in place of *text, which is freed. */
void api_field_keep(char **text, const char *with);

/* A whole number from min to max. */
int api_field_int(const struct yaml_node *node,
                  int64_t min,
                  int64_t max,
                  int64_t *out,
                  struct error *err);

#endif
