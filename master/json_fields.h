/* SPDX-License-Identifier: Apache-2.0 */
/* json_fields.h - which of an object's members we know, and are they of the right type
 *
 * Takes an object of a checked document apart without copying or changing a value.
 * Pure, thread-safe. */
#ifndef CORTEX_MASTER_JSON_FIELDS_H
#define CORTEX_MASTER_JSON_FIELDS_H

#include <stddef.h>

#include "common/error.h"
#include "common/json_text.h"

#define JSON_FIELDS_MAX       16 /* rows of a table of fields */
#define JSON_FIELD_PLACE_SIZE 96 /* of "delimited_files: batch_size", with NUL */

enum json_field_type {
    JSON_FIELD_INTEGER, /* written without fraction and exponent */
    JSON_FIELD_TEXT,
    JSON_FIELD_OBJECT,
    JSON_FIELD_ARRAY,
    JSON_FIELD_TEXTS, /* an array of strings */
};

struct json_field {
    const char *name;
    enum json_field_type type;
};

/* out[i] becomes the value of fields[i]; it stays as it is if that is absent or null.
 * Other members are ignored. A key that matches only when case is ignored counts unless
 * an exact one is there; of equal keys the last does. A value of another type is
 * INVALID_ARGUMENT: "<where>: <name>: expected an integer ..., got 1.0"; where may be
 * "". */
int json_fields_take(struct json_slice object,
                     const char *where,
                     const struct json_field *fields,
                     size_t count,
                     struct json_slice *out,
                     struct error *err);

/* "<where>: <name>", or the name alone if where is "". */
void json_field_place(char out[JSON_FIELD_PLACE_SIZE],
                      const char *where,
                      const char *name);

/* The text that a string of the document stands for; the caller frees. NULL with
 * INVALID_ARGUMENT "<place>: ..." if it cannot be a C string. */
char *json_field_text(struct json_slice string, const char *place, struct error *err);

#endif
