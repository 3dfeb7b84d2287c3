/* SPDX-License-Identifier: Apache-2.0 */
/* key.h - how keys are made, kept in files, written for people, and compared
 *
 * Keys are X25519's. Written, they are base64url without padding behind a word that
 * says which half it is:
 *
 *   cortex-public:<43 characters>   may be shown to anybody
 *   cortex-secret:<43 characters>   lives in a file of mode 0600 and nowhere else
 *   cortex-token:<43 characters>    a join token: who knows it may bring his own key in
 *   cortex1:<72 characters>@<address>   a join string: all that a client needs to know
 *                                   of a master, with a checksum over it; an agent's
 *                                   may have #<43 characters> of a token behind it
 *
 * Call id_init first. Files block on the disk; the rest is pure. Thread-safe. Errors
 * never quote a secret. */
#ifndef CORTEX_COMMON_KEY_H
#define CORTEX_COMMON_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define KEY_SIZE          32 /* bytes of either half */
#define KEY_CLUSTER_SIZE  16 /* bytes of a cluster's id */
#define KEY_TEXT_SIZE     64 /* either half written, with NUL */
#define KEY_ADDRESS_SIZE  256
#define KEY_JOIN_SIZE     (KEY_ADDRESS_SIZE + 144)
#define KEY_TOKEN_ID_SIZE 33 /* 32 hex digits and NUL */

struct key_pair {
    unsigned char public_key[KEY_SIZE];
    unsigned char secret_key[KEY_SIZE];
};

/* What a key may do; security is decided by the master, see its keys.h. */
enum key_role {
    KEY_ROLE_NONE,   /* nothing; of a client: whatever role its key has */
    KEY_ROLE_ADMIN,  /* everything */
    KEY_ROLE_SUBMIT, /* deploy, submit, stop, read */
    KEY_ROLE_READ,   /* get, logs */
    KEY_ROLE_AGENT,  /* sync, work, logs, blobs of its jobs */
    KEY_ROLE_BRIDGE, /* what the token it acts for may do */
};
#define KEY_ROLE_COUNT 6

const char *key_role_name(enum key_role role); /* "submit"; "none" */
/* One of the five that a key can have. */
bool key_role_parse(const char *text, enum key_role *out);

/* What a client needs to know of a master. */
struct key_join {
    char address[KEY_ADDRESS_SIZE]; /* "tcp://10.0.0.5:8790" */
    unsigned char cluster[KEY_CLUSTER_SIZE];
    unsigned char public_key[KEY_SIZE];
    bool has_token;
    unsigned char token[KEY_SIZE]; /* with has_token: the secret of a join token */
};

void key_generate(struct key_pair *out);
void key_pair_of_secret(const unsigned char secret_key[KEY_SIZE], struct key_pair *out);

/* In a time that does not depend on the bytes. */
bool key_equal(const void *a, const void *b, size_t size);
/* Overwrites a secret, whatever the optimizer thinks of it. */
void key_wipe(void *secret, size_t size);

void key_public_format(const unsigned char public_key[KEY_SIZE],
                       char out[KEY_TEXT_SIZE]);
/* INVALID_ARGUMENT quoting the text, unless it looks like a secret. */
int key_public_parse(const char *text, unsigned char out[KEY_SIZE], struct error *err);

/* A join token: its text, and the id that names it and gives nothing of it away. */
void key_token_format(const unsigned char token[KEY_SIZE], char out[KEY_TEXT_SIZE]);
bool key_token_parse(const char *text, unsigned char out[KEY_SIZE]);
void key_token_id(const unsigned char token[KEY_SIZE], char out[KEY_TOKEN_ID_SIZE]);

/* What names an agent or a cluster: 16 bytes, written as 32 lower-case hex digits. */
#define KEY_NAME_SIZE      16
#define KEY_NAME_TEXT_SIZE 33
void key_name_format(const unsigned char name[KEY_NAME_SIZE],
                     char out[KEY_NAME_TEXT_SIZE]);
bool key_name_parse(const char *text, unsigned char out[KEY_NAME_SIZE]);

/* Makes a pair and its file; ALREADY_EXISTS and nothing changed if there is a file. */
int key_file_create(const char *path, struct key_pair *out, struct error *err);
/* NOT_FOUND, or INVALID_ARGUMENT for what is no key or is open to other users. */
int key_file_load(const char *path, struct key_pair *out, struct error *err);
/* A next key's file takes the place of the key's, for good. */
int key_file_replace(const char *path, const char *next_path, struct error *err);
/* Loads it, or creates it if there is none. */
int key_file_ensure(const char *path, struct key_pair *out, struct error *err);

/* INVALID_ARGUMENT for an address that is empty, too long or not printable. */
int key_join_format(const struct key_join *join,
                    char out[KEY_JOIN_SIZE],
                    struct error *err);
int key_join_parse(const char *text, struct key_join *out, struct error *err);

/* A file with a join string in its first line. NOT_FOUND, or INVALID_ARGUMENT that
 * names the file. Whole or not at all, and not written if it stands there already: the
 * disk may be full. */
int key_join_load(const char *path, struct key_join *out, struct error *err);
int key_join_save(const char *path,
                  const struct key_join *join,
                  unsigned mode,
                  struct error *err);

#endif
