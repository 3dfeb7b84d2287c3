/* SPDX-License-Identifier: Apache-2.0 */
/* json_fields.c - which of an object's members we know, and are they of the right type
 */
#include "master/json_fields.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/buffer.h"
#include "common/json.h"

static const char *const type_names[] = {
    [JSON_FIELD_INTEGER] = "an integer without fraction or exponent",
    [JSON_FIELD_TEXT] = "a string",
    [JSON_FIELD_OBJECT] = "an object",
    [JSON_FIELD_ARRAY] = "an array",
    [JSON_FIELD_TEXTS] = "an array of strings",
};

static bool is_integer(struct json_slice value)
{
    for (size_t i = value.text[0] == '-'; i < value.size; i++) {
        if (value.text[i] < '0' || value.text[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool is_text_array(struct json_slice value, struct json_slice *out_wrong)
{
    struct json_cursor cursor;
    struct json_slice element;

    json_cursor_init(&cursor, value);
    while (json_cursor_element(&cursor, &element)) {
        if (element.text[0] != '"') {
            *out_wrong = element;
            return false;
        }
    }
    return true;
}

// Whether a value is of the type; else *out_wrong is what is not.
static bool has_type(struct json_slice value,
                     enum json_field_type type,
                     struct json_slice *out_wrong)
{
    char first = value.text[0];

    *out_wrong = value;
    switch (type) {
    case JSON_FIELD_INTEGER:
        return (first == '-' || (first >= '0' && first <= '9')) && is_integer(value);
    case JSON_FIELD_TEXT:
        return first == '"';
    case JSON_FIELD_OBJECT:
        return first == '{';
    case JSON_FIELD_ARRAY:
        return first == '[';
    case JSON_FIELD_TEXTS:
        return first == '[' && is_text_array(value, out_wrong);
    }
    return false;
}

void json_field_place(char out[JSON_FIELD_PLACE_SIZE],
                      const char *where,
                      const char *name)
{
    (void)snprintf(
        out, JSON_FIELD_PLACE_SIZE, "%s%s%s", where, *where ? ": " : "", name);
}

static int check_type(struct json_slice value,
                      const char *where,
                      const struct json_field *field,
                      struct error *err)
{
    struct json_slice wrong;
    char place[JSON_FIELD_PLACE_SIZE];
    char excerpt[JSON_EXCERPT_SIZE];

    if (has_type(value, field->type, &wrong)) {
        return 0;
    }
    json_field_place(place, where, field->name);
    json_excerpt(wrong.text, wrong.size, 0, excerpt);
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "%s: expected %s, got %s",
                     place,
                     type_names[field->type],
                     excerpt);
}

// The row whose name the key is; exact, or *out_exact is false and case was ignored.
static const struct json_field *find_field(const struct json_field *fields,
                                           size_t count,
                                           const struct buffer *key,
                                           bool *out_exact)
{
    for (int exact = 1; exact >= 0; exact--) {
        for (size_t i = 0; i < count; i++) {
            const char *name = fields[i].name;
            int difference = exact ? strcmp(name, buffer_text(key))
                                   : strcasecmp(name, buffer_text(key));
            if (difference == 0) {
                *out_exact = exact;
                return &fields[i];
            }
        }
    }
    return NULL;
}

int json_fields_take(struct json_slice object,
                     const char *where,
                     const struct json_field *fields,
                     size_t count,
                     struct json_slice *out,
                     struct error *err)
{
    struct json_cursor cursor;
    struct json_slice key;
    struct json_slice value;
    struct buffer name = BUFFER_INIT;
    bool exactly[JSON_FIELDS_MAX] = {false};
    int result = 0;

    json_cursor_init(&cursor, object);
    while (result == 0 && json_cursor_member(&cursor, &key, &value)) {
        bool exact = false;
        buffer_clear(&name);
        const struct json_field *field = json_unescape(key, &name, NULL) == 0
                                             ? find_field(fields, count, &name, &exact)
                                             : NULL;
        if (!field || value.text[0] == 'n') {
            continue;
        }
        result = check_type(value, where, field, err);
        size_t row = (size_t)(field - fields);
        if (exact || !exactly[row]) {
            out[row] = value;
            exactly[row] = exact;
        }
    }
    buffer_fini(&name);
    return result;
}

char *json_field_text(struct json_slice string, const char *place, struct error *err)
{
    struct buffer text = BUFFER_INIT;

    if (json_unescape(string, &text, err) != 0) {
        (void)error_wrap(err, "%s", place);
        buffer_fini(&text);
        return NULL;
    }
    return buffer_take(&text);
}
