/* SPDX-License-Identifier: Apache-2.0 */
/* env.c - `cortex env`: the environments, shown and changed */
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/command.h"
#include "client/cli/environment.h"
#include "client/cli/home.h"
#include "client/cli/output.h"
#include "client/cli/render.h"
#include "client/document.h"
#include "client/json_writer.h"
#include "common/buffer.h"

#define JSON_INDENT 4

static struct {
    const char *master;
    const char *join;
    const char *key_file;
    const char *bridge;
    const char *output;
} given;

// Prints what was done, a sentence or two, and frees it.
static int tell(struct buffer *message, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    bool json = false;
    int result = output_is_json(given.output, &json, err);

    if (result == 0 && json) {
        document_message(&text, buffer_text(message));
        result = output_take(&text, err);
    } else if (result == 0) {
        buffer_add_char(message, '\n');
        result = output_write(buffer_text(message), message->size, err);
    }
    buffer_fini(message);
    return result;
}

// Before anything is changed: a bad --output changes nothing.
static int open_environments(struct environments *out, struct error *err)
{
    bool json;

    return output_is_json(given.output, &json, err) == 0 ? environments_load(out, err)
                                                         : -1;
}

static int unknown(const char *name, struct error *err)
{
    return error_set(err,
                     ERROR_NOT_FOUND,
                     "there is no environment \"%s\"; `cortex env list` shows those "
                     "that there are",
                     name);
}

/* --- configure -------------------------------------------------------------------- */

static char *either(const char *text, char *kept)
{
    return text ? (char *)(uintptr_t)text : kept;
}

static int put(struct environments *environments,
               const struct environment *environment,
               struct error *err)
{
    return environments_put(environments, environment, err) == 0
               ? environments_save(environments, err)
               : -1;
}

// Who the user is to a master: the key is made once, and is the same everywhere.
static void add_key(struct buffer *message, const struct key_pair *key)
{
    char text[KEY_TEXT_SIZE];
    char host[HOST_NAME_MAX + 1] = "";
    const struct passwd *user = getpwuid(getuid());

    key_public_format(key->public_key, text);
    (void)gethostname(host, sizeof(host) - 1);
    buffer_add_format(message,
                      "\nyour key is %s\n"
                      "the master's administrator lets you in with this line:\n"
                      "    cortex-master keys add --role submit %s %s@%s",
                      text,
                      text,
                      user ? user->pw_name : "somebody",
                      host);
}

static int configure(struct environments *environments,
                     char *name,
                     struct buffer *message,
                     struct error *err)
{
    const struct environment *old = environments_find(environments, name);
    struct environment environment = old ? *old : (struct environment){.name = name};
    struct key_join join;
    struct key_pair key;
    char *key_file = NULL;

    if (!old && !given.master && !given.join) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--join is required: what `cortex-master init` printed; or "
                         "--master, for a master without keys");
    }
    if (given.join && (key_join_parse(given.join, &join, err) != 0 ||
                       home_key(given.key_file, &key_file, &key, err) != 0)) {
        return -1;
    }
    environment.master =
        either(given.master, given.join ? join.address : environment.master);
    environment.join = either(given.join, environment.join);
    environment.key_file =
        key_file ? key_file : either(given.key_file, environment.key_file);
    environment.bridge = either(given.bridge, environment.bridge);
    int result = put(environments, &environment, err);
    buffer_add_format(message, "configured %s environment", name);
    if (given.join) {
        add_key(message, &key);
        key_wipe(&key, sizeof(key));
    }
    free(key_file);
    return result;
}

static int run_configure(char **positional, int count, struct error *err)
{
    struct environments environments = {0};
    struct buffer message = BUFFER_INIT;

    (void)count;
    int result = open_environments(&environments, err);
    if (result == 0) {
        result = configure(&environments, positional[0], &message, err);
        environments_fini(&environments);
    }
    if (result == 0) {
        return tell(&message, err);
    }
    buffer_fini(&message);
    return result;
}

/* --- list ------------------------------------------------------------------------- */

static bool is_default(const struct environments *environments,
                       const struct environment *environment)
{
    return strcmp(environments->default_name, environment->name) == 0;
}

// NULL, which is not shown, for "".
static const char *shown(const char *text)
{
    return *text ? text : NULL;
}

static void add_pretty(struct buffer *out, const struct environments *environments)
{
    for (size_t i = 0; i < environments->count; i++) {
        const struct environment *row = &environments->rows[i];
        char *name = memory_format(
            "%s%s", row->name, is_default(environments, row) ? " (default)" : "");
        const struct render_pair pairs[] = {{"name", name},
                                            {"master", row->master},
                                            {"join string", shown(row->join)},
                                            {"key file", shown(row->key_file)},
                                            {"bridge", shown(row->bridge)}};
        if (i > 0) {
            buffer_add_char(out, '\n');
        }
        render_pairs(
            out, pairs, sizeof(pairs) / sizeof(pairs[0]), output_is_terminal());
        free(name);
    }
    if (environments->count == 0) {
        buffer_add_text(out, "no environments are configured\n");
    }
}

static void add_json(struct buffer *out, const struct environments *environments)
{
    struct json_writer writer = {.out = out, .indent = JSON_INDENT};

    json_writer_open(&writer, NULL, '[');
    for (size_t i = 0; i < environments->count; i++) {
        const struct environment *row = &environments->rows[i];
        json_writer_open(&writer, NULL, '{');
        json_writer_text(&writer, "name", row->name);
        json_writer_bool(&writer, "default", is_default(environments, row));
        json_writer_text(&writer, "master", row->master);
        json_writer_text_or_null(&writer, "join", row->join);
        json_writer_text_or_null(&writer, "key_file", row->key_file);
        json_writer_text_or_null(&writer, "bridge", row->bridge);
        json_writer_close(&writer, '}');
    }
    json_writer_close(&writer, ']');
    buffer_add_char(out, '\n');
}

static int run_list(char **positional, int count, struct error *err)
{
    struct environments environments = {0};
    struct buffer text = BUFFER_INIT;
    bool json = false;

    (void)positional;
    (void)count;
    if (output_is_json(given.output, &json, err) != 0 ||
        environments_load(&environments, err) != 0) {
        return -1;
    }
    if (json) {
        add_json(&text, &environments);
    } else {
        add_pretty(&text, &environments);
    }
    environments_fini(&environments);
    return output_take(&text, err);
}

/* --- default ---------------------------------------------------------------------- */

static void set_default(struct environments *environments, const char *name)
{
    char *copy = memory_strdup(name);

    free(environments->default_name);
    environments->default_name = copy;
}

static int change_default(struct environments *environments,
                          const char *name,
                          struct buffer *message,
                          struct error *err)
{
    if (!environments_find(environments, name)) {
        return unknown(name, err);
    }
    if (strcmp(environments->default_name, name) == 0) {
        buffer_add_format(message, "%s is already the default environment", name);
        return 0;
    }
    set_default(environments, name);
    buffer_add_format(message, "set %s as the default environment", name);
    return environments_save(environments, err);
}

static int run_default(char **positional, int count, struct error *err)
{
    struct environments environments = {0};
    struct buffer message = BUFFER_INIT;

    (void)count;
    int result = open_environments(&environments, err);
    if (result == 0) {
        result = change_default(&environments, positional[0], &message, err);
        environments_fini(&environments);
    }
    if (result == 0) {
        return tell(&message, err);
    }
    buffer_fini(&message);
    return result;
}

/* --- delete ----------------------------------------------------------------------- */

static int delete_environment(struct environments *environments,
                              const char *name,
                              struct buffer *message,
                              struct error *err)
{
    struct environment *row = environments_find(environments, name);

    if (!row) {
        return unknown(name, err);
    }
    buffer_add_format(message, "deleted the %s environment configuration", name);
    bool was_default = is_default(environments, row);
    size_t behind = environments->count - (size_t)(row - environments->rows) - 1;
    environment_fini(row);
    memmove(row, row + 1, behind * sizeof(*row));
    environments->count--;
    if (was_default && environments->count == 1) {
        set_default(environments, environments->rows[0].name);
        buffer_add_format(
            message, "\nset %s as the default environment", environments->default_name);
    } else if (was_default) {
        set_default(environments, "");
        buffer_add_text(message, "\nthere is no default environment now");
    }
    return environments_save(environments, err);
}

static int run_delete(char **positional, int count, struct error *err)
{
    struct environments environments = {0};
    struct buffer message = BUFFER_INIT;

    (void)count;
    int result = open_environments(&environments, err);
    if (result == 0) {
        result = delete_environment(&environments, positional[0], &message, err);
        environments_fini(&environments);
    }
    if (result == 0) {
        return tell(&message, err);
    }
    buffer_fini(&message);
    return result;
}

/* --- the commands ----------------------------------------------------------------- */

#define TEXT_OPTION(name_, target_, value_, help_)                                     \
    {                                                                                  \
        .name = (name_), .type = OPTION_TEXT, .target = (target_), .value = (value_),  \
        .help = (help_)                                                                \
    }

static const struct option_row configure_rows[] = {
    TEXT_OPTION("join",
                &given.join,
                "STRING",
                "what `cortex-master init` printed, cortex1:...@ADDRESS"),
    TEXT_OPTION(
        "master",
        &given.master,
        "ADDRESS",
        "the master's, such as tcp://127.0.0.1:8790 (default the join string's)"),
    TEXT_OPTION("key-file",
                &given.key_file,
                "PATH",
                "your own key, made if it is missing (default key beside cli.yaml)"),
    TEXT_OPTION("bridge",
                &given.bridge,
                "URL",
                "the bridge's, to show endpoints with (default none)"),
    OUTPUT_OPTION(&given.output),
    {0},
};

static const struct option_row rows[] = {
    OUTPUT_OPTION(&given.output),
    {0},
};

const struct command command_env_configure = {
    .name = "env configure",
    .usage = "[OPTION]... NAME",
    .brief = "add an environment, or change one",
    .summary = "An environment is a name for a cluster. One that exists keeps what is "
               "not given.\nWith a join string your key is made, if you have none, and "
               "its public half printed:\nthe master's administrator adds it to those "
               "that may call.",
    .examples = "cortex env configure work --join cortex1:...@tcp://10.0.0.5:8790 "
                "--bridge https://10.0.0.5:8888",
    .rows = configure_rows,
    .positional_min = 1,
    .positional_max = 1,
    .run = run_configure,
};

const struct command command_env_list = {
    .name = "env list",
    .usage = "[OPTION]...",
    .brief = "show the environments",
    .summary = "Shows the environments and which one is the default.",
    .examples = "cortex env list",
    .rows = rows,
    .run = run_list,
};

const struct command command_env_default = {
    .name = "env default",
    .usage = "[OPTION]... NAME",
    .brief = "choose the environment of commands without --env",
    .summary = "Makes an environment the one that commands without --env speak to.",
    .examples = "cortex env default local",
    .rows = rows,
    .positional_min = 1,
    .positional_max = 1,
    .run = run_default,
};

const struct command command_env_delete = {
    .name = "env delete",
    .usage = "[OPTION]... NAME",
    .brief = "forget an environment",
    .summary = "Forgets an environment; the cluster itself is not touched.",
    .examples = "cortex env delete work",
    .rows = rows,
    .positional_min = 1,
    .positional_max = 1,
    .run = run_delete,
};
