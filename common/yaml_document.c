/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_document.c - what a YAML text says, and where it says it */
#include "common/yaml_document.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/json_write.h"

#define CHILDREN_MIN   4
#define WORDS_IN_ERROR 60 // how much of a text an error quotes

struct loader {
    yaml_parser_t parser;
    size_t nodes;
    struct error *err;
};

static int
fail_at(struct error *err, const char *kind, int line, int column, const char *reason)
{
    return error_set_kind(err,
                          ERROR_INVALID_ARGUMENT,
                          kind,
                          "%s (line %d, column %d)",
                          reason,
                          line,
                          column);
}

static int fail_mark(struct loader *loader, const yaml_mark_t *mark, const char *reason)
{
    return fail_at(loader->err,
                   YAML_DOCUMENT_INVALID,
                   (int)mark->line + 1,
                   (int)mark->column + 1,
                   reason);
}

int yaml_node_fail(const struct yaml_node *node,
                   struct error *err,
                   const char *kind,
                   const char *format,
                   ...)
{
    char reason[ERROR_MESSAGE_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    return fail_at(err, kind, node->line, node->column, reason);
}

static int next_event(struct loader *loader, yaml_event_t *event)
{
    yaml_parser_t *parser = &loader->parser;

    if (yaml_parser_parse(parser, event)) {
        return 0;
    }
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    char reason[256];
    if (parser->context) {
        (void)snprintf(reason, sizeof(reason), "%s %s", problem, parser->context);
        problem = reason;
    }
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) { // knows an offset, but no line
        mark = parser->mark;
    }
    return fail_mark(loader, &mark, problem);
}

// What stands in front of a value and is refused.
static int check_decoration(struct loader *loader,
                            const yaml_event_t *event,
                            const yaml_char_t *anchor,
                            const yaml_char_t *tag)
{
    if (anchor) {
        return fail_mark(loader, &event->start_mark, "anchors (&) are not supported");
    }
    if (tag) {
        return fail_mark(loader, &event->start_mark, "tags (!) are not supported");
    }
    return 0;
}

static struct yaml_node *
node_create(struct loader *loader, enum yaml_node_kind kind, const yaml_event_t *event)
{
    if (++loader->nodes > YAML_DOCUMENT_NODES_MAX) {
        (void)fail_mark(loader, &event->start_mark, "too many values");
        return NULL;
    }
    struct yaml_node *node = memory_zalloc(sizeof(*node));
    node->kind = kind;
    node->line = (int)event->start_mark.line + 1;
    node->column = (int)event->start_mark.column + 1;
    return node;
}

static void node_destroy(struct yaml_node *node)
{
    if (!node) {
        return;
    }
    for (size_t i = 0; i < node->child_count; i++) {
        node_destroy(node->children[i]);
    }
    free(node->children);
    free(node->text);
    free(node->key);
    free(node);
}

static void add_child(struct yaml_node *parent, struct yaml_node *child)
{
    size_t n = parent->child_count;

    // grows at 4, 8, 16, ...
    if (n == 0 || (n >= CHILDREN_MIN && (n & (n - 1)) == 0)) {
        size_t room = n < CHILDREN_MIN ? CHILDREN_MIN : 2 * n;
        parent->children =
            memory_realloc(parent->children, room * sizeof(*parent->children));
    }
    parent->children[parent->child_count++] = child;
}

static struct yaml_node *build_text(struct loader *loader, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;

    if (check_decoration(
            loader, event, event->data.scalar.anchor, event->data.scalar.tag) != 0) {
        return NULL;
    }
    if (memchr(value, '\0', length)) {
        (void)fail_mark(loader, &event->start_mark, "NUL characters are not allowed");
        return NULL;
    }
    struct yaml_node *node = node_create(loader, YAML_NODE_TEXT, event);
    if (node) {
        node->text = memory_strndup(value, length);
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    }
    return node;
}

static int by_key(const void *left, const void *right)
{
    const struct yaml_node *a = *(const struct yaml_node *const *)left;
    const struct yaml_node *b = *(const struct yaml_node *const *)right;
    int order = strcmp(a->key, b->key);

    if (order != 0) {
        return order;
    }
    return a->key_line != b->key_line ? a->key_line - b->key_line
                                      : a->key_column - b->key_column;
}

static int check_duplicates(const struct yaml_node *map, struct error *err)
{
    size_t n = map->child_count;
    int result = 0;

    if (n < 2) {
        return 0;
    }
    struct yaml_node **sorted = memory_zalloc(n * sizeof(struct yaml_node *));
    memcpy(sorted, map->children, n * sizeof(struct yaml_node *));
    qsort(sorted, n, sizeof(struct yaml_node *), by_key);
    for (size_t i = 1; i < n && result == 0; i++) {
        const struct yaml_node *first = sorted[i - 1];
        const struct yaml_node *again = sorted[i];
        if (strcmp(first->key, again->key) == 0) {
            result = error_set_kind(err,
                                    ERROR_INVALID_ARGUMENT,
                                    YAML_DOCUMENT_INVALID,
                                    "the key \"%.*s\" is given twice, first in line %d "
                                    "(line %d, column %d)",
                                    WORDS_IN_ERROR,
                                    again->key,
                                    first->key_line,
                                    again->key_line,
                                    again->key_column);
        }
    }
    free(sorted);
    return result;
}

static struct yaml_node *
build_node(struct loader *loader, const yaml_event_t *event, int depth);

// Reads a map's value, whose key is in *key, into the map.
static int build_entry(struct loader *loader,
                       const yaml_event_t *key,
                       struct yaml_node *map,
                       int depth)
{
    yaml_event_t event;

    if (key->type == YAML_ALIAS_EVENT) {
        return fail_mark(loader, &key->start_mark, "aliases (*) are not supported");
    }
    if (key->type != YAML_SCALAR_EVENT) {
        return fail_mark(loader, &key->start_mark, "a key must be a string");
    }
    struct yaml_node *name = build_text(loader, key);
    if (!name) {
        return -1;
    }
    if (next_event(loader, &event) != 0) {
        node_destroy(name);
        return -1;
    }
    struct yaml_node *value = build_node(loader, &event, depth);
    yaml_event_delete(&event);
    if (value) {
        value->key = name->text;
        value->key_line = name->line;
        value->key_column = name->column;
        name->text = NULL;
        add_child(map, value);
    }
    node_destroy(name);
    return value ? 0 : -1;
}

static int build_item(struct loader *loader,
                      const yaml_event_t *event,
                      struct yaml_node *list,
                      int depth)
{
    struct yaml_node *item = build_node(loader, event, depth);

    if (!item) {
        return -1;
    }
    add_child(list, item);
    return 0;
}

// Fills a list or map up to its end event.
static int fill(struct loader *loader, struct yaml_node *node, int depth)
{
    bool list = node->kind == YAML_NODE_LIST;

    for (;;) {
        yaml_event_t event;
        if (next_event(loader, &event) != 0) {
            return -1;
        }
        bool end = event.type == YAML_SEQUENCE_END_EVENT ||
                   event.type == YAML_MAPPING_END_EVENT;
        int result = end    ? 0
                     : list ? build_item(loader, &event, node, depth)
                            : build_entry(loader, &event, node, depth);
        yaml_event_delete(&event);
        if (end || result != 0) {
            return end && !list ? check_duplicates(node, loader->err) : result;
        }
    }
}

static struct yaml_node *build_collection(struct loader *loader,
                                          const yaml_event_t *event,
                                          enum yaml_node_kind kind,
                                          int depth)
{
    bool list = kind == YAML_NODE_LIST;
    const yaml_char_t *anchor =
        list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    const yaml_char_t *tag =
        list ? event->data.sequence_start.tag : event->data.mapping_start.tag;

    if (check_decoration(loader, event, anchor, tag) != 0) {
        return NULL;
    }
    if (depth >= YAML_DOCUMENT_DEPTH_MAX) {
        (void)fail_mark(loader, &event->start_mark, "nested too deeply");
        return NULL;
    }
    struct yaml_node *node = node_create(loader, kind, event);
    if (node && fill(loader, node, depth + 1) != 0) {
        node_destroy(node);
        return NULL;
    }
    return node;
}

static struct yaml_node *
build_node(struct loader *loader, const yaml_event_t *event, int depth)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return build_text(loader, event);
    case YAML_SEQUENCE_START_EVENT:
        return build_collection(loader, event, YAML_NODE_LIST, depth);
    case YAML_MAPPING_START_EVENT:
        return build_collection(loader, event, YAML_NODE_MAP, depth);
    default:
        (void)fail_mark(loader, &event->start_mark, "aliases (*) are not supported");
        return NULL;
    }
}

// One event between documents. *out_root is set by the first document's.
static int take_event(struct loader *loader,
                      const yaml_event_t *event,
                      struct yaml_node **out_root)
{
    switch (event->type) {
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    case YAML_DOCUMENT_START_EVENT:
        return *out_root ? fail_mark(loader,
                                     &event->start_mark,
                                     "only one document is allowed in a file")
                         : 0;
    default:
        *out_root = build_node(loader, event, 0);
        return *out_root ? 0 : -1;
    }
}

static int load(struct loader *loader, struct yaml_node **out_root)
{
    struct yaml_node *root = NULL;

    for (bool end = false; !end;) {
        yaml_event_t event;
        int result = next_event(loader, &event);
        if (result == 0) {
            result = take_event(loader, &event, &root);
            end = event.type == YAML_STREAM_END_EVENT;
            yaml_event_delete(&event);
        }
        if (result != 0) {
            node_destroy(root);
            return -1;
        }
    }
    *out_root = root;
    return 0;
}

int yaml_document_parse(const char *text,
                        size_t size,
                        struct yaml_document *out,
                        struct error *err)
{
    struct loader loader = {.err = err};
    struct yaml_node *root = NULL;

    if (size > YAML_DOCUMENT_SIZE_MAX) {
        return error_set_kind(err,
                              ERROR_OUT_OF_RANGE,
                              YAML_DOCUMENT_INVALID,
                              "%zu bytes are more than the limit of %u bytes",
                              size,
                              YAML_DOCUMENT_SIZE_MAX);
    }
    if (!yaml_parser_initialize(&loader.parser)) {
        return error_set(err, ERROR_RESOURCE_EXHAUSTED, "no memory for a YAML parser");
    }
    yaml_parser_set_encoding(&loader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &loader.parser, (const unsigned char *)(text ? text : ""), size);
    int result = load(&loader, &root);
    yaml_parser_delete(&loader.parser);
    if (result == 0) {
        out->root = root;
    }
    return result;
}

void yaml_document_fini(struct yaml_document *document)
{
    node_destroy(document->root);
    document->root = NULL;
}

const struct yaml_node *yaml_node_get(const struct yaml_node *node, const char *key)
{
    if (node && node->kind == YAML_NODE_MAP) {
        for (size_t i = 0; i < node->child_count; i++) {
            if (strcmp(node->children[i]->key, key) == 0) {
                return node->children[i];
            }
        }
    }
    return NULL;
}
