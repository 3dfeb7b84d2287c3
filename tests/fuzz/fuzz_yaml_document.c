/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_yaml_document.c - is every YAML text read or refused with its place? */
#include "common/json_text.h"
#include "common/yaml_document.h"
#include "common/yaml_read.h"
#include "tests/fuzz/fuzz.h"

static void walk(const struct yaml_node *node)
{
    struct error err = {0};
    int64_t number;
    double fraction;
    bool boolean;

    fuzz_check(node->line >= 1 && node->column >= 1, "places count from 1");
    fuzz_check((node->kind == YAML_NODE_TEXT) == (node->text != NULL),
               "just scalars have text");
    fuzz_check(*yaml_read_kind_words(node) != '\0', "a node has a kind");
    unsigned kinds = (unsigned)yaml_read_null(node) + yaml_read_bool(node, &boolean) +
                     (yaml_read_string(node) != NULL);
    bool is_number = yaml_read_float(node, &fraction);
    fuzz_check(!yaml_read_int(node, &number) || is_number, "an integer is a number");
    fuzz_check(kinds + is_number <= 1, "a scalar is one thing only");
    if (node->text) {
        fuzz_check(utf8_valid(node->text, strlen(node->text)), "a scalar is UTF-8");
    }
    fuzz_check(yaml_node_fail(node, &err, "kind", "no") == -1, "failing is -1");
    for (size_t i = 0; i < node->child_count; i++) {
        fuzz_check((node->kind == YAML_NODE_MAP) == (node->children[i]->key != NULL),
                   "just values of maps have keys");
        walk(node->children[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_document document;
    struct error err = {0};
    struct buffer json = BUFFER_INIT;

    if (yaml_document_parse((const char *)data, size, &document, &err) != 0) {
        fuzz_check_error(&err);
        fuzz_check(strstr(err.message, "(line ") != NULL, "an error has its place");
        return 0;
    }
    if (document.root) {
        walk(document.root);
        if (yaml_read_as_json(document.root, &json, &err) != 0) {
            fuzz_check_error(&err);
        } else {
            fuzz_check(json_check(json.data, json.size, NULL) == 0, "JSON is written");
        }
    }
    buffer_fini(&json);
    yaml_document_fini(&document);
    return 0;
}
