/* SPDX-License-Identifier: Apache-2.0 */
/* api_spec.c - what a cortex.yaml asks for, and whether it may */
#include "master/api_spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/yaml_document.h"
#include "master/api_document.h"
#include "master/api_field.h"
#include "master/quantity.h"

#define CPU_DEFAULT        "200m"
#define CPU_MILLIS_MIN     20
#define CPU_MILLIS_MAX     10000000 // 10,000 cores
#define MEMORY_BYTES_MIN   (20 << 20)
#define MEMORY_BYTES_MAX   (INT64_C(1) << 50)
#define GPUS_MAX           1024
#define INFERENTIA_MAX     1
#define PROCESSES_MAX      100
#define ENV_PREFIX         "CORTEX_"
#define KIND_NOT_SUPPORTED "spec.key_is_not_supported_for_kind"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

// An API while it is read: with the nodes that later checks complain about.
struct draft {
    struct api_spec spec;
    const struct api_spec_source *source;
    const struct yaml_node *shm_size_node;
    int64_t shm_bytes;
};

// --- readers of fields; the target is the draft ---

static void replace(char **text, const char *with)
{
    free(*text);
    *text = memory_strdup(with);
}

static bool dns_label(const char *text)
{
    size_t length = strlen(text);

    return strspn(text, LOWER DIGITS "-") == length && strchr(LOWER, text[0]) &&
           text[length - 1] != '-';
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
    replace(&draft->spec.name, name);
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

static int read_type(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    const char *type = api_field_string(node, err);

    if (!type) {
        return -1;
    }
    if (strcmp(type, "tensorflow") == 0 || strcmp(type, "onnx") == 0) {
        return yaml_node_fail(node,
                              err,
                              "spec.predictor_type_is_not_supported",
                              "%s predictors are not supported yet: load the model in "
                              "a python predictor",
                              type);
    }
    if (strcmp(type, "python") != 0) {
        return yaml_node_fail(node,
                              err,
                              "configreader.invalid_str",
                              "got \"%.100s\", expected python",
                              type);
    }
    replace(&draft->spec.predictor_type, type);
    return 0;
}

// A path inside the project without "./" in front; NULL if it leads elsewhere.
static const char *project_path(const struct yaml_node *node, struct error *err)
{
    const char *path = api_field_string(node, err);

    if (!path) {
        return NULL;
    }
    const char *rest = path;
    while (strncmp(rest, "./", 2) == 0) {
        rest += 2;
    }
    size_t length = strlen(rest);
    bool climbs = strncmp(rest, "../", 3) == 0 || strcmp(rest, "..") == 0 ||
                  strstr(rest, "/../") ||
                  (length >= 3 && strcmp(rest + length - 3, "/..") == 0);
    if (*rest == '\0' || *rest == '/' || *rest == '~' || strcmp(rest, ".") == 0 ||
        climbs) {
        (void)yaml_node_fail(node,
                             err,
                             "spec.must_be_relative_project_path",
                             "\"%.200s\" must be a path inside the project, relative "
                             "to the folder of the configuration file",
                             path);
        return NULL;
    }
    return rest;
}

static int read_path(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    const char *path = project_path(node, err);

    if (!path) {
        return -1;
    }
    if (!draft->source->exists(draft->source->arg, path)) {
        return yaml_node_fail(node,
                              err,
                              "files.file_does_not_exist",
                              "\"%.200s\" is not a file of the project",
                              path);
    }
    replace(&draft->spec.predictor_path, path);
    return 0;
}

static int
read_python_path(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    const char *path = project_path(node, err);

    if (!path) {
        return -1;
    }
    size_t length = strlen(path);
    char *folder = memory_format("%s%s", path, path[length - 1] == '/' ? "" : "/");
    if (!draft->source->exists(draft->source->arg, folder)) {
        free(folder);
        return yaml_node_fail(node,
                              err,
                              "spec.python_path_not_found",
                              "\"%.200s\" is not a folder of the project",
                              path);
    }
    free(draft->spec.python_path);
    draft->spec.python_path = folder;
    return 0;
}

static int read_config(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    struct buffer json = BUFFER_INIT;

    if (node->kind != YAML_NODE_MAP) {
        return api_field_wrong_type(node, "a map", err);
    }
    if (yaml_node_write_json(node, &json, err) != 0) {
        buffer_fini(&json);
        return -1;
    }
    free(draft->spec.config);
    draft->spec.config = buffer_take(&json);
    return 0;
}

static int read_image(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    const char *image = api_field_string(node, err);

    if (!image) {
        return -1;
    }
    if (strspn(image, LOWER UPPER DIGITS "._/:@-") != strlen(image) ||
        !strchr(LOWER UPPER DIGITS, image[0])) {
        return yaml_node_fail(node,
                              err,
                              "configreader.invalid_docker_image",
                              "\"%.200s\" is not the name of an image",
                              image);
    }
    replace(&draft->spec.image, image);
    return 0;
}

static int check_env_name(const struct yaml_node *node, struct error *err)
{
    const char *name = node->key;

    if (strncmp(name, ENV_PREFIX, strlen(ENV_PREFIX)) == 0) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              "spec.cortex_prefixed_env_var_not_allowed",
                              "variables that begin with %s are reserved "
                              "(line %d, column %d)",
                              ENV_PREFIX,
                              node->key_line,
                              node->key_column);
    }
    if (*name == '\0' || strspn(name, LOWER UPPER DIGITS "_") != strlen(name) ||
        strchr(DIGITS, name[0])) {
        return error_set_kind(err,
                              ERROR_INVALID_ARGUMENT,
                              "spec.invalid_env_var_name",
                              "must be letters, digits and underscores, and not begin "
                              "with a digit (line %d, column %d)",
                              node->key_line,
                              node->key_column);
    }
    return 0;
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int read_env(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_spec *spec = &((struct draft *)target)->spec;

    if (node->kind != YAML_NODE_MAP) {
        return api_field_wrong_type(node, "a map", err);
    }
    spec->env = memory_zalloc((node->child_count + 1) * sizeof(*spec->env));
    for (size_t i = 0; i < node->child_count; i++) {
        const struct yaml_node *child = node->children[i];
        const char *value =
            check_env_name(child, err) == 0 ? api_field_text(child, err) : NULL;
        if (!value) {
            return error_wrap(err, "%.100s", child->key);
        }
        spec->env[spec->env_count++] = memory_format("%s=%s", child->key, value);
    }
    qsort(spec->env, spec->env_count, sizeof(*spec->env), by_text);
    return 0;
}

static int read_log_level(const struct yaml_node *node, void *target, struct error *err)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    struct draft *draft = target;
    const char *level = api_field_string(node, err);

    if (!level) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(level, levels[i]) == 0) {
            replace(&draft->spec.log_level, level);
            return 0;
        }
    }
    return yaml_node_fail(node,
                          err,
                          "configreader.invalid_str",
                          "got \"%.100s\", expected debug, info, warning or error",
                          level);
}

// Reads a quantity in units of 1/scale between min and max; *out_text is what was
// given.
static int read_quantity(const struct yaml_node *node,
                         int scale,
                         int64_t min,
                         int64_t max,
                         const char *min_text,
                         int64_t *out,
                         char **out_text,
                         struct error *err)
{
    bool truth;
    int64_t value;

    if (node->kind != YAML_NODE_TEXT || yaml_read_null(node) ||
        yaml_read_bool(node, &truth)) {
        return api_field_wrong_type(node, "a quantity", err);
    }
    if (!quantity_read(node->text, scale, &value)) {
        return yaml_node_fail(node,
                              err,
                              "k8s.parse_quantity",
                              "got \"%.100s\", expected a quantity such as %s",
                              node->text,
                              scale == 1000 ? "1, 0.5 or 200m" : "512Mi or 2G");
    }
    if (value < min) {
        return yaml_node_fail(node,
                              err,
                              "configreader.must_be_greater_than_or_equal_to",
                              "got %.100s, must be %s or more",
                              node->text,
                              min_text);
    }
    if (value > max) {
        return yaml_node_fail(node,
                              err,
                              "configreader.must_be_less_than_or_equal_to",
                              "got %.100s, which is more than any machine has",
                              node->text);
    }
    *out = value;
    replace(out_text, node->text);
    return 0;
}

static int read_shm_size(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;

    draft->shm_size_node = node;
    return read_quantity(node,
                         1,
                         1,
                         MEMORY_BYTES_MAX,
                         "1",
                         &draft->shm_bytes,
                         &draft->spec.shm_size,
                         err);
}

// processes_per_replica and threads_per_process: a batch worker has one of each.
static int read_only_one(const struct yaml_node *node, void *target, struct error *err)
{
    int64_t count;

    (void)target;
    if (api_field_int(node, 1, PROCESSES_MAX, &count, err) != 0) {
        return -1;
    }
    return count == 1 ? 0
                      : yaml_node_fail(node,
                                       err,
                                       KIND_NOT_SUPPORTED,
                                       "got %" PRId64 ", a BatchAPI has 1: ask for "
                                       "more workers when you submit a job",
                                       count);
}

static int
read_not_for_batch(const struct yaml_node *node, void *target, struct error *err)
{
    (void)target;
    return yaml_node_fail(
        node, err, KIND_NOT_SUPPORTED, "is not supported for a BatchAPI");
}

static int
read_not_for_python(const struct yaml_node *node, void *target, struct error *err)
{
    (void)target;
    return yaml_node_fail(node,
                          err,
                          "spec.field_not_supported_by_predictor_type",
                          "is not supported for python predictors");
}

static const struct api_field predictor_fields[] = {
    {"type", true, false, read_type},
    {"path", true, false, read_path},
    {"config", false, true, read_config},
    {"python_path", false, true, read_python_path},
    {"image", false, true, read_image},
    {"env", false, true, read_env},
    {"log_level", false, false, read_log_level},
    {"shm_size", false, true, read_shm_size},
    {"processes_per_replica", false, true, read_only_one},
    {"threads_per_process", false, true, read_only_one},
    {"server_side_batching", false, true, read_not_for_batch},
    {"multi_model_reloading", false, true, read_not_for_batch},
    {"models", false, true, read_not_for_python},
    {"tensorflow_serving_image", false, true, read_not_for_python},
    {NULL},
};

static int read_predictor(const struct yaml_node *node, void *target, struct error *err)
{
    return api_field_read(node, predictor_fields, target, err);
}

// What is wrong with it, NULL if nothing.
static const char *endpoint_fault(const char *endpoint)
{
    if (strspn(endpoint, LOWER UPPER DIGITS "_-./") != strlen(endpoint)) {
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

static int read_cpu(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    int64_t millis = 0;

    if (yaml_read_null(node)) { // asks for none, while no key at all is the default
        free(draft->spec.cpu);
        draft->spec.cpu = NULL;
    } else if (read_quantity(node,
                             1000,
                             CPU_MILLIS_MIN,
                             CPU_MILLIS_MAX,
                             "20m",
                             &millis,
                             &draft->spec.cpu,
                             err) != 0) {
        return -1;
    }
    draft->spec.cpu_millis = (uint32_t)millis;
    return 0;
}

static int read_mem(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    int64_t bytes = 0;

    if (read_quantity(node,
                      1,
                      MEMORY_BYTES_MIN,
                      MEMORY_BYTES_MAX,
                      "20Mi",
                      &bytes,
                      &draft->spec.mem,
                      err) != 0) {
        return -1;
    }
    draft->spec.memory_bytes = (uint64_t)bytes;
    return 0;
}

static int read_gpu(const struct yaml_node *node, void *target, struct error *err)
{
    struct draft *draft = target;
    int64_t gpus;

    if (api_field_int(node, 0, GPUS_MAX, &gpus, err) != 0) {
        return -1;
    }
    draft->spec.gpus = (uint32_t)gpus;
    return 0;
}

static int read_inf(const struct yaml_node *node, void *target, struct error *err)
{
    int64_t count;

    (void)target;
    if (api_field_int(node, 0, INFERENTIA_MAX, &count, err) != 0) {
        return -1;
    }
    return count == 0 ? 0
                      : yaml_node_fail(node,
                                       err,
                                       "resources.no_available_node_compute_limit",
                                       "got %" PRId64 ", but no agent offers "
                                       "Inferentia chips",
                                       count);
}

static const struct api_field compute_fields[] = {
    {"cpu", false, false, read_cpu},
    {"mem", false, true, read_mem},
    {"gpu", false, true, read_gpu},
    {"inf", false, true, read_inf},
    {NULL},
};

static int read_compute(const struct yaml_node *node, void *target, struct error *err)
{
    return api_field_read(node, compute_fields, target, err);
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

static int check_shm_size(const struct draft *draft, struct error *err)
{
    if (!draft->spec.shm_size || !draft->spec.mem ||
        (uint64_t)draft->shm_bytes <= draft->spec.memory_bytes) {
        return 0;
    }
    (void)yaml_node_fail(draft->shm_size_node,
                         err,
                         "spec.shm_size_cannot_exceed_mem",
                         "got %.100s, which is more than compute.mem (%.100s)",
                         draft->spec.shm_size,
                         draft->spec.mem);
    return error_wrap(err, "predictor: shm_size");
}

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

    *draft = (struct draft){.source = source};
    spec->python_path = memory_strdup("");
    spec->config = memory_strdup("{}");
    spec->log_level = memory_strdup("info");
    spec->cpu = memory_strdup(CPU_DEFAULT);
    spec->cpu_millis = 200;
    if (api_field_read(map, api_fields, draft, err) != 0 ||
        check_shm_size(draft, err) != 0 ||
        yaml_node_write_json(map, &submitted, err) != 0) {
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
                              yaml_node_kind_words(root));
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
