/* SPDX-License-Identifier: Apache-2.0 */
/* api_field.c - how a map of cortex.yaml is read into a struct, strictly */
#include "master/api_field.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/yaml_read.h"

static const struct api_field *find_field(const struct api_field *fields,
                                          const char *name)
{
    for (; fields->name; fields++) {
        if (strcmp(fields->name, name) == 0) {
            return fields;
        }
    }
    return NULL;
}

static int unsupported_key(const struct yaml_node *node,
                           const struct api_field *fields,
                           struct error *err)
{
    struct buffer names = BUFFER_INIT;

    for (const struct api_field *field = fields; field->name; field++) {
        buffer_add_format(&names, "%s%s", field == fields ? "" : ", ", field->name);
    }
    (void)error_set_kind(err,
                         ERROR_INVALID_ARGUMENT,
                         "configreader.unsupported_key",
                         "key \"%.100s\" is not supported, expected one of: %s "
                         "(line %d, column %d)",
                         node->key,
                         buffer_text(&names),
                         node->key_line,
                         node->key_column);
    buffer_fini(&names);
    return -1;
}

static int check_required(const struct yaml_node *map,
                          const struct api_field *fields,
                          struct error *err)
{
    for (const struct api_field *field = fields; field->name; field++) {
        if (field->required && !yaml_node_get(map, field->name)) {
            (void)yaml_node_fail(
                map, err, "configreader.must_be_defined", "must be given");
            return error_wrap(err, "%s", field->name);
        }
    }
    return 0;
}

int api_field_read(const struct yaml_node *map,
                   const struct api_field *fields,
                   void *target,
                   struct error *err)
{
    if (map->kind != YAML_NODE_MAP) {
        return api_field_wrong_type(map, "a map", err);
    }
    for (size_t i = 0; i < map->child_count; i++) {
        const struct yaml_node *node = map->children[i];
        const struct api_field *field = find_field(fields, node->key);
        if (!field) {
            return unsupported_key(node, fields, err);
        }
        if (field->nullable && yaml_read_null(node)) {
            continue;
        }
        if (field->read(node, target, err) != 0) {
            return error_wrap(err, "%s", field->name);
        }
    }
    return check_required(map, fields, err);
}

int api_field_wrong_type(const struct yaml_node *node,
                         const char *expected,
                         struct error *err)
{
    const char *kind = yaml_read_null(node) ? "configreader.cannot_be_null"
                                            : "configreader.invalid_primitive_type";

    if (node->kind != YAML_NODE_TEXT || yaml_read_null(node)) {
        return yaml_node_fail(node,
                              err,
                              kind,
                              "got %s, expected %s",
                              yaml_read_kind_words(node),
                              expected);
    }
    return yaml_node_fail(node,
                          err,
                          kind,
                          "got %.100s (%s), expected %s",
                          node->text,
                          yaml_read_kind_words(node),
                          expected);
}

const char *api_field_text(const struct yaml_node *node, struct error *err)
{
    const char *text = yaml_read_string(node);
    bool quotable = node->kind == YAML_NODE_TEXT && !yaml_read_null(node);

    if (!text) {
        (void)api_field_wrong_type(
            node, quotable ? "a string: put it in quotes" : "a string", err);
    }
    return text;
}

const char *api_field_string(const struct yaml_node *node, struct error *err)
{
    const char *text = api_field_text(node, err);

    if (text && *text == '\0') {
        (void)yaml_node_fail(
            node, err, "configreader.cannot_be_empty", "cannot be empty");
        return NULL;
    }
    return text;
}

void api_field_keep(char **text, const char *with)
{
    free(*text);
    *text = memory_strdup(with);
}

int api_field_int(const struct yaml_node *node,
                  int64_t min,
                  int64_t max,
                  int64_t *out,
                  struct error *err)
{
    int64_t value;

    if (!yaml_read_int(node, &value)) {
        return api_field_wrong_type(node, "a whole number", err);
    }
    if (value < min) {
        return yaml_node_fail(node,
                              err,
                              "configreader.must_be_greater_than_or_equal_to",
                              "got %" PRId64 ", must be %" PRId64 " or more",
                              value,
                              min);
    }
    if (value > max) {
        return yaml_node_fail(node,
                              err,
                              "configreader.must_be_less_than_or_equal_to",
                              "got %" PRId64 ", must be %" PRId64 " or less",
                              value,
                              max);
    }
    *out = value;
    return 0;
}
