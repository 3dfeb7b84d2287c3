/* SPDX-License-Identifier: Apache-2.0 */
/* env.c - `cortex env`: the environments, shown and changed */
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/command.h"
#include "client/cli/connection.h"
#include "client/cli/environment.h"
#include "client/cli/home.h"
#include "client/cli/output.h"
#include "client/cli/render.h"
#include "client/document.h"
#include "client/json_writer.h"
#include "common/buffer.h"
#include "common/fs.h"

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

/* --- rotate ----------------------------------------------------------------------- */

// Tells the environment's master the next key, under the one that holds now.
static int
tell_next(const char *env_name, const unsigned char next[KEY_SIZE], struct error *err)
{
    struct connection connection;

    if (connection_open(env_name, &connection, err) != 0) {
        return -1;
    }
    int result = client_api_rotate_key(connection.api, next, err);
    if (result != 0) {
        (void)error_wrap(err, "environment \"%s\"", env_name);
    }
    connection_fini(&connection);
    return result;
}

// All masters that know the key know the next one before it takes its place: whatever
// goes wrong before that, the same is done again with the same next key.
static int rotate(const struct environments *environments,
                  const char *key_file,
                  size_t *out_count,
                  struct error *err)
{
    char *next_file = memory_format("%s.next", key_file);
    struct key_pair next;
    size_t count = 0;
    int result = key_file_ensure(next_file, &next, err);

    for (size_t i = 0; result == 0 && i < environments->count; i++) {
        const struct environment *row = &environments->rows[i];
        if (*row->join && strcmp(row->key_file, key_file) == 0) {
            result = tell_next(row->name, next.public_key, err);
            count++;
        }
    }
    key_wipe(&next, sizeof(next));
    if (result == 0) {
        *out_count = count;
        result = key_file_replace(key_file, next_file, err);
    }
    free(next_file);
    return result;
}

static int rotate_key_of(const struct environments *environments,
                         const char *name,
                         struct buffer *message,
                         struct error *err)
{
    const struct environment *row = environments_find(environments, name);
    size_t told = 0;

    if (!row) {
        return unknown(name, err);
    }
    if (!*row->join) {
        return error_set(err,
                         ERROR_FAILED_PRECONDITION,
                         "environment \"%s\" has no join string, so no key is used",
                         row->name);
    }
    if (rotate(environments, row->key_file, &told, err) != 0) {
        return -1;
    }
    buffer_add_format(message,
                      "%s is a new key, known to the masters of %zu environments; the "
                      "old one is refused a day from now at the latest",
                      row->key_file,
                      told);
    return 0;
}

static int run_rotate(char **positional, int count, struct error *err)
{
    struct environments environments = {0};
    struct buffer message = BUFFER_INIT;

    (void)count;
    int result = open_environments(&environments, err);
    if (result == 0) {
        result = rotate_key_of(&environments, positional[0], &message, err);
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

const struct command command_env_rotate = {
    .name = "env rotate",
    .usage = "[OPTION]... NAME",
    .brief = "change your key for a new one",
    .summary =
        "Makes a new key in place of the one that an environment is used with. All "
        "masters of\nenvironments with the same key are told first, and have to "
        "answer; the old key is\nrefused a day later.",
    .examples = "cortex env rotate work",
    .rows = rows,
    .positional_min = 1,
    .positional_max = 1,
    .run = run_rotate,
};
