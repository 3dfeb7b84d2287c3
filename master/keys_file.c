/* SPDX-License-Identifier: Apache-2.0 */
/* keys_file.c - how authorized_keys is changed */
#include "master/keys_file.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/key.h"
#include "master/keys.h"

#define FILE_MODE  0600
#define PREFIX_MIN 8 /* characters of a key that are enough to mean it */

#define PUBLIC_PREFIX "cortex-public:"
#define TOKEN_PREFIX  "cortex-token:"

static const char lesson[] =
    "# Who may call this master, one key a line:\n"
    "#\n"
    "#   role=submit api=image-*,audio from=10.0.0.0/8 expires=2027-01-31 "
    "cortex-public:... a comment\n"
    "#   revoked role=read cortex-public:... told that it is revoked\n"
    "#\n"
    "# role= is admin, submit, read, agent or bridge; the other options may be left\n"
    "# out. A change holds within two seconds. `cortex-master keys add`, `list` and\n"
    "# `revoke` change this file too; what they do not understand they refuse.\n";

/* --- the file --- */

// The lock is on the folder, since the file is replaced. Returns a descriptor.
static int lock_folder_of(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? memory_strndup(path, slash == path ? 1 : (size_t)(slash - path))
              : memory_strdup(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        (void)error_set_errno(err, ERROR_FAILED_PRECONDITION, "cannot lock %s", folder);
        if (fd >= 0) {
            (void)close(fd);
            fd = -1;
        }
    }
    free(folder);
    return fd;
}

static int load(const char *path, struct buffer *text, struct error *err)
{
    struct error error;

    if (fs_read(path, KEYS_FILE_SIZE_MAX, text, &error) == 0) {
        return keys_check_text(buffer_text(text), path, err);
    }
    if (error.code != ERROR_NOT_FOUND) {
        return error_copy(err, &error);
    }
    buffer_add_text(text, lesson);
    return 0;
}

static int save(const char *path, const struct buffer *text, struct error *err)
{
    return keys_check_text(buffer_text(text), path, err) == 0
               ? fs_write_durable(path, text->data, text->size, FILE_MODE, err)
               : -1;
}

int keys_file_make(const char *path, struct error *err)
{
    return fs_exists(path)
               ? 0
               : fs_write_durable(path, lesson, strlen(lesson), FILE_MODE, err);
}

/* --- add --- */

static int check_word(const char *name, const char *text, struct error *err)
{
    return text && (!*text || strpbrk(text, " \t\r\n"))
               ? error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "%s: got \"%s\", expected a word without blanks",
                           name,
                           text)
               : 0;
}

static int check_line(const struct keys_line *line, struct error *err)
{
    if (check_word("--role", line->role, err) != 0 ||
        check_word("--api", line->apis, err) != 0 ||
        check_word("--from", line->from, err) != 0 ||
        check_word("--expires", line->expires, err) != 0 ||
        check_word("the key", line->what, err) != 0) {
        return -1;
    }
    return line->comment && strpbrk(line->comment, "\r\n")
               ? error_set(
                     err, ERROR_INVALID_ARGUMENT, "the comment: expected one line")
               : 0;
}

static void add_option(struct buffer *text, const char *name, const char *value)
{
    if (value) {
        buffer_add_format(text, "%s=%s ", name, value);
    }
}

static void add_line(struct buffer *text, const struct keys_line *line)
{
    if (text->size > 0 && text->data[text->size - 1] != '\n') {
        buffer_add_char(text, '\n');
    }
    add_option(text, "role", line->role);
    add_option(text, "api", line->apis);
    add_option(text, "from", line->from);
    add_option(text, "expires", line->expires);
    add_option(text, "uses", line->uses);
    add_option(text, "token", line->token);
    add_option(text, "agent", line->agent);
    buffer_add_text(text, line->what);
    if (line->comment && *line->comment) {
        buffer_add_format(text, " %s", line->comment);
    }
    buffer_add_char(text, '\n');
}

// What was said is judged by reading the line that it makes.
static int check_alone(const struct keys_line *line, struct error *err)
{
    struct buffer text = BUFFER_INIT;

    add_line(&text, line);
    int result = keys_check_text(buffer_text(&text), "the new line", err);
    buffer_fini(&text);
    return result;
}

int keys_file_add(const char *path, const struct keys_line *line, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    int result = -1;

    if (check_line(line, err) != 0 || check_alone(line, err) != 0) {
        return -1;
    }
    int lock = lock_folder_of(path, err);
    if (lock < 0) {
        return -1;
    }
    if (load(path, &text, err) == 0) {
        if (strstr(buffer_text(&text), line->what)) {
            error_set(err,
                      ERROR_ALREADY_EXISTS,
                      "%s has this key already; edit the line to change it",
                      path);
        } else {
            add_line(&text, line);
            result = save(path, &text, err);
        }
    }
    buffer_fini(&text);
    (void)close(lock);
    return result;
}

/* --- lines --- */

/* The words of a line; comment is the rest of it. Cuts the text up. */
struct words {
    bool revoked;
    struct keys_line line;
};

static void take_option(struct words *out, char *word)
{
    const struct {
        const char *name;
        const char **to;
    } rows[] = {
        {"role=", &out->line.role},
        {"api=", &out->line.apis},
        {"from=", &out->line.from},
        {"expires=", &out->line.expires},
        {"uses=", &out->line.uses},
        {"token=", &out->line.token},
        {"agent=", &out->line.agent},
    };

    out->revoked = out->revoked || strcmp(word, "revoked") == 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strncmp(word, rows[i].name, strlen(rows[i].name)) == 0) {
            *rows[i].to = word + strlen(rows[i].name);
        }
    }
}

// False for a line without a key.
static bool split(char *text, struct words *out)
{
    char *next = text + strspn(text, " \t");

    *out = (struct words){.revoked = false};
    if (*next == '#') {
        return false;
    }
    while (next && !out->line.what) {
        char *word = strsep(&next, " \t\r");
        if (strncmp(word, "cortex-", strlen("cortex-")) == 0) {
            out->line.what = word;
        } else {
            take_option(out, word);
        }
    }
    out->line.comment = next ? next : "";
    return out->line.what != NULL;
}

/* What people call it by: the public key, or the token's id. */
static void name_of(const struct words *words, char out[KEY_TEXT_SIZE])
{
    unsigned char token[KEY_SIZE];

    if (key_token_parse(words->line.what, token)) {
        key_token_id(token, out);
        key_wipe(token, sizeof(token));
    } else {
        size_t size = strnlen(words->line.what, KEY_TEXT_SIZE - 1);
        memcpy(out, words->line.what, size);
        out[size] = '\0';
    }
}

/* --- revoke --- */

static bool is_meant(const char *name, const char *what)
{
    size_t size = strlen(what);
    size_t before = strncmp(what, PUBLIC_PREFIX, strlen(PUBLIC_PREFIX)) == 0
                        ? strlen(PUBLIC_PREFIX)
                        : 0;

    if (before == 0 && strncmp(name, PUBLIC_PREFIX, strlen(PUBLIC_PREFIX)) == 0) {
        name += strlen(PUBLIC_PREFIX); // its characters alone will do
    }
    return size >= before + PREFIX_MIN && strncmp(name, what, size) == 0;
}

// Copies the text with `revoked` in front of each line that is meant; counts them.
static size_t revoke_lines(const struct buffer *text,
                           const char *what,
                           struct buffer *out,
                           char **out_line)
{
    char *copy = memory_strdup(buffer_text(text));
    char *next = copy;
    size_t found = 0;

    while (next && *next) {
        char *line = strsep(&next, "\n");
        char *whole = memory_strdup(line);
        struct words words;
        char name[KEY_TEXT_SIZE];
        bool meant = false;
        if (split(line, &words)) {
            name_of(&words, name);
            meant = is_meant(name, what);
        }
        buffer_add_format(
            out, "%s%s\n", meant && !words.revoked ? "revoked " : "", whole);
        if (meant && found++ == 0) {
            *out_line = memory_format("%s %s", name, words.line.comment);
        }
        free(whole);
    }
    free(copy);
    return found;
}

int keys_file_revoke(const char *path,
                     const char *what,
                     char **out_text,
                     struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct buffer changed = BUFFER_INIT;
    char *line = NULL;
    int result = -1;
    int lock = lock_folder_of(path, err);

    if (lock < 0) {
        return -1;
    }
    if (load(path, &text, err) == 0) {
        size_t found = revoke_lines(&text, what, &changed, &line);
        if (found != 1) {
            error_set(err,
                      ERROR_NOT_FOUND,
                      "got \"%s\", which %s; expected a key or a token's id as \"keys "
                      "list\" shows it, or at least %d characters of it",
                      what,
                      found == 0 ? "no line has" : "several lines have",
                      PREFIX_MIN);
        } else {
            result = save(path, &changed, err);
        }
    }
    if (result == 0) {
        *out_text = line;
    } else {
        free(line);
    }
    buffer_fini(&text);
    buffer_fini(&changed);
    (void)close(lock);
    return result;
}

/* --- rotate --- */

// An agent is who it was with its first key. It does not use up its token once more.
static void
inherit(struct keys_line *line, const char *old, char out_id[KEY_NAME_TEXT_SIZE])
{
    unsigned char key[KEY_SIZE];

    line->token = NULL;
    if (!line->agent && line->role && strcmp(line->role, "agent") == 0 &&
        key_public_parse(old, key, NULL) == 0) {
        key_name_format(key, out_id);
        line->agent = out_id;
    }
}

// Whether a key that expires as its line says does so before it is to.
static bool ends_before(const char *own, const char *expires)
{
    int64_t own_ms;
    int64_t ms;

    return own && clock_parse_end(own, &own_ms) && clock_parse_end(expires, &ms) &&
           own_ms <= ms;
}

// The line of a key that has a next one, which ends.
static void add_ending(struct buffer *out,
                       const struct words *words,
                       const char *whole,
                       const char *expires)
{
    struct keys_line ending = words->line;

    if (ends_before(ending.expires, expires)) {
        buffer_add_format(out, "%s\n", whole);
    } else if (!ending.expires) {
        buffer_add_format(out, "expires=%s %s\n", expires, whole);
    } else {
        buffer_add_text(out, words->revoked ? "revoked " : "");
        ending.expires = expires;
        add_line(out, &ending);
    }
}

// Copies the text with the next key's line behind the old one's.
static bool rotate_line(const struct buffer *text,
                        const char *old,
                        const char *next,
                        const char *expires,
                        struct buffer *out)
{
    char *copy = memory_strdup(buffer_text(text));
    char *rest = copy;
    bool found = false;

    while (rest && *rest) {
        char *line = strsep(&rest, "\n");
        char *whole = memory_strdup(line);
        struct words words;
        bool meant = split(line, &words) && strcmp(words.line.what, old) == 0;
        if (!meant) {
            buffer_add_format(out, "%s\n", whole);
        } else {
            char agent_id[KEY_NAME_TEXT_SIZE];
            add_ending(out, &words, whole, expires);
            words.line.what = next;
            inherit(&words.line, old, agent_id);
            add_line(out, &words.line);
            found = true;
        }
        free(whole);
    }
    free(copy);
    return found;
}

int keys_file_rotate(const char *path,
                     const char *old,
                     const char *next,
                     const char *expires,
                     struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct buffer changed = BUFFER_INIT;
    int result = -1;
    int lock = lock_folder_of(path, err);

    if (lock < 0) {
        return -1;
    }
    if (load(path, &text, err) == 0) {
        if (strstr(buffer_text(&text), next)) {
            result = 0;
        } else if (!rotate_line(&text, old, next, expires, &changed)) {
            error_set(err, ERROR_NOT_FOUND, "%s does not list %s", path, old);
        } else {
            result = save(path, &changed, err);
        }
    }
    buffer_fini(&text);
    buffer_fini(&changed);
    (void)close(lock);
    return result;
}

/* --- list --- */

static const char *shown(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

static void add_row(struct buffer *out, const struct words *words)
{
    const struct keys_line *line = &words->line;
    bool token = strncmp(line->what, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) == 0;
    char name[KEY_TEXT_SIZE];

    name_of(words, name);
    buffer_add_format(out,
                      "%-57s  %-7s  %-16s  %-18s  %-20s  %s%s%s%s\n",
                      name,
                      words->revoked ? "revoked" : shown(line->role, "agent"),
                      shown(line->apis, "*"),
                      shown(line->from, "anywhere"),
                      shown(line->expires, "never"),
                      token ? "token, uses " : "",
                      token ? shown(line->uses, "any number") : "",
                      token && *line->comment ? ": " : "",
                      line->comment);
}

int keys_file_list(const char *path, struct buffer *out, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    int result = load(path, &text, err);

    if (result == 0) {
        char *copy = memory_strdup(buffer_text(&text));
        char *next = copy;
        buffer_add_format(out,
                          "%-57s  %-7s  %-16s  %-18s  %-20s  %s\n",
                          "key",
                          "role",
                          "api",
                          "from",
                          "expires",
                          "comment");
        while (next) {
            struct words words;
            if (split(strsep(&next, "\n"), &words)) {
                add_row(out, &words);
            }
        }
        free(copy);
    }
    buffer_fini(&text);
    return result;
}
