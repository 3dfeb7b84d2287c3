/* SPDX-License-Identifier: Apache-2.0 */
/* key_command.c - how a master's key and those of its callers are made and changed */
#include "master/key_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/options.h"
#include "master/identity.h"
#include "master/keys.h"
#include "master/keys_entry.h"
#include "master/keys_file.h"

#define STATE_FOLDER "/var/lib/cortex/master"

struct command {
    const char *state_dir;
    const char *address;
    const char *role;
    const char *apis;
    const char *from;
    const char *expires;
    int64_t uses; /* 0: not given */
    bool finish;
    char *folder;    /* absolute; owned */
    char *path;      /* of authorized_keys; owned */
    char **argument; /* what stands behind the verb */
    int count;
};

static int
expect(const struct command *command, int least, const char *what, struct error *err)
{
    return command->count >= least
               ? 0
               : error_set(err, ERROR_INVALID_ARGUMENT, "expected %s", what);
}

/* --- init --- */

static int init(const struct command *command, struct error *err)
{
    struct identity self;
    char text[KEY_JOIN_SIZE];

    if (identity_make(command->folder, command->address, &self, err) != 0) {
        return -1;
    }
    int result = keys_file_make(command->path, err);
    if (result == 0) {
        result = key_join_format(&self.join, text, err);
    }
    if (result == 0) {
        (void)printf("%s\n", text);
        (void)fprintf(stderr,
                      "Each user types this, and sends you the line that it prints:\n"
                      "    cortex env configure NAME --join %s\n"
                      "For agents: cortex-master keys token --state-dir %s\n",
                      text,
                      command->folder);
    }
    key_wipe(&self, sizeof(self));
    return result;
}

/* --- keys --- */

// "cortex-public:... laptop of Ada": what a client printed may stand in one argument.
static int add(const struct command *command, struct error *err)
{
    if (expect(command, 1, "keys add --role ROLE KEY [COMMENT]", err) != 0) {
        return -1;
    }
    const struct keys_line line = {
        .role = command->role,
        .apis = command->apis,
        .from = command->from,
        .expires = command->expires,
        .what = command->argument[0],
        .comment = command->count > 1 ? command->argument[1] : NULL,
    };
    unsigned char key[KEY_SIZE];

    if (command->uses > 0) {
        return error_set(err, ERROR_INVALID_ARGUMENT, "--uses is for keys token");
    }
    return key_public_parse(line.what, key, err) == 0
               ? keys_file_add(command->path, &line, err)
               : -1;
}

static int add_token(const struct command *command, struct error *err)
{
    struct identity self;
    unsigned char token[KEY_SIZE];
    char text[KEY_TEXT_SIZE];
    char join[KEY_JOIN_SIZE];
    char uses[24];

    if (identity_load(command->folder, &self, err) != 0) {
        return -1;
    }
    id_random_bytes(token, sizeof(token));
    key_token_format(token, text);
    (void)snprintf(uses, sizeof(uses), "%" PRId64, command->uses);
    const struct keys_line line = {
        .role = command->role ? command->role : "agent",
        .apis = command->apis,
        .from = command->from,
        .expires = command->expires,
        .uses = command->uses > 0 ? uses : NULL,
        .what = text,
        .comment = command->count > 0 ? command->argument[0] : NULL,
    };
    self.join.has_token = true;
    memcpy(self.join.token, token, sizeof(token));
    int result = keys_file_add(command->path, &line, err);
    if (result == 0) {
        result = key_join_format(&self.join, join, err);
    }
    if (result == 0) {
        (void)printf("%s\n", join);
        (void)fprintf(stderr,
                      "It is stored nowhere else. On each machine, once:\n"
                      "    cortex-agent --state-dir DIR --join STRING\n");
    }
    key_wipe(&self, sizeof(self));
    key_wipe(token, sizeof(token));
    key_wipe(text, sizeof(text));
    return result;
}

static int list(const struct command *command, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    int result = keys_file_list(command->path, &text, err);

    if (result == 0) {
        (void)fputs(buffer_text(&text), stdout);
    }
    buffer_fini(&text);
    return result;
}

static int revoke(const struct command *command, struct error *err)
{
    char *line = NULL;

    if (expect(command, 1, "keys revoke KEY", err) != 0 ||
        keys_file_revoke(command->path, command->argument[0], &line, err) != 0) {
        return -1;
    }
    (void)printf("revoked %s\n", line);
    free(line);
    return 0;
}

static int rotate(const struct command *command, struct error *err)
{
    struct identity self = {.has_next = false};
    char text[KEY_JOIN_SIZE] = "";
    char next[KEY_TEXT_SIZE];
    int result = command->finish ? identity_finish(command->folder, &self, err)
                                 : identity_rotate(command->folder, &self, err);

    if (result == 0 && command->finish) {
        result = key_join_format(&self.join, text, err);
    }
    if (result == 0 && command->finish) {
        (void)printf("%s\n", text);
        (void)fprintf(stderr,
                      "The old key is of no more use. Who has called this master since "
                      "the rotation began goes on\nby himself; others need the join "
                      "string above.\n");
    } else if (result == 0) {
        key_public_format(self.next.public_key, next);
        (void)printf("%s\n", next);
        (void)fprintf(
            stderr,
            "This is going to be the master's key. While it runs, all who call "
            "it learn so by themselves. Once\nall have, put the key in place:\n"
            "    cortex-master keys rotate --finish --state-dir %s\n",
            command->folder);
    }
    key_wipe(&self, sizeof(self));
    return result;
}

static const struct {
    const char *verb;
    int (*run)(const struct command *command, struct error *err);
} verbs[] = {
    {"add", add},
    {"token", add_token},
    {"list", list},
    {"revoke", revoke},
    {"rotate", rotate},
};

static int run_keys(const char *verb, const struct command *command, struct error *err)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].verb) == 0) {
            return verbs[i].run(command, err);
        }
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "keys: got \"%s\", expected add, token, list, revoke or rotate",
                     verb);
}

/* --- the command line --- */

#define TEXT(name, member, value, help)                                                \
    {                                                                                  \
        name, 0, OPTION_TEXT, &command->member, value, help, 0, 0                      \
    }
#define STATE_DIR                                                                      \
    TEXT("state-dir",                                                                  \
         state_dir,                                                                    \
         "DIR",                                                                        \
         "the master's state folder (default " STATE_FOLDER ")")

static int read_init(int argc, char **argv, struct command *command, struct error *err)
{
    const struct option_row rows[] = {
        STATE_DIR,
        TEXT("address",
             address,
             "URL",
             "where others reach the master, such as tcp://10.0.0.5:8790"),
        {0},
    };
    const struct options options = {
        .program = "cortex-master init",
        .usage = "[OPTION]...",
        .summary =
            "Makes the master's key and prints its join string, which others need "
            "to call it.\nWhat is there is kept; a new --address is taken over.",
        .rows = rows,
    };
    int at;

    return options_parse(&options, argc, argv, &at, err);
}

static int read_keys(
    int argc, char **argv, struct command *command, int *out_at, struct error *err)
{
    const struct option_row rows[] = {
        STATE_DIR,
        TEXT(
            "role", role, "ROLE", "of a new key: admin, submit, read, agent or bridge"),
        TEXT(
            "api", apis, "PATTERNS", "the apis it is for: image-*,audio (default all)"),
        TEXT("from",
             from,
             "NETWORKS",
             "where it may come from: 10.0.0.0/8,192.168.1.7 (default anywhere)"),
        TEXT("expires", expires, "WHEN", "2027-01-31 or 2027-01-31T12:00:00Z"),
        {"uses",
         0,
         OPTION_NUMBER,
         &command->uses,
         "N",
         "how many agents may join with a token (default any number)",
         1,
         KEYS_MAX},
        {.name = "finish",
         .type = OPTION_FLAG,
         .target = &command->finish,
         .help = "with rotate: put the announced key in place"},
        {0},
    };
    const struct options options = {
        .program = "cortex-master keys",
        .usage = "add --role ROLE [OPTION]... KEY [COMMENT]\n"
                 "       cortex-master keys token [OPTION]... [COMMENT]\n"
                 "       cortex-master keys list [OPTION]...\n"
                 "       cortex-master keys revoke [OPTION]... KEY\n"
                 "       cortex-master keys rotate [--finish]",
        .summary =
            "Says who may call the master: adds a key, makes a token that agents "
            "join with, shows\nwhat there is, or takes a key or token back. rotate "
            "changes the master's own key, in two\nsteps. A master that runs follows "
            "within seconds.",
        .rows = rows,
        .positional_min = 1,
        .positional_max = 3,
    };

    return options_parse(&options, argc, argv, out_at, err);
}

static int run(int argc, char **argv, struct command *command, struct error *err)
{
    bool keys = strcmp(argv[0], "keys") == 0;
    int at = 0;

    if ((keys ? read_keys(argc, argv, command, &at, err)
              : read_init(argc, argv, command, err)) != 0) {
        return -1;
    }
    command->folder = fs_absolute(command->state_dir);
    command->path = identity_keys_path(command->folder);
    command->argument = argv + at + 1;
    command->count = argc - at - 1;
    return keys ? run_keys(argv[at], command, err) : init(command, err);
}

int key_command(int argc, char **argv)
{
    struct command command = {.state_dir = STATE_FOLDER};
    struct error err = {0};

    int result = run(argc, argv, &command, &err);
    if (result != 0) {
        (void)fprintf(stderr, "error: %s\n", err.message);
    }
    free(command.folder);
    free(command.path);
    return result == 0 ? 0 : 1;
}
