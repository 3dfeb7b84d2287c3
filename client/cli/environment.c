/* SPDX-License-Identifier: Apache-2.0 */
/* environment.c - which cluster a command speaks to */
#include "client/cli/environment.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/home.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/json_write.h"
#include "common/yaml_document.h"
#include "common/yaml_read.h"

#define KEY_DEFAULT "default_environment"
#define KEY_LIST    "environments"
#define VALUE_MAX   4096 // bytes of an address, a key or a path
#define LETTERS     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS      "0123456789"

struct field {
    const char *key;
    size_t offset; // of its char * in a struct environment
    bool required;
};

static const struct field fields[] = {
    {"name", offsetof(struct environment, name), true},
    {"master", offsetof(struct environment, master), true},
    {"join", offsetof(struct environment, join), false},
    {"key_file", offsetof(struct environment, key_file), false},
    {"bridge", offsetof(struct environment, bridge), false},
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static char **value_of(const struct environment *environment, const struct field *field)
{
    return (char **)((char *)(uintptr_t)environment + field->offset);
}

static char *file_path(struct error *err)
{
    char *folder = home_settings_folder(err);
    char *path = folder ? fs_join(folder, "cli.yaml") : NULL;

    free(folder);
    return path;
}

/* --- what can be a name, an address ----------------------------------------------- */

static int check_name(const char *name, struct error *err)
{
    size_t size = strlen(name);

    if (size == 0 || size > ENVIRONMENT_NAME_MAX || !strchr(LETTERS DIGITS, name[0]) ||
        strspn(name, LETTERS DIGITS "-_.") != size) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "the environment's name \"%s\": expected 1 to %d letters, "
                         "digits, \"-\", \"_\" and \".\", the first a letter or digit",
                         name,
                         ENVIRONMENT_NAME_MAX);
    }
    return 0;
}

static bool is_printable(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool begins(const char *text, const char *scheme)
{
    size_t size = strlen(scheme);

    return strncmp(text, scheme, size) == 0 && text[size] != '\0';
}

static bool is_master_address(const char *text)
{
    return begins(text, "tcp://") ? strchr(text + strlen("tcp://"), ':') != NULL
                                  : begins(text, "ipc:///");
}

static int check_environment(const struct environment *environment, struct error *err)
{
    if (check_name(environment->name, err) != 0) {
        return -1;
    }
    for (size_t i = 1; i < FIELD_COUNT; i++) {
        const char *value = *value_of(environment, &fields[i]);
        if (value && (strlen(value) > VALUE_MAX || !is_printable(value))) {
            return error_set(err,
                             ERROR_INVALID_ARGUMENT,
                             "%s of environment \"%s\": expected at most %d bytes and "
                             "no control character",
                             fields[i].key,
                             environment->name,
                             VALUE_MAX);
        }
    }
    if (!environment->master || !is_master_address(environment->master)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "master of environment \"%s\": got \"%s\", expected an "
                         "address such as tcp://127.0.0.1:8790",
                         environment->name,
                         environment->master ? environment->master : "");
    }
    const char *bridge = environment->bridge;
    if (bridge && *bridge && !begins(bridge, "http://") &&
        !begins(bridge, "https://")) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "bridge of environment \"%s\": got \"%s\", expected a URL "
                         "such as http://127.0.0.1:8888",
                         environment->name,
                         bridge);
    }
    return 0;
}

/* --- the list --------------------------------------------------------------------- */

void environment_fini(struct environment *environment)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        free(*value_of(environment, &fields[i]));
        *value_of(environment, &fields[i]) = NULL;
    }
}

// NULL becomes "".
static struct environment copy_of(const struct environment *from)
{
    struct environment copy = {0};

    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *value = *value_of(from, &fields[i]);
        *value_of(&copy, &fields[i]) = memory_strdup(value ? value : "");
    }
    return copy;
}

void environments_fini(struct environments *environments)
{
    for (size_t i = 0; i < environments->count; i++) {
        environment_fini(&environments->rows[i]);
    }
    free(environments->rows);
    free(environments->default_name);
    *environments = (struct environments){0};
}

struct environment *environments_find(const struct environments *environments,
                                      const char *name)
{
    for (size_t i = 0; i < environments->count; i++) {
        if (strcmp(environments->rows[i].name, name) == 0) {
            return &environments->rows[i];
        }
    }
    return NULL;
}

int environments_put(struct environments *environments,
                     const struct environment *environment,
                     struct error *err)
{
    if (check_environment(environment, err) != 0) {
        return -1;
    }
    struct environment *row = environments_find(environments, environment->name);
    struct environment copy = copy_of(environment); // it may be that very row
    if (row) {
        environment_fini(row);
        *row = copy;
        return 0;
    }
    if (environments->count == ENVIRONMENTS_MAX) {
        environment_fini(&copy);
        return error_set(err,
                         ERROR_OUT_OF_RANGE,
                         "there are %d environments already, which is the limit",
                         ENVIRONMENTS_MAX);
    }
    environments->rows = memory_realloc(
        environments->rows, (environments->count + 1) * sizeof(*environments->rows));
    environments->rows[environments->count++] = copy;
    if (environments->count == 1) {
        free(environments->default_name);
        environments->default_name = memory_strdup(copy.name);
    }
    return 0;
}

/* --- reading ---------------------------------------------------------------------- */

static int read_text(const struct yaml_node *node, char **out, struct error *err)
{
    const char *text = node->kind == YAML_NODE_TEXT ? yaml_read_string(node) : NULL;

    if (!text && !yaml_read_null(node)) {
        return yaml_node_fail(node,
                              err,
                              "",
                              "%s: expected a string, got %s",
                              node->key,
                              yaml_read_kind_words(node));
    }
    free(*out);
    *out = memory_strdup(text ? text : "");
    return 0;
}

static int read_field(const struct yaml_node *node,
                      struct environment *environment,
                      struct error *err)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(node->key, fields[i].key) == 0) {
            return read_text(node, value_of(environment, &fields[i]), err);
        }
    }
    return yaml_node_fail(node,
                          err,
                          "",
                          "unknown key \"%s\": expected name, master, join, key_file "
                          "or bridge",
                          node->key);
}

static int read_environment(const struct yaml_node *node,
                            struct environments *environments,
                            struct error *err)
{
    struct environment environment = {0};
    int result = -1;

    if (node->kind != YAML_NODE_MAP) {
        return yaml_node_fail(node,
                              err,
                              "",
                              "an environment: expected a map, got %s",
                              yaml_read_kind_words(node));
    }
    for (size_t i = 0; i < node->child_count; i++) {
        if (read_field(node->children[i], &environment, err) != 0) {
            goto out;
        }
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *value = *value_of(&environment, &fields[i]);
        if (fields[i].required && (!value || !*value)) {
            yaml_node_fail(
                node, err, "", "an environment: %s is required", fields[i].key);
            goto out;
        }
    }
    if (environments_find(environments, environment.name)) {
        yaml_node_fail(
            node, err, "", "there are two environments \"%s\"", environment.name);
        goto out;
    }
    if (environments_put(environments, &environment, err) != 0) {
        yaml_node_fail(node, err, "", "%s", err->message);
        goto out;
    }
    result = 0;
out:
    environment_fini(&environment);
    return result;
}

static int read_list(const struct yaml_node *node,
                     struct environments *environments,
                     struct error *err)
{
    if (node->kind != YAML_NODE_LIST && !yaml_read_null(node)) {
        return yaml_node_fail(node,
                              err,
                              "",
                              KEY_LIST ": expected a list, got %s",
                              yaml_read_kind_words(node));
    }
    for (size_t i = 0; i < node->child_count; i++) {
        if (read_environment(node->children[i], environments, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_root(const struct yaml_node *root,
                     struct environments *environments,
                     struct error *err)
{
    const struct yaml_node *chosen = yaml_node_get(root, KEY_DEFAULT);
    const struct yaml_node *list = yaml_node_get(root, KEY_LIST);

    if (root->kind != YAML_NODE_MAP && !yaml_read_null(root)) {
        return yaml_node_fail(
            root, err, "", "expected a map, got %s", yaml_read_kind_words(root));
    }
    for (size_t i = 0; i < root->child_count; i++) {
        const struct yaml_node *node = root->children[i];
        if (node != chosen && node != list) {
            return yaml_node_fail(node,
                                  err,
                                  "",
                                  "unknown key \"%s\": expected " KEY_DEFAULT
                                  " or " KEY_LIST,
                                  node->key);
        }
    }
    if (list && read_list(list, environments, err) != 0) {
        return -1;
    }
    free(environments->default_name); // which the first one became
    environments->default_name = memory_strdup("");
    if (chosen && read_text(chosen, &environments->default_name, err) != 0) {
        return -1;
    }
    if (*environments->default_name &&
        !environments_find(environments, environments->default_name)) {
        return yaml_node_fail(chosen,
                              err,
                              "",
                              KEY_DEFAULT ": there is no environment \"%s\"",
                              environments->default_name);
    }
    return 0;
}

static int
read_file(const char *path, struct environments *environments, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct yaml_document document = {NULL};
    int result = fs_read(path, YAML_DOCUMENT_SIZE_MAX, &text, err);

    if (result != 0 && err->code == ERROR_NOT_FOUND) {
        error_clear(err);
        return 0;
    }
    if (result == 0) {
        result = yaml_document_parse(buffer_text(&text), text.size, &document, err);
        if (result == 0 && document.root) {
            result = read_root(document.root, environments, err);
        }
        if (result != 0) {
            error_wrap(err, "%s", path);
        }
        yaml_document_fini(&document);
    }
    buffer_fini(&text);
    return result;
}

int environments_load(struct environments *out, struct error *err)
{
    struct environments environments = {.default_name = memory_strdup("")};
    struct error ignored = {0};
    char *path = file_path(err);

    if (path && read_file(path, &environments, err ? err : &ignored) == 0) {
        free(path);
        *out = environments;
        return 0;
    }
    free(path);
    environments_fini(&environments);
    return -1;
}

/* --- writing ---------------------------------------------------------------------- */

// Strings as JSON writes them are YAML's too.
static void
add_line(struct buffer *out, const char *lead, const char *key, const char *value)
{
    buffer_add_format(out, "%s%s: ", lead, key);
    json_write_text(out, value);
    buffer_add_char(out, '\n');
}

static void add_environment(struct buffer *out, const struct environment *environment)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *value = *value_of(environment, &fields[i]);
        if (*value) {
            add_line(out, i == 0 ? "- " : "  ", fields[i].key, value);
        }
    }
}

int environments_save(const struct environments *environments, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    char *folder = home_settings_folder(err);
    char *path = file_path(err);
    int result = -1;

    if (*environments->default_name) {
        add_line(&text, "", KEY_DEFAULT, environments->default_name);
    }
    buffer_add_text(&text, KEY_LIST ":");
    buffer_add_text(&text, environments->count > 0 ? "\n" : " []\n");
    for (size_t i = 0; i < environments->count; i++) {
        add_environment(&text, &environments->rows[i]);
    }
    if (path && fs_make_folder(folder, 0700, err) == 0) {
        result = fs_write_durable(path, text.data, text.size, 0600, err);
    }
    buffer_fini(&text);
    free(folder);
    free(path);
    return result;
}

/* --- choosing --------------------------------------------------------------------- */

static int
none_there(const struct environments *environments, const char *name, struct error *err)
{
    struct buffer names = BUFFER_INIT;

    for (size_t i = 0; i < environments->count; i++) {
        buffer_add_format(
            &names, "%s%s", i == 0 ? "" : ", ", environments->rows[i].name);
    }
    if (environments->count == 0) {
        error_set(err,
                  ERROR_FAILED_PRECONDITION,
                  "there is no environment%s%s%s; `cortex cluster up` starts a cluster "
                  "here and adds one, `cortex env configure NAME --master ADDRESS` "
                  "adds one for a cluster elsewhere",
                  name ? " \"" : "",
                  name ? name : "",
                  name ? "\"" : "");
    } else if (name) {
        error_set(err,
                  ERROR_NOT_FOUND,
                  "there is no environment \"%s\", but %s; `cortex env configure %s "
                  "--master ADDRESS` adds it",
                  name,
                  buffer_text(&names),
                  name);
    } else {
        error_set(err,
                  ERROR_FAILED_PRECONDITION,
                  "no environment was named and none is the default: say --env NAME, "
                  "one of %s, or `cortex env default NAME`",
                  buffer_text(&names));
    }
    buffer_fini(&names);
    return -1;
}

int environment_pick(const char *name, struct environment *out, struct error *err)
{
    struct environments environments = {0};
    const struct environment *found = NULL;
    int result = 0;

    if (environments_load(&environments, err) != 0) {
        return -1;
    }
    if (name || *environments.default_name) {
        found =
            environments_find(&environments, name ? name : environments.default_name);
    } else if (environments.count == 1) {
        found = &environments.rows[0];
    }
    if (found) {
        *out = copy_of(found);
    } else {
        result = none_there(&environments, name, err);
    }
    environments_fini(&environments);
    return result;
}
