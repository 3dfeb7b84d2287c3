/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - which key may do what, from where, until when */
#include "master/keys.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"
#include "master/keys_entry.h"

/* What a file said, sorted by key. */
struct table {
    struct keys_entry *entries;
    size_t count;
    size_t capacity;
};

/* What tells one state of a file from another; all zero if there is none. */
struct stamp {
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct keys {
    char *path;
    struct stamp stamp;

    pthread_mutex_t lock; /* guards the table */
    struct table table;
};

/* --- entries --- */

static void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        keys_entry_fini(&table->entries[i]);
    }
    free(table->entries);
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(((const struct keys_entry *)a)->key,
                  ((const struct keys_entry *)b)->key,
                  KEY_SIZE);
}

static const struct keys_entry *find_entry(const struct table *table,
                                           const unsigned char key[KEY_SIZE])
{
    struct keys_entry wanted = {.line = 0};

    memcpy(wanted.key, key, KEY_SIZE);
    const struct keys_entry *entry = table->count == 0 ? NULL
                                                       : bsearch(&wanted,
                                                                 table->entries,
                                                                 table->count,
                                                                 sizeof(wanted),
                                                                 compare_entries);
    return entry && !entry->is_token ? entry : NULL;
}

static const struct keys_entry *find_token(const struct table *table,
                                           const char *token_id)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct keys_entry *entry = &table->entries[i];
        if (entry->is_token && strcmp(entry->token, token_id) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* --- a file --- */

/* Sorts by key, and refuses one that is there twice. */
static int sort_table(struct table *table, const char *path, struct error *err)
{
    if (table->count > 0) {
        qsort(table->entries, table->count, sizeof(*table->entries), compare_entries);
    }
    for (size_t i = 1; i < table->count; i++) {
        const struct keys_entry *one = &table->entries[i - 1];
        const struct keys_entry *two = &table->entries[i];
        if (compare_entries(one, two) == 0) {
            size_t first = one->line < two->line ? one->line : two->line;
            return error_set(err,
                             ERROR_INVALID_ARGUMENT,
                             "%s line %zu: the key is on line %zu already",
                             path,
                             one->line + two->line - first,
                             first);
        }
    }
    return 0;
}

static int add_line(
    struct table *table, char *line, size_t number, const char *path, struct error *err)
{
    struct keys_entry entry = {.line = number};

    if (table->count == KEYS_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%s line %zu: expected at most %d keys",
                         path,
                         number,
                         KEYS_MAX);
    }
    if (keys_entry_parse(line, &entry, err) != 0) {
        keys_entry_fini(&entry);
        return error_wrap(err, "%s line %zu", path, number);
    }
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 16;
        table->entries =
            memory_realloc(table->entries, table->capacity * sizeof(entry));
    }
    table->entries[table->count++] = entry;
    return 0;
}

static int
parse_table(char *text, const char *path, struct table *out, struct error *err)
{
    struct table table = {.count = 0};
    char *next = text;
    int result = 0;

    for (size_t number = 1; next && result == 0; number++) {
        char *line = strsep(&next, "\n");
        line[strcspn(line, "\r")] = '\0';
        if (!keys_entry_is_none(line)) {
            result = add_line(&table, line, number, path, err);
        }
    }
    if (result == 0) {
        result = sort_table(&table, path, err);
    }
    if (result == 0) {
        *out = table;
    } else {
        table_fini(&table);
    }
    return result;
}

static int read_table(const char *path, struct table *out, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    struct error error;
    int result = 0;

    if (fs_read(path, KEYS_FILE_SIZE_MAX, &text, &error) != 0) {
        result = error.code == ERROR_NOT_FOUND ? 0 : error_copy(err, &error);
        if (result == 0) {
            *out = (struct table){.count = 0};
        }
    } else if (text.size > 0 && memchr(text.data, '\0', text.size)) {
        result =
            error_set(err, ERROR_INVALID_ARGUMENT, "%s holds a NUL: no text", path);
    } else {
        char *lines = memory_strdup(buffer_text(&text));
        result = parse_table(lines, path, out, err);
        free(lines);
    }
    buffer_fini(&text);
    return result;
}

int keys_check_text(const char *text, const char *path, struct error *err)
{
    struct table table;
    char *lines = memory_strdup(text);
    int result = parse_table(lines, path, &table, err);

    free(lines);
    if (result == 0) {
        table_fini(&table);
    }
    return result;
}

static struct stamp stamp_of(const char *path)
{
    struct stat info;
    struct stamp stamp = {.inode = 0};

    if (stat(path, &info) == 0) {
        stamp.inode = info.st_ino;
        stamp.size = info.st_size;
        stamp.changed = info.st_mtim;
    }
    return stamp;
}

static bool is_same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

int keys_open(const char *path, struct keys **out_keys, struct error *err)
{
    struct stamp stamp = stamp_of(path); // before reading: a change is seen later
    struct table table;

    if (read_table(path, &table, err) != 0) {
        return -1;
    }
    struct keys *keys = memory_zalloc(sizeof(*keys));
    keys->path = memory_strdup(path);
    keys->stamp = stamp;
    keys->table = table;
    pthread_mutex_init(&keys->lock, NULL);
    *out_keys = keys;
    return 0;
}

void keys_close(struct keys *keys)
{
    if (keys) {
        table_fini(&keys->table);
        pthread_mutex_destroy(&keys->lock);
        free(keys->path);
        free(keys);
    }
}

int keys_reload(struct keys *keys, bool *out_changed, struct error *err)
{
    struct stamp stamp = stamp_of(keys->path);
    struct table table;

    if (is_same_stamp(&stamp, &keys->stamp)) {
        *out_changed = false;
        return 0;
    }
    keys->stamp = stamp;
    if (read_table(keys->path, &table, err) != 0) {
        return -1;
    }
    pthread_mutex_lock(&keys->lock);
    struct table old = keys->table;
    keys->table = table;
    pthread_mutex_unlock(&keys->lock);
    table_fini(&old);
    *out_changed = true;
    return 0;
}

size_t keys_count(struct keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    size_t count = keys->table.count;
    pthread_mutex_unlock(&keys->lock);
    return count;
}

/* --- questions --- */

static bool is_over(const struct keys_entry *entry, int64_t wall_ms)
{
    return entry->expires_ms != 0 && wall_ms >= entry->expires_ms;
}

/* What a key and a token are both asked. */
static int check_usable(const struct keys_entry *entry,
                        const char *host,
                        int64_t wall_ms,
                        struct error *err)
{
    const char *what = entry->is_token ? "token" : "key";
    char when[CLOCK_TEXT_SIZE];

    if (entry->revoked) {
        return error_set(err, ERROR_UNAUTHENTICATED, "this %s has been revoked", what);
    }
    if (is_over(entry, wall_ms)) {
        clock_format_display(entry->expires_ms, when);
        return error_set(
            err, ERROR_UNAUTHENTICATED, "this %s has expired on %s", what, when);
    }
    return !host || keys_entry_is_from(entry, host)
               ? 0
               : error_set(err,
                           ERROR_PERMISSION_DENIED,
                           "this %s may not be used from %s",
                           what,
                           host);
}

static int check_entry(const struct keys_entry *entry,
                       const char *host,
                       enum key_role wanted,
                       int64_t wall_ms,
                       enum key_role *out_role,
                       struct error *err)
{
    if (check_usable(entry, host, wall_ms, err) != 0) {
        return -1;
    }
    if (wanted != KEY_ROLE_NONE && wanted != entry->role &&
        entry->role != KEY_ROLE_ADMIN) {
        return error_set(err,
                         ERROR_PERMISSION_DENIED,
                         "this key has the role %s, expected %s",
                         key_role_name(entry->role),
                         key_role_name(wanted));
    }
    *out_role = wanted == KEY_ROLE_NONE ? entry->role : wanted;
    return 0;
}

int keys_check(struct keys *keys,
               const unsigned char key[KEY_SIZE],
               const char *host,
               enum key_role wanted,
               int64_t wall_ms,
               enum key_role *out_role,
               struct error *err)
{
    char text[KEY_TEXT_SIZE];
    int result;

    pthread_mutex_lock(&keys->lock);
    const struct keys_entry *entry = find_entry(&keys->table, key);
    if (entry) {
        result = check_entry(entry, host, wanted, wall_ms, out_role, err);
    } else {
        key_public_format(key, text);
        result =
            error_set(err, ERROR_UNAUTHENTICATED, "the key %s is not known here", text);
    }
    pthread_mutex_unlock(&keys->lock);
    return result;
}

bool keys_find_token(struct keys *keys,
                     const char *token_id,
                     int64_t wall_ms,
                     unsigned char out_token[KEY_SIZE])
{
    pthread_mutex_lock(&keys->lock);
    const struct keys_entry *entry = find_token(&keys->table, token_id);
    bool good = entry && !entry->revoked && !is_over(entry, wall_ms);
    if (good) {
        memcpy(out_token, entry->key, KEY_SIZE);
    }
    pthread_mutex_unlock(&keys->lock);
    return good;
}

static size_t count_joined(const struct table *table, const char *token_id)
{
    size_t count = 0;

    for (size_t i = 0; i < table->count; i++) {
        const struct keys_entry *entry = &table->entries[i];
        count += !entry->is_token && strcmp(entry->token, token_id) == 0;
    }
    return count;
}

static int check_uses(const struct table *table,
                      const struct keys_entry *token,
                      const unsigned char key[KEY_SIZE],
                      struct error *err)
{
    const struct keys_entry *known = find_entry(table, key);

    if (token->uses == 0 || (known && strcmp(known->token, token->token) == 0) ||
        count_joined(table, token->token) < token->uses) {
        return 0;
    }
    return error_set(err,
                     ERROR_UNAUTHENTICATED,
                     "this token is used up: %u agents have joined with it",
                     token->uses);
}

int keys_check_token(struct keys *keys,
                     const char *token_id,
                     const unsigned char key[KEY_SIZE],
                     const char *host,
                     int64_t wall_ms,
                     struct error *err)
{
    pthread_mutex_lock(&keys->lock);
    const struct keys_entry *token = find_token(&keys->table, token_id);
    int result = token ? check_usable(token, host, wall_ms, err)
                       : error_set(err,
                                   ERROR_UNAUTHENTICATED,
                                   "the token %s is not known here",
                                   token_id);
    if (token && result == 0) {
        result = check_uses(&keys->table, token, key, err);
    }
    pthread_mutex_unlock(&keys->lock);
    return result;
}

bool keys_may_use_api(struct keys *keys,
                      const unsigned char key[KEY_SIZE],
                      const char *api_name)
{
    pthread_mutex_lock(&keys->lock);
    const struct keys_entry *entry = find_entry(&keys->table, key);
    bool may = entry && !entry->revoked && entry->api_count == 0;
    for (size_t i = 0; entry && !entry->revoked && i < entry->api_count; i++) {
        may = may || fnmatch(entry->apis[i], api_name, 0) == 0;
    }
    pthread_mutex_unlock(&keys->lock);
    return may;
}

bool keys_are_limited(struct keys *keys, const unsigned char key[KEY_SIZE])
{
    pthread_mutex_lock(&keys->lock);
    const struct keys_entry *entry = find_entry(&keys->table, key);
    bool limited = !entry || entry->revoked || entry->api_count > 0;
    pthread_mutex_unlock(&keys->lock);
    return limited;
}

void keys_agent_id(struct keys *keys,
                   const unsigned char key[KEY_SIZE],
                   unsigned char out[KEY_NAME_SIZE])
{
    pthread_mutex_lock(&keys->lock);
    const struct keys_entry *entry = find_entry(&keys->table, key);
    memcpy(out, entry && entry->has_agent_id ? entry->agent_id : key, KEY_NAME_SIZE);
    pthread_mutex_unlock(&keys->lock);
}

bool keys_holds_agent(struct keys *keys,
                      const unsigned char key[KEY_SIZE],
                      int64_t wall_ms)
{
    pthread_mutex_lock(&keys->lock);
    const struct keys_entry *entry = find_entry(&keys->table, key);
    bool holds = entry && !entry->revoked && !is_over(entry, wall_ms) &&
                 (entry->role == KEY_ROLE_AGENT || entry->role == KEY_ROLE_ADMIN);
    pthread_mutex_unlock(&keys->lock);
    return holds;
}
