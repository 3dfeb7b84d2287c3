/* SPDX-License-Identifier: Apache-2.0 */
/* api_spec.c - what a cortex.yaml asks for, and whether it may */
#include "master/api_spec.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/yaml_document.h"
#include "common/yaml_read.h"
#include "master/api_compute.h"
#include "master/api_document.h"
#include "master/api_field.h"
#include "master/api_predictor.h"

#define CPU_DEFAULT "200m"

// An API while it is read.
struct draft {
    struct api_spec spec;
    struct api_predictor predictor;
};

// --- readers of fields; the target is the draft ---

static bool dns_label(const char *text)
{
    size_t length = strlen(text);

    return strspn(text, API_FIELD_LOWER API_FIELD_DIGITS "-") == length &&
           strchr(API_FIELD_LOWER, text[0]) && text[length - 1] != '-';
}

static int read_name(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    const char *name = api_field_string(node, err);

    if (!name) {
        return -1;
    }
    if (strlen(name) > API_SPEC_NAME_SIZE_MAX) {
        return yaml_node_fail(node,
                              err,
                              "configreader.too_long",
                              "\"%.100s\" has %zu characters, at most %d are allowed",
                              name,
                              strlen(name),
                              API_SPEC_NAME_SIZE_MAX);
    }
    if (!dns_label(name)) {
        return yaml_node_fail(node,
                              err,
                              "configreader.dns1035",
                              "\"%s\" must begin with a lower-case letter, hold only "
                              "lower-case letters, digits and dashes, and not end "
                              "with a dash",
                              name);
    }
    api_field_keep(&draft->spec.name, name);
    return 0;
}

static int read_kind(const struct yaml_node *node, void *target, struct error *err)
{
    const char *kind = api_field_string(node, err);

    (void)target;
    if (!kind) {
        return -1;
    }
    if (strcmp(kind, "BatchAPI") == 0) {
        return 0;
    }
    if (strcmp(kind, "RealtimeAPI") == 0 || strcmp(kind, "TrafficSplitter") == 0) {
        return yaml_node_fail(node,
                              err,
                              "spec.kind_is_not_supported",
                              "%s is not supported, this cluster runs BatchAPI",
                              kind);
    }
    return yaml_node_fail(node,
                          err,
                          "configreader.invalid_str",
                          "got \"%.100s\", expected BatchAPI",
                          kind);
}

// What is wrong with it, NULL if nothing.
static const char *endpoint_fault(const char *endpoint)
{
    if (strspn(endpoint, API_FIELD_LOWER API_FIELD_UPPER API_FIELD_DIGITS "_-./") !=
        strlen(endpoint)) {
        return "must hold only letters, digits, dashes, underscores, dots and slashes";
    }
    if (strstr(endpoint, "//")) {
        return "must not hold two slashes in a row";
    }
    if (strcmp(endpoint, "/") == 0) {
        return "must not be just a slash";
    }
    if (strncmp(endpoint, "/_/", 3) == 0 || strcmp(endpoint, "/_") == 0) {
        return "must not be below /_, which is the cluster's own";
    }
    for (const char *slash = endpoint; slash; slash = strchr(slash + 1, '/')) {
        size_t dots = strspn(slash + 1, ".");
        if (dots >= 1 && dots <= 2 && (!slash[1 + dots] || slash[1 + dots] == '/')) {
            return "must not hold the segments . or ..";
        }
    }
    return NULL;
}

static int read_endpoint(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    const char *text = api_field_string(node, err);

    if (!text) {
        return -1;
    }
    if (strlen(text) > API_SPEC_ENDPOINT_SIZE_MAX) {
        return yaml_node_fail(node,
                              err,
                              "configreader.too_long",
                              "has %zu characters, at most %d are allowed",
                              strlen(text),
                              API_SPEC_ENDPOINT_SIZE_MAX);
    }
    char *endpoint = memory_format("%s%s", *text == '/' ? "" : "/", text);
    const char *fault = endpoint_fault(endpoint);
    if (fault) {
        free(endpoint);
        return yaml_node_fail(
            node, err, "spec.invalid_endpoint", "\"%.100s\" %s", text, fault);
    }
    size_t length = strlen(endpoint);
    if (endpoint[length - 1] == '/') {
        endpoint[length - 1] = '\0';
    }
    free(draft->spec.endpoint);
    draft->spec.endpoint = endpoint;
    return 0;
}

static const struct api_field networking_fields[] = {
    {"endpoint", false, true, read_endpoint},
    {NULL},
};

static int
read_networking(const struct yaml_node *node, void *target, struct error *err)
{
    return api_field_read(node, networking_fields, target, err);
}

static int read_predictor(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;

    return api_predictor_read(node, &draft->predictor, err);
}

static int read_compute(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;

    return api_compute_read(node, &draft->spec, err);
}

static const struct api_field api_fields[] = {
    {"name", true, false, read_name},
    {"kind", true, false, read_kind},
    {"predictor", true, false, read_predictor},
    {"networking", false, true, read_networking},
    {"compute", false, true, read_compute},
    {NULL},
};

// --- one API, and the file ---

// How errors call the API: by its name if it has a usable one.
static void wrap_with_name(const struct yaml_node *map, size_t index, struct error *err)
{
    const struct yaml_node *name = yaml_node_get(map, "name");
    const struct yaml_node *kind = yaml_node_get(map, "kind");

    if (!name || name->kind != YAML_NODE_TEXT || *name->text == '\0') {
        (void)error_wrap(err, "resource at index %zu", index);
    } else if (kind && kind->kind == YAML_NODE_TEXT && *kind->text) {
        (void)error_wrap(err, "%.100s (%.40s)", name->text, kind->text);
    } else {
        (void)error_wrap(err, "%.100s", name->text);
    }
}

static void spec_fini(struct api_spec *spec)
{
    for (size_t i = 0; i < spec->env_count; i++) {
        free(spec->env[i]);
    }
    free(spec->env);
    free(spec->name);
    free(spec->endpoint);
    free(spec->predictor_type);
    free(spec->predictor_path);
    free(spec->python_path);
    free(spec->config);
    free(spec->log_level);
    free(spec->image);
    free(spec->cpu);
    free(spec->mem);
    free(spec->shm_size);
    free(spec->submitted);
    free(spec->json);
}

// *draft is filled in any case and is for spec_fini.
static int read_api(const struct api_spec_source *source,
                    const struct yaml_node *map,
                    size_t index,
                    struct draft *draft,
                    struct error *err)
{
    struct api_spec *spec = &draft->spec;
    struct buffer submitted = BUFFER_INIT;

    *draft = (struct draft){.predictor = {.spec = spec, .source = source}};
    spec->python_path = memory_strdup("");
    spec->config = memory_strdup("{}");
    spec->log_level = memory_strdup("info");
    spec->cpu = memory_strdup(CPU_DEFAULT);
    spec->cpu_millis = 200;
    if (api_field_read(map, api_fields, draft, err) != 0 ||
        api_predictor_check_shm_size(&draft->predictor, err) != 0 ||
        yaml_read_as_json(map, &submitted, err) != 0) {
        buffer_fini(&submitted);
        wrap_with_name(map, index, err);
        return -1;
    }
    spec->submitted = buffer_take(&submitted);
    if (!spec->endpoint) {
        spec->endpoint = memory_format("/%s", spec->name);
    }
    api_document_complete(spec, source, index);
    return 0;
}

static int check_unique(const struct yaml_node *list,
                        const struct api_specs *specs,
                        const struct api_spec *added,
                        struct error *err)
{
    for (size_t i = 0; i < specs->count; i++) {
        const struct api_spec *other = &specs->specs[i];
        if (strcmp(other->name, added->name) == 0) {
            return yaml_node_fail(list->children[specs->count],
                                  err,
                                  "spec.duplicate_name",
                                  "the name %s is given twice, first in line %d",
                                  added->name,
                                  list->children[i]->line);
        }
        if (strcmp(other->endpoint, added->endpoint) == 0) {
            return yaml_node_fail(list->children[specs->count],
                                  err,
                                  "spec.duplicate_endpoint_in_one_deploy",
                                  "%s and %s have the same endpoint %s",
                                  other->name,
                                  added->name,
                                  added->endpoint);
        }
    }
    return 0;
}

static int check_list(const struct yaml_node *root, struct error *err)
{
    if (!root || yaml_read_null(root) ||
        (root->kind == YAML_NODE_LIST && root->child_count == 0)) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              "spec.no_apis",
                              "at least one API must be given");
    }
    if (root->kind != YAML_NODE_LIST) {
        return yaml_node_fail(root,
                              err,
                              "spec.malformed_config",
                              "got %s, expected a list of APIs, each beginning with "
                              "\"- name: \"",
                              yaml_read_kind_words(root));
    }
    if (root->child_count > API_SPEC_COUNT_MAX) {
        return yaml_node_fail(root,
                              err,
                              "spec.malformed_config",
                              "holds %zu APIs, at most %d are allowed",
                              root->child_count,
                              API_SPEC_COUNT_MAX);
    }
    return 0;
}

static int read_list(const struct api_spec_source *source,
                     const struct yaml_node *root,
                     struct api_specs *out,
                     struct error *err)
{
    if (check_list(root, err) != 0) {
        return -1;
    }
    out->specs = memory_zalloc(root->child_count * sizeof(*out->specs));
    for (size_t i = 0; i < root->child_count; i++) {
        struct draft draft;
        if (read_api(source, root->children[i], i, &draft, err) != 0 ||
            check_unique(root, out, &draft.spec, err) != 0) {
            spec_fini(&draft.spec);
            return -1;
        }
        out->specs[out->count++] = draft.spec;
    }
    return 0;
}

int api_spec_parse(const struct api_spec_source *source,
                   struct api_specs *out,
                   struct error *err)
{
    struct yaml_document document = {NULL};
    struct api_specs specs = {NULL, 0};
    int result = yaml_document_parse(source->text, source->size, &document, err);

    if (result == 0) {
        result = read_list(source, document.root, &specs, err);
    }
    yaml_document_fini(&document);
    if (result != 0) {
        api_specs_fini(&specs);
        return error_wrap(err, "%s", source->file_name);
    }
    *out = specs;
    return 0;
}

void api_specs_fini(struct api_specs *specs)
{
    for (size_t i = 0; i < specs->count; i++) {
        spec_fini(&specs->specs[i]);
    }
    free(specs->specs);
    *specs = (struct api_specs){NULL, 0};
}
