/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_document.c - what a YAML text says, and where it says it */
#include "common/yaml_document.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/json_write.h"

#define INVALID_YAML   "configreader.invalid_yaml"
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
    return fail_at(
        loader->err, INVALID_YAML, (int)mark->line + 1, (int)mark->column + 1, reason);
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
                                    INVALID_YAML,
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
                              INVALID_YAML,
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

// --- what a plain scalar means: YAML 1.2's core schema ---

static bool plain(const struct yaml_node *node)
{
    return node->kind == YAML_NODE_TEXT && !node->quoted;
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

bool yaml_read_null(const struct yaml_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    return plain(node) && one_of(node->text, words);
}

bool yaml_read_bool(const struct yaml_node *node, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};

    if (!plain(node) || (!one_of(node->text, yes) && !one_of(node->text, no))) {
        return false;
    }
    *out = one_of(node->text, yes);
    return true;
}

// A number taken apart: [sign] whole [. fraction] [e [sign] exponent]
struct number {
    bool negative;
    const char *whole;
    size_t whole_size;
    const char *fraction;
    size_t fraction_size;
    const char *exponent; // from the 'e' on
    bool point;
};

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

static bool split_number(const char *text, struct number *out)
{
    struct number number = {.negative = *text == '-'};

    text += *text == '-' || *text == '+';
    number.whole = text;
    number.whole_size = digits(text);
    text += number.whole_size;
    if (*text == '.') {
        number.point = true;
        number.fraction = ++text;
        number.fraction_size = digits(text);
        text += number.fraction_size;
    }
    if (number.whole_size + number.fraction_size == 0 ||
        (number.whole_size > 1 && number.whole[0] == '0')) {
        return false; // 0777 is octal to some and decimal to others
    }
    if (*text == 'e' || *text == 'E') {
        number.exponent = text++;
        text += *text == '-' || *text == '+';
        if (digits(text) == 0) {
            return false;
        }
        text += digits(text);
    }
    *out = number;
    return *text == '\0';
}

static bool whole_number(const struct yaml_node *node, struct number *out)
{
    return plain(node) && split_number(node->text, out) && !out->point &&
           !out->exponent;
}

bool yaml_read_int(const struct yaml_node *node, int64_t *out)
{
    struct number number;

    if (!whole_number(node, &number)) {
        return false;
    }
    errno = 0;
    long long value = strtoll(node->text, NULL, 10);
    if (errno != 0) {
        return false;
    }
    *out = value;
    return true;
}

bool yaml_read_float(const struct yaml_node *node, double *out)
{
    struct number number;

    if (!plain(node) || !split_number(node->text, &number)) {
        return false;
    }
    *out = strtod(node->text, NULL);
    return true;
}

// 0x1F, 0o17: *out_base and where the digits are; NULL if it is neither.
static const char *based_number(const char *text, int *out_base)
{
    bool hex = strncmp(text, "0x", 2) == 0;
    bool octal = strncmp(text, "0o", 2) == 0;
    const char *allowed = hex ? "0123456789abcdefABCDEF" : "01234567";
    size_t n = hex || octal ? strspn(text + 2, allowed) : 0;

    if (n == 0 || n > 15 || text[2 + n] != '\0') {
        return NULL;
    }
    *out_base = hex ? 16 : 8;
    return text + 2;
}

static bool not_finite(const char *text)
{
    static const char *const words[] = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        bool sign = i >= 3 && (*text == '-' || *text == '+');
        if (strcmp(text + sign, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

const char *yaml_read_string(const struct yaml_node *node)
{
    struct number number;
    bool truth;
    int base;

    if (node->kind != YAML_NODE_TEXT) {
        return NULL;
    }
    if (node->quoted) {
        return node->text;
    }
    return yaml_read_null(node) || yaml_read_bool(node, &truth) ||
                   split_number(node->text, &number) || not_finite(node->text) ||
                   based_number(node->text, &base)
               ? NULL
               : node->text;
}

const char *yaml_node_kind_words(const struct yaml_node *node)
{
    struct number number;
    bool truth;
    int base;

    switch (node->kind) {
    case YAML_NODE_LIST:
        return "a list";
    case YAML_NODE_MAP:
        return "a map";
    case YAML_NODE_TEXT:
        break;
    }
    return yaml_read_null(node)           ? "null"
           : yaml_read_string(node)       ? "a string"
           : yaml_read_bool(node, &truth) ? "a boolean"
           : whole_number(node, &number) || based_number(node->text, &base)
               ? "an integer"
               : "a number";
}

// --- JSON ---

// JSON knows no +1, .5 or 1.
static void write_number(const struct number *number, struct buffer *out)
{
    if (number->negative) {
        buffer_add_char(out, '-');
    }
    buffer_add(out, number->whole, number->whole_size);
    if (number->whole_size == 0) {
        buffer_add_char(out, '0');
    }
    if (number->point) {
        buffer_add_char(out, '.');
        buffer_add(out, number->fraction, number->fraction_size);
        if (number->fraction_size == 0) {
            buffer_add_char(out, '0');
        }
    }
    if (number->exponent) {
        buffer_add_text(out, number->exponent);
    }
}

static int
write_scalar(const struct yaml_node *node, struct buffer *out, struct error *err)
{
    const char *string = yaml_read_string(node);
    struct number number;
    bool truth;
    int base;

    if (string) {
        json_write_text(out, string);
    } else if (yaml_read_null(node)) {
        buffer_add_text(out, "null");
    } else if (yaml_read_bool(node, &truth)) {
        buffer_add_text(out, truth ? "true" : "false");
    } else if (node->text && split_number(node->text, &number)) {
        write_number(&number, out);
    } else if (node->text && based_number(node->text, &base)) {
        buffer_add_format(
            out, "%lld", strtoll(based_number(node->text, &base), NULL, base));
    } else {
        return yaml_node_fail(node,
                              err,
                              INVALID_YAML,
                              "\"%s\" cannot be written as JSON: put it in quotes",
                              node->text);
    }
    return 0;
}

int yaml_node_write_json(const struct yaml_node *node,
                         struct buffer *out,
                         struct error *err)
{
    bool map = node->kind == YAML_NODE_MAP;

    if (node->kind == YAML_NODE_TEXT) {
        return write_scalar(node, out, err);
    }
    buffer_add_char(out, map ? '{' : '[');
    for (size_t i = 0; i < node->child_count; i++) {
        const struct yaml_node *child = node->children[i];
        if (i > 0) {
            buffer_add_char(out, ',');
        }
        if (map) {
            json_write_text(out, child->key);
            buffer_add_char(out, ':');
        }
        if (yaml_node_write_json(child, out, err) != 0) {
            return -1;
        }
    }
    buffer_add_char(out, map ? '}' : ']');
    return 0;
}
