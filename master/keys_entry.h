/* SPDX-License-Identifier: Apache-2.0 */
/* keys_entry.h - what one line of authorized_keys says
 *
 * How a line is written stands in keys.h. Pure. */
#ifndef CORTEX_MASTER_KEYS_ENTRY_H
#define CORTEX_MASTER_KEYS_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/key.h"

#define KEYS_MAX          16384 /* in a file; as many may join with one token */
#define KEYS_PATTERNS_MAX 64    /* of one key's api= or from= */

/* An address, or all whose first bits are its. */
struct keys_network {
    int family;
    unsigned bits;
    unsigned char address[16];
};

struct keys_entry {
    unsigned char key[KEY_SIZE];
    size_t line;
    bool revoked;
    enum key_role role;
    int64_t expires_ms; /* 0: never */
    struct keys_network *networks;
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

/* Whether a line is blank or a comment: it has no entry. */
bool keys_entry_is_none(const char *line);

/* Reads a line, which is cut up, into an entry that is zero but for `line`.
 * INVALID_ARGUMENT quoting what is wrong. The caller calls
 * keys_entry_fini, whatever comes of it. */
int keys_entry_parse(char *line, struct keys_entry *entry, struct error *err);
void keys_entry_fini(struct keys_entry *entry);

/* Whether it may be used from that address; "local" and the like are none. */
bool keys_entry_is_from(const struct keys_entry *entry, const char *host);

#endif
