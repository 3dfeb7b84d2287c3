/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_read.c - what a node means: YAML 1.2's core schema */
#include "common/yaml_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_write.h"

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

const char *yaml_read_kind_words(const struct yaml_node *node)
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
                              YAML_DOCUMENT_INVALID,
                              "\"%s\" cannot be written as JSON: put it in quotes",
                              node->text);
    }
    return 0;
}

int yaml_read_as_json(const struct yaml_node *node,
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
        if (yaml_read_as_json(child, out, err) != 0) {
            return -1;
        }
    }
    buffer_add_char(out, map ? '}' : ']');
    return 0;
}
