/* SPDX-License-Identifier: Apache-2.0 */
/* token_command.c - how tokens are made, shown and taken back */
#include "client/bridge/token_command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "client/bridge/tokens.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/options.h"

#define ID_SIZE   12 /* digits of a hash that name its token */
#define FILE_MODE 0600

struct command {
    const char *state_dir;
    const char *tokens;
    char *path; /* the file that they mean; owned */
    const char *role;
    const char *apis;
    const char *expires;
    const char *argument; /* NULL: none */
};

/* --- the file --- */

static int load(const char *path,
                struct buffer *text,
                struct token_list *out_list,
                struct error *err)
{
    if (fs_exists(path) && fs_read(path, TOKENS_SIZE_MAX, text, err) != 0) {
        return -1;
    }
    return token_list_parse(buffer_text(text), text->size, out_list, err) == 0
               ? 0
               : error_wrap(err, "%s", path);
}

// Two who change the file wait for each other: the lock is on its folder, since the
// file is replaced. Returns a descriptor to be closed.
static int lock_folder_of(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = memory_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = -1;

    if (fs_make_folder(folder, 0700, err) == 0) {
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) != 0) {
            error_set_errno(err, ERROR_INTERNAL, "%s", folder);
            if (fd >= 0) {
                (void)close(fd);
                fd = -1;
            }
        }
    }
    free(folder);
    return fd;
}

static void token_id(const struct token *token, char out[TOKEN_HASH_TEXT_SIZE])
{
    token_hash_format(token->hash, out);
    out[ID_SIZE] = '\0';
}

/* --- add --- */

static void
write_line(const struct command *command, const char *token, struct buffer *text)
{
    unsigned char hash[TOKEN_HASH_SIZE];
    char hash_text[TOKEN_HASH_TEXT_SIZE];

    token_hash(token, hash);
    token_hash_format(hash, hash_text);
    if (text->size > 0 && text->data[text->size - 1] != '\n') {
        buffer_add_char(text, '\n');
    }
    buffer_add_format(text, "role=%s ", command->role);
    if (command->apis) {
        buffer_add_format(text, "api=%s ", command->apis);
    }
    if (command->expires) {
        buffer_add_format(text, "expires=%s ", command->expires);
    }
    buffer_add_format(text,
                      "blake2b:%s%s%s\n",
                      hash_text,
                      command->argument ? " " : "",
                      command->argument ? command->argument : "");
}

static bool is_word(const char *text)
{
    return !text || !strpbrk(text, " \t\n");
}

// What was said is judged by reading the line that it makes.
static int check_line(const char *line, struct error *err)
{
    struct token_list list;

    if (token_list_parse(line, strlen(line), &list, err) != 0) {
        return -1;
    }
    token_list_fini(&list);
    return 0;
}

static int add(const struct command *command, struct buffer *text, struct error *err)
{
    struct token_list list;
    struct buffer line = BUFFER_INIT;
    char token[TOKEN_TEXT_SIZE];
    int result = -1;

    if (!command->role || !is_word(command->role) || !is_word(command->apis) ||
        !is_word(command->expires) ||
        (command->argument && strchr(command->argument, '\n'))) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "expected --role admin, submit or read, and no blanks in an "
                         "option or line ends in the comment");
    }
    token_generate(token);
    write_line(command, token, &line);
    if (check_line(buffer_text(&line), err) != 0) {
        goto out;
    }
    write_line(command, token, text);
    if (token_list_parse(buffer_text(text), text->size, &list, err) != 0 ||
        fs_write_durable(command->path, text->data, text->size, FILE_MODE, err) != 0) {
        goto out;
    }
    token_list_fini(&list);
    (void)printf("%s\n", token);
    result = 0;
out:
    buffer_fini(&line);
    return result;
}

/* --- list --- */

static void print_token(const struct token *token)
{
    char id[TOKEN_HASH_TEXT_SIZE];
    char expires[32] = "never";

    token_id(token, id);
    if (token->expires_ms > 0) {
        time_t seconds = (time_t)(token->expires_ms / 1000);
        struct tm time;
        (void)gmtime_r(&seconds, &time);
        (void)strftime(expires, sizeof(expires), "%Y-%m-%dT%H:%M:%SZ", &time);
    }
    (void)printf("%-12s  %-6s  %-20s  %-20s  %s\n",
                 id,
                 token_role_name(token->role),
                 token->apis ? token->apis : "*",
                 expires,
                 token->comment);
}

static void list_tokens(const struct token_list *list)
{
    (void)printf(
        "%-12s  %-6s  %-20s  %-20s  %s\n", "id", "role", "api", "expires", "comment");
    for (size_t i = 0; i < list->count; i++) {
        print_token(&list->tokens[i]);
    }
}

/* --- revoke --- */

// The rest of the file stays as it is.
static void drop_line(struct buffer *text, size_t number)
{
    struct buffer rest = BUFFER_INIT;
    const char *at = buffer_text(text);

    for (size_t line = 1; *at; line++) {
        size_t size = strcspn(at, "\n");
        size += at[size] == '\n';
        if (line != number) {
            buffer_add(&rest, at, size);
        }
        at += size;
    }
    buffer_fini(text);
    *text = rest;
}

static int take_back(const struct command *command,
                     const struct token_list *list,
                     struct buffer *text,
                     struct error *err)
{
    const char *wanted = command->argument ? command->argument : "";
    const struct token *found = NULL;
    char id[TOKEN_HASH_TEXT_SIZE];

    for (size_t i = 0; i < list->count; i++) {
        token_id(&list->tokens[i], id);
        if (strcmp(id, wanted) == 0) {
            found = &list->tokens[i];
        }
    }
    if (!found) {
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "got \"%s\", expected a token's id of 12 digits, as \"tokens "
                         "list\" shows it",
                         wanted);
    }
    drop_line(text, found->line);
    return fs_write_durable(
        command->path, buffer_text(text), text->size, FILE_MODE, err);
}

/* --- the command line --- */

static int locate(struct command *command, struct error *err)
{
    if (!command->tokens && !command->state_dir) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "expected --state-dir DIR, the bridge's, or --tokens FILE");
    }
    char *path = command->tokens ? memory_strdup(command->tokens)
                                 : fs_join(command->state_dir, "tokens");
    command->path = fs_absolute(path);
    free(path);
    return 0;
}

static int run(const char *verb, const struct command *command, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct token_list list = {NULL, 0};
    int lock = lock_folder_of(command->path, err);
    int result = -1;

    if (lock < 0) {
        return -1;
    }
    if (load(command->path, &text, &list, err) != 0) {
        goto out;
    }
    if (strcmp(verb, "add") == 0) {
        result = add(command, &text, err);
    } else if (strcmp(verb, "revoke") == 0) {
        result = take_back(command, &list, &text, err);
    } else if (strcmp(verb, "list") == 0) {
        list_tokens(&list);
        result = 0;
    } else {
        error_set(err,
                  ERROR_INVALID_ARGUMENT,
                  "tokens: got \"%s\", expected add, list or revoke",
                  verb);
    }
out:
    token_list_fini(&list);
    buffer_fini(&text);
    (void)close(lock);
    return result;
}

static int read_arguments(int argc,
                          char **argv,
                          struct command *command,
                          const char **out_verb,
                          struct error *err)
{
#define TEXT(name, member, value, help)                                                \
    {                                                                                  \
        name, 0, OPTION_TEXT, &command->member, value, help, 0, 0                      \
    }
    const struct option_row rows[] = {
        TEXT("state-dir",
             state_dir,
             "DIR",
             "the bridge's: its file \"tokens\" is meant"),
        TEXT("tokens", tokens, "FILE", "the tokens file, made if it is missing"),
        TEXT("role", role, "ROLE", "of a new token: admin, submit or read"),
        TEXT(
            "api", apis, "PATTERNS", "the apis it is for: image-*,audio (default all)"),
        TEXT("expires", expires, "WHEN", "2027-01-31 or 2027-01-31T12:00:00Z"),
        {0},
    };
#undef TEXT
    const struct options options = {
        .program = "cortex-bridge tokens",
        .usage = "add [OPTION]... [COMMENT]\n"
                 "       cortex-bridge tokens list [OPTION]...\n"
                 "       cortex-bridge tokens revoke [OPTION]... ID",
        .summary =
            "Makes the tokens that HTTP clients show to the bridge, lists them "
            "or takes one back.\nA new token is printed once and stored nowhere.",
        .rows = rows,
        .positional_min = 1,
        .positional_max = 2,
    };
    int at;

    if (options_parse(&options, argc, argv, &at, err) != 0) {
        return -1;
    }
    *out_verb = argv[at];
    command->argument = at + 1 < argc ? argv[at + 1] : NULL;
    return locate(command, err);
}

int token_command(int argc, char **argv)
{
    struct command command = {0};
    const char *verb;
    struct error err;
    int result = -1;

    if (id_init() != 0) {
        (void)fprintf(stderr, "error: there is no source of random numbers\n");
        return 1;
    }
    if (read_arguments(argc, argv, &command, &verb, &err) == 0) {
        result = run(verb, &command, &err);
        free(command.path);
    }
    if (result != 0) {
        (void)fprintf(stderr, "error: %s\n", err.message);
    }
    return result == 0 ? 0 : 1;
}
