/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - which key may do what, from where, until when */
#include "master/keys.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"

/* An address, or all whose first bits are its. */
struct network {
    int family;
    unsigned bits;
    unsigned char address[16];
};

struct entry {
    unsigned char key[KEY_SIZE];
    size_t line;
    bool revoked;
    enum key_role role;
    int64_t expires_ms; /* 0: never */
    struct network *networks;
    size_t network_count; /* 0: from anywhere */
    char **apis;
    size_t api_count; /* 0: all */
    bool is_token;    /* `key` is a token's secret */
    uint32_t uses;    /* of a token; 0: any number */
    /* A token's own id; of a key, that of the token it has joined with. */
    char token[KEY_TOKEN_ID_SIZE];
    bool has_agent_id;
    unsigned char agent_id[KEY_NAME_SIZE];
};

/* What a file said, sorted by key. */
struct table {
    struct entry *entries;
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

static void entry_fini(struct entry *entry)
{
    for (size_t i = 0; i < entry->api_count; i++) {
        free(entry->apis[i]);
    }
    free(entry->apis);
    free(entry->networks);
}

static void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        entry_fini(&table->entries[i]);
    }
    free(table->entries);
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(
        ((const struct entry *)a)->key, ((const struct entry *)b)->key, KEY_SIZE);
}

static const struct entry *find_entry(const struct table *table,
                                      const unsigned char key[KEY_SIZE])
{
    struct entry wanted = {.line = 0};

    memcpy(wanted.key, key, KEY_SIZE);
    const struct entry *entry = table->count == 0 ? NULL
                                                  : bsearch(&wanted,
                                                            table->entries,
                                                            table->count,
                                                            sizeof(wanted),
                                                            compare_entries);
    return entry && !entry->is_token ? entry : NULL;
}

static const struct entry *find_token(const struct table *table, const char *token_id)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct entry *entry = &table->entries[i];
        if (entry->is_token && strcmp(entry->token, token_id) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* --- a line --- */

static int set_value_error(struct error *err,
                           const char *option,
                           const char *value,
                           const char *expected)
{
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "%s=\"%.100s\": expected %s",
                     option,
                     value,
                     expected);
}

static int read_role(struct entry *entry, char *value, struct error *err)
{
    return key_role_parse(value, &entry->role)
               ? 0
               : set_value_error(
                     err, "role", value, "admin, submit, read, agent or bridge");
}

static bool is_pattern(const char *text)
{
    return text[0] != '\0' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-*?") == strlen(text);
}

static int read_apis(struct entry *entry, char *value, struct error *err)
{
    char *next = value;

    while (next) {
        const char *pattern = strsep(&next, ",");
        if (!is_pattern(pattern) || entry->api_count == KEYS_PATTERNS_MAX) {
            return set_value_error(err,
                                   "api",
                                   pattern,
                                   "at most 64 patterns of lower-case letters, digits, "
                                   "-, * and ?, separated by commas");
        }
        entry->apis =
            memory_realloc(entry->apis, (entry->api_count + 1) * sizeof(*entry->apis));
        entry->apis[entry->api_count++] = memory_strdup(pattern);
    }
    return 0;
}

/* An IPv4 address that was written as an IPv6 one is an IPv4 address. */
static bool parse_address(const char *text, struct network *out)
{
    static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};

    if (inet_pton(AF_INET, text, out->address) == 1) {
        out->family = AF_INET;
        out->bits = 32;
        return true;
    }
    if (inet_pton(AF_INET6, text, out->address) != 1) {
        return false;
    }
    out->family = AF_INET6;
    out->bits = 128;
    if (memcmp(out->address, mapped, sizeof(mapped)) == 0) {
        memmove(out->address, out->address + sizeof(mapped), 4);
        out->family = AF_INET;
        out->bits = 32;
    }
    return true;
}

static bool parse_network(char *text, struct network *out)
{
    struct network network = {.family = AF_UNSPEC};
    char *slash = strchr(text, '/');
    char *end = NULL;

    if (slash) {
        *slash = '\0';
    }
    bool good = parse_address(text, &network);
    if (slash) {
        *slash = '/';
        unsigned long bits = strtoul(slash + 1, &end, 10);
        good = good && isdigit((unsigned char)slash[1]) && *end == '\0' &&
               bits <= network.bits;
        network.bits = (unsigned)bits;
    }
    *out = network;
    return good;
}

static int read_networks(struct entry *entry, char *value, struct error *err)
{
    char *next = value;

    while (next) {
        char *text = strsep(&next, ",");
        struct network network;
        if (!parse_network(text, &network) ||
            entry->network_count == KEYS_PATTERNS_MAX) {
            return set_value_error(err,
                                   "from",
                                   text,
                                   "at most 64 addresses or networks such as "
                                   "10.0.0.0/8, separated by commas");
        }
        entry->networks = memory_realloc(entry->networks,
                                         (entry->network_count + 1) * sizeof(network));
        entry->networks[entry->network_count++] = network;
    }
    return 0;
}

static int read_expiry(struct entry *entry, char *value, struct error *err)
{
    return clock_parse_end(value, &entry->expires_ms)
               ? 0
               : set_value_error(err,
                                 "expires",
                                 value,
                                 "a day such as 2027-01-31, or 2027-01-31T12:00:00Z");
}

static int read_uses(struct entry *entry, char *value, struct error *err)
{
    char *end = NULL;
    unsigned long uses = strtoul(value, &end, 10);

    if (!isdigit((unsigned char)value[0]) || *end != '\0' || uses < 1 ||
        uses > KEYS_MAX) {
        return set_value_error(err, "uses", value, "a number from 1 to 16384");
    }
    entry->uses = (uint32_t)uses;
    return 0;
}

static int read_token(struct entry *entry, char *value, struct error *err)
{
    if (strlen(value) != KEY_TOKEN_ID_SIZE - 1 ||
        strspn(value, "0123456789abcdef") != KEY_TOKEN_ID_SIZE - 1) {
        return set_value_error(err, "token", value, "a token's id of 32 hex digits");
    }
    memcpy(entry->token, value, KEY_TOKEN_ID_SIZE);
    return 0;
}

static int read_agent(struct entry *entry, char *value, struct error *err)
{
    entry->has_agent_id = key_name_parse(value, entry->agent_id);
    return entry->has_agent_id
               ? 0
               : set_value_error(err, "agent", value, "an agent's id of 32 hex digits");
}

static const struct {
    const char *name;
    int (*read)(struct entry *entry, char *value, struct error *err);
} options[] = {
    {"role", read_role},
    {"api", read_apis},
    {"from", read_networks},
    {"expires", read_expiry},
    {"uses", read_uses},
    {"token", read_token},
    {"agent", read_agent},
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

/* A word in front of the key. `seen` has a bit for each option there was. */
static int
read_option(struct entry *entry, char *word, unsigned *seen, struct error *err)
{
    char *equals = strchr(word, '=');

    if (strcmp(word, "revoked") == 0) {
        entry->revoked = true;
        return 0;
    }
    for (size_t i = 0; equals && i < OPTION_COUNT; i++) {
        size_t size = strlen(options[i].name);
        if ((size_t)(equals - word) != size ||
            memcmp(word, options[i].name, size) != 0) {
            continue;
        }
        if (*seen & 1u << i) {
            return error_set(
                err, ERROR_INVALID_ARGUMENT, "%s= is there twice", options[i].name);
        }
        *seen |= 1u << i;
        return options[i].read(entry, equals + 1, err);
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "\"%.100s\": expected role=, api=, from=, expires=, uses=, "
                     "token=, revoked or a public key",
                     word);
}

/* The word that says whose line it is. */
static int read_key(struct entry *entry, const char *word, struct error *err)
{
    entry->is_token = key_token_parse(word, entry->key);
    if (!entry->is_token && key_public_parse(word, entry->key, err) != 0) {
        return -1;
    }
    if (entry->is_token) {
        key_token_id(entry->key, entry->token);
        entry->role = entry->role == KEY_ROLE_NONE ? KEY_ROLE_AGENT : entry->role;
    }
    if (entry->is_token && (entry->role != KEY_ROLE_AGENT || entry->api_count > 0)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "with a token only agents join: expected role=agent, and no "
                         "api=, in front of it");
    }
    if (!entry->is_token && entry->uses > 0) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "uses= is for tokens: a key may be used as often as it is");
    }
    return entry->role == KEY_ROLE_NONE && !entry->revoked
               ? error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "the key has no role: expected role= in front of it")
               : 0;
}

/* The entry of a line that is not empty. */
static int parse_line(char *line, struct entry *entry, struct error *err)
{
    char *next = line;
    unsigned seen = 0;

    while (next) {
        char *word = strsep(&next, " \t");
        if (strncmp(word, "cortex-", strlen("cortex-")) == 0) {
            return read_key(entry, word, err);
        }
        if (*word != '\0' && read_option(entry, word, &seen, err) != 0) {
            return -1;
        }
    }
    return error_set(
        err, ERROR_INVALID_ARGUMENT, "expected a public key, cortex-public:...");
}

/* --- a file --- */

static bool is_empty_line(const char *line)
{
    line += strspn(line, " \t");
    return *line == '\0' || *line == '#';
}

/* Sorts by key, and refuses one that is there twice. */
static int sort_table(struct table *table, const char *path, struct error *err)
{
    if (table->count > 0) {
        qsort(table->entries, table->count, sizeof(*table->entries), compare_entries);
    }
    for (size_t i = 1; i < table->count; i++) {
        const struct entry *one = &table->entries[i - 1];
        const struct entry *two = &table->entries[i];
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
    struct entry entry = {.line = number};

    if (table->count == KEYS_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%s line %zu: expected at most %d keys",
                         path,
                         number,
                         KEYS_MAX);
    }
    if (parse_line(line, &entry, err) != 0) {
        entry_fini(&entry);
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
        if (!is_empty_line(line)) {
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

static bool begins_alike(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned rest = bits % 8;
    unsigned char mask = (unsigned char)(0xFF00u >> rest);

    return memcmp(a, b, bits / 8) == 0 &&
           (rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

static bool is_from(const struct entry *entry, const char *host)
{
    struct network address;

    if (entry->network_count == 0) {
        return true;
    }
    if (!parse_address(host, &address)) {
        return false;
    }
    for (size_t i = 0; i < entry->network_count; i++) {
        const struct network *network = &entry->networks[i];
        if (network->family == address.family &&
            begins_alike(network->address, address.address, network->bits)) {
            return true;
        }
    }
    return false;
}

static bool is_over(const struct entry *entry, int64_t wall_ms)
{
    return entry->expires_ms != 0 && wall_ms >= entry->expires_ms;
}

/* What a key and a token are both asked. */
static int check_usable(const struct entry *entry,
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
    return !host || is_from(entry, host) ? 0
                                         : error_set(err,
                                                     ERROR_PERMISSION_DENIED,
                                                     "this %s may not be used from %s",
                                                     what,
                                                     host);
}

static int check_entry(const struct entry *entry,
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
    const struct entry *entry = find_entry(&keys->table, key);
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
    const struct entry *entry = find_token(&keys->table, token_id);
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
        const struct entry *entry = &table->entries[i];
        count += !entry->is_token && strcmp(entry->token, token_id) == 0;
    }
    return count;
}

static int check_uses(const struct table *table,
                      const struct entry *token,
                      const unsigned char key[KEY_SIZE],
                      struct error *err)
{
    const struct entry *known = find_entry(table, key);

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
    const struct entry *token = find_token(&keys->table, token_id);
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
    const struct entry *entry = find_entry(&keys->table, key);
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
    const struct entry *entry = find_entry(&keys->table, key);
    bool limited = !entry || entry->revoked || entry->api_count > 0;
    pthread_mutex_unlock(&keys->lock);
    return limited;
}

void keys_agent_id(struct keys *keys,
                   const unsigned char key[KEY_SIZE],
                   unsigned char out[KEY_NAME_SIZE])
{
    pthread_mutex_lock(&keys->lock);
    const struct entry *entry = find_entry(&keys->table, key);
    memcpy(out, entry && entry->has_agent_id ? entry->agent_id : key, KEY_NAME_SIZE);
    pthread_mutex_unlock(&keys->lock);
}

bool keys_holds_agent(struct keys *keys,
                      const unsigned char key[KEY_SIZE],
                      int64_t wall_ms)
{
    pthread_mutex_lock(&keys->lock);
    const struct entry *entry = find_entry(&keys->table, key);
    bool holds = entry && !entry->revoked && !is_over(entry, wall_ms) &&
                 (entry->role == KEY_ROLE_AGENT || entry->role == KEY_ROLE_ADMIN);
    pthread_mutex_unlock(&keys->lock);
    return holds;
}
