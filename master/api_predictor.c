/* SPDX-License-Identifier: Apache-2.0 */
/* api_predictor.c - which class an API runs, and in which surroundings */
#include "master/api_predictor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/yaml_read.h"
#include "master/api_compute.h"
#include "master/api_field.h"

#define PROCESSES_MAX      100
#define ENV_PREFIX         "CORTEX_"
#define KIND_NOT_SUPPORTED "spec.key_is_not_supported_for_kind"

static int read_type(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_predictor *predictor = target;
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
    api_field_keep(&predictor->spec->predictor_type, type);
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
    struct api_predictor *predictor = target;
    const char *path = project_path(node, err);

    if (!path) {
        return -1;
    }
    if (!predictor->source->exists(predictor->source->arg, path)) {
        return yaml_node_fail(node,
                              err,
                              "files.file_does_not_exist",
                              "\"%.200s\" is not a file of the project",
                              path);
    }
    api_field_keep(&predictor->spec->predictor_path, path);
    return 0;
}

static int
read_python_path(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_predictor *predictor = target;
    const char *path = project_path(node, err);

    if (!path) {
        return -1;
    }
    size_t length = strlen(path);
    char *folder = memory_format("%s%s", path, path[length - 1] == '/' ? "" : "/");
    if (!predictor->source->exists(predictor->source->arg, folder)) {
        free(folder);
        return yaml_node_fail(node,
                              err,
                              "spec.python_path_not_found",
                              "\"%.200s\" is not a folder of the project",
                              path);
    }
    free(predictor->spec->python_path);
    predictor->spec->python_path = folder;
    return 0;
}

static int read_config(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_predictor *predictor = target;
    struct buffer json = BUFFER_INIT;

    if (node->kind != YAML_NODE_MAP) {
        return api_field_wrong_type(node, "a map", err);
    }
    if (yaml_read_as_json(node, &json, err) != 0) {
        buffer_fini(&json);
        return -1;
    }
    free(predictor->spec->config);
    predictor->spec->config = buffer_take(&json);
    return 0;
}

static int read_image(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_predictor *predictor = target;
    const char *image = api_field_string(node, err);

    if (!image) {
        return -1;
    }
    if (strspn(image, API_FIELD_LOWER API_FIELD_UPPER API_FIELD_DIGITS "._/:@-") !=
            strlen(image) ||
        !strchr(API_FIELD_LOWER API_FIELD_UPPER API_FIELD_DIGITS, image[0])) {
        return yaml_node_fail(node,
                              err,
                              "configreader.invalid_docker_image",
                              "\"%.200s\" is not the name of an image",
                              image);
    }
    api_field_keep(&predictor->spec->image, image);
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
    if (*name == '\0' ||
        strspn(name, API_FIELD_LOWER API_FIELD_UPPER API_FIELD_DIGITS "_") !=
            strlen(name) ||
        strchr(API_FIELD_DIGITS, name[0])) {
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
    struct api_spec *spec = ((struct api_predictor *)target)->spec;

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
    struct api_predictor *predictor = target;
    const char *level = api_field_string(node, err);

    if (!level) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(level, levels[i]) == 0) {
            api_field_keep(&predictor->spec->log_level, level);
            return 0;
        }
    }
    return yaml_node_fail(node,
                          err,
                          "configreader.invalid_str",
                          "got \"%.100s\", expected debug, info, warning or error",
                          level);
}

static int read_shm_size(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_predictor *predictor = target;

    predictor->shm_size_node = node;
    return api_compute_read_shm_size(
        node, &predictor->shm_bytes, &predictor->spec->shm_size, err);
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

int api_predictor_read(const struct yaml_node *node,
                       struct api_predictor *predictor,
                       struct error *err)
{
    return api_field_read(node, predictor_fields, predictor, err);
}

int api_predictor_check_shm_size(const struct api_predictor *predictor,
                                 struct error *err)
{
    const struct api_spec *spec = predictor->spec;

    if (!spec->shm_size || !spec->mem ||
        (uint64_t)predictor->shm_bytes <= spec->memory_bytes) {
        return 0;
    }
    (void)yaml_node_fail(predictor->shm_size_node,
                         err,
                         "spec.shm_size_cannot_exceed_mem",
                         "got %.100s, which is more than compute.mem (%.100s)",
                         spec->shm_size,
                         spec->mem);
    return error_wrap(err, "predictor: shm_size");
}
