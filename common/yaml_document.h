/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_document.h - what a YAML text says, and where it says it
 *
 * A document is a tree of nodes, each with its line and column. Scalars stay the text
 * that was written: whether `no`, `0777` or `1e3` means a number or a word is decided
 * by whoever reads the field (yaml_read.h), so nothing is guessed. Refused, each with
 * its place: duplicate keys, keys that are not scalars, anchors, aliases and tags, more
 * than one document, characters that are NUL, and whatever is over the limits. Pure; a
 * document belongs to one thread at a time.
 */
#ifndef CORTEX_COMMON_YAML_DOCUMENT_H
#define CORTEX_COMMON_YAML_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define YAML_DOCUMENT_SIZE_MAX  (1u << 20) /* bytes of a text */
#define YAML_DOCUMENT_DEPTH_MAX 64         /* lists and maps in one another */
#define YAML_DOCUMENT_NODES_MAX 100000

#define YAML_DOCUMENT_INVALID "configreader.invalid_yaml" /* kind of its errors */

enum yaml_node_kind {
    YAML_NODE_TEXT, /* a scalar */
    YAML_NODE_LIST,
    YAML_NODE_MAP,
};

struct yaml_node {
    enum yaml_node_kind kind;
    int line; /* from 1 */
    int column;
    char *text;  /* of a scalar, UTF-8; else NULL */
    bool quoted; /* scalar in quotes or a block: a string whatever it looks like */
    /* In a map: the node's key and its place. Else NULL. */
    char *key;
    int key_line;
    int key_column;
    struct yaml_node **children; /* values of a list or map, as they stand */
    size_t child_count;
};

struct yaml_document {
    struct yaml_node *root; /* NULL: the text holds no document */
};

/* Reads a text. On 0 *out is for yaml_document_fini. Errors are INVALID_ARGUMENT, kind
 * YAML_DOCUMENT_INVALID, ending in "(line N, column N)". */
int yaml_document_parse(const char *text,
                        size_t size,
                        struct yaml_document *out,
                        struct error *err);
void yaml_document_fini(struct yaml_document *document);

/* The value under a key of a map, NULL if there is none or node is no map. */
const struct yaml_node *yaml_node_get(const struct yaml_node *node, const char *key);

/* error_set_kind with " (line N, column N)" of the node behind. Returns -1. */
int yaml_node_fail(const struct yaml_node *node,
                   struct error *err,
                   const char *kind,
                   const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

#endif
