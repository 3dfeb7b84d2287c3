/* SPDX-License-Identifier: Apache-2.0 */
/* keys_entry.c - what one line of authorized_keys says */
#include "master/keys_entry.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"

void keys_entry_fini(struct keys_entry *entry)
{
    for (size_t i = 0; i < entry->api_count; i++) {
        free(entry->apis[i]);
    }
    free(entry->apis);
    free(entry->networks);
}

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

static int read_role(struct keys_entry *entry, char *value, struct error *err)
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

static int read_apis(struct keys_entry *entry, char *value, struct error *err)
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
static bool parse_address(const char *text, struct keys_network *out)
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

static bool parse_network(char *text, struct keys_network *out)
{
    struct keys_network network = {.family = AF_UNSPEC};
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

static int read_networks(struct keys_entry *entry, char *value, struct error *err)
{
    char *next = value;

    while (next) {
        char *text = strsep(&next, ",");
        struct keys_network network;
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

static int read_expiry(struct keys_entry *entry, char *value, struct error *err)
{
    return clock_parse_end(value, &entry->expires_ms) && entry->expires_ms > 0
               ? 0
               : set_value_error(err,
                                 "expires",
                                 value,
                                 "a day such as 2027-01-31, or 2027-01-31T12:00:00Z");
}

static int read_uses(struct keys_entry *entry, char *value, struct error *err)
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

static int read_token(struct keys_entry *entry, char *value, struct error *err)
{
    if (strlen(value) != KEY_TOKEN_ID_SIZE - 1 ||
        strspn(value, "0123456789abcdef") != KEY_TOKEN_ID_SIZE - 1) {
        return set_value_error(err, "token", value, "a token's id of 32 hex digits");
    }
    memcpy(entry->token, value, KEY_TOKEN_ID_SIZE);
    return 0;
}

static int read_agent(struct keys_entry *entry, char *value, struct error *err)
{
    entry->has_agent_id = key_name_parse(value, entry->agent_id);
    return entry->has_agent_id
               ? 0
               : set_value_error(err, "agent", value, "an agent's id of 32 hex digits");
}

static const struct {
    const char *name;
    int (*read)(struct keys_entry *entry, char *value, struct error *err);
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
read_option(struct keys_entry *entry, char *word, unsigned *seen, struct error *err)
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
static int read_key(struct keys_entry *entry, const char *word, struct error *err)
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

bool keys_entry_is_none(const char *line)
{
    line += strspn(line, " \t");
    return *line == '\0' || *line == '#';
}

int keys_entry_parse(char *line, struct keys_entry *entry, struct error *err)
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

static bool begins_alike(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned rest = bits % 8;
    unsigned char mask = (unsigned char)(0xFF00u >> rest);

    return memcmp(a, b, bits / 8) == 0 &&
           (rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

bool keys_entry_is_from(const struct keys_entry *entry, const char *host)
{
    struct keys_network address;

    if (entry->network_count == 0) {
        return true;
    }
    if (!parse_address(host, &address)) {
        return false;
    }
    for (size_t i = 0; i < entry->network_count; i++) {
        const struct keys_network *network = &entry->networks[i];
        if (network->family == address.family &&
            begins_alike(network->address, address.address, network->bits)) {
            return true;
        }
    }
    return false;
}
