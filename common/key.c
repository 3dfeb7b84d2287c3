/* SPDX-License-Identifier: Apache-2.0 */
/* key.c - how keys are made, kept in files, written for people, and compared */
#include "common/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/buffer.h"
#include "common/fs.h"

#define PUBLIC_PREFIX "cortex-public:"
#define SECRET_PREFIX "cortex-secret:"
#define TOKEN_PREFIX  "cortex-token:"
#define JOIN_PREFIX   "cortex1:"
#define JOIN_TOKEN    '#' /* between an address and the token behind it */

#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

#define CHECKSUM_SIZE                                                                  \
    6 /* bytes of a join string's BLAKE2b: a typing error's chance                     \
       */
#define JOIN_BYTES       (KEY_CLUSTER_SIZE + KEY_SIZE + CHECKSUM_SIZE)
#define JOIN_BASE64_SIZE 72 /* characters of JOIN_BYTES */
#define TOKEN_ID_BYTES   16

#define FILE_SIZE_MAX 4096 /* of a key's file: one line */
#define FILE_MODE     0600

static const char *const role_names[KEY_ROLE_COUNT] = {
    [KEY_ROLE_NONE] = "none",
    [KEY_ROLE_ADMIN] = "admin",
    [KEY_ROLE_SUBMIT] = "submit",
    [KEY_ROLE_READ] = "read",
    [KEY_ROLE_AGENT] = "agent",
    [KEY_ROLE_BRIDGE] = "bridge",
};

const char *key_role_name(enum key_role role)
{
    return role_names[role];
}

bool key_role_parse(const char *text, enum key_role *out)
{
    for (int role = KEY_ROLE_ADMIN; role < KEY_ROLE_COUNT; role++) {
        if (strcmp(text, role_names[role]) == 0) {
            *out = (enum key_role)role;
            return true;
        }
    }
    return false;
}

void key_generate(struct key_pair *out)
{
    unsigned char secret_key[KEY_SIZE];

    randombytes_buf(secret_key, sizeof(secret_key));
    key_pair_of_secret(secret_key, out);
    key_wipe(secret_key, sizeof(secret_key));
}

void key_pair_of_secret(const unsigned char secret_key[KEY_SIZE], struct key_pair *out)
{
    memcpy(out->secret_key, secret_key, KEY_SIZE);
    (void)crypto_scalarmult_base(out->public_key, secret_key); // cannot fail
}

bool key_equal(const void *a, const void *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

void key_wipe(void *secret, size_t size)
{
    sodium_memzero(secret, size);
}

/* --- text --- */

static void format_half(const char *prefix,
                        const unsigned char key[KEY_SIZE],
                        char out[KEY_TEXT_SIZE])
{
    size_t size = strlen(prefix);

    (void)snprintf(out, KEY_TEXT_SIZE, "%s", prefix);
    (void)sodium_bin2base64(out + size, KEY_TEXT_SIZE - size, key, KEY_SIZE, BASE64);
}

/* libsodium 1.0.18 takes some bytes from 0x80 on for characters of base64url. */
static bool is_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* Just `size` bytes of base64url; false for anything else. */
static bool decode(const char *text, size_t text_size, unsigned char *out, size_t size)
{
    size_t got = 0;

    return is_ascii(text, text_size) &&
           sodium_base642bin(out, size, text, text_size, NULL, &got, NULL, BASE64) ==
               0 &&
           got == size;
}

static bool parse_half(const char *prefix,
                       const char *text,
                       size_t text_size,
                       unsigned char out[KEY_SIZE])
{
    unsigned char key[KEY_SIZE];
    size_t size = strlen(prefix);

    bool good = text_size > size && memcmp(text, prefix, size) == 0 &&
                decode(text + size, text_size - size, key, sizeof(key));
    if (good) {
        memcpy(out, key, sizeof(key));
    }
    key_wipe(key, sizeof(key));
    return good;
}

void key_public_format(const unsigned char public_key[KEY_SIZE],
                       char out[KEY_TEXT_SIZE])
{
    format_half(PUBLIC_PREFIX, public_key, out);
}

int key_public_parse(const char *text, unsigned char out[KEY_SIZE], struct error *err)
{
    if (strncmp(text, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "this is a secret key: expected the public half, which begins "
                         "with \"" PUBLIC_PREFIX "\"");
    }
    if (!parse_half(PUBLIC_PREFIX, text, strlen(text), out)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "\"%.100s\" is no public key: expected \"" PUBLIC_PREFIX
                         "\" and 43 characters behind it",
                         text);
    }
    return 0;
}

void key_token_format(const unsigned char token[KEY_SIZE], char out[KEY_TEXT_SIZE])
{
    format_half(TOKEN_PREFIX, token, out);
}

bool key_token_parse(const char *text, unsigned char out[KEY_SIZE])
{
    return parse_half(TOKEN_PREFIX, text, strlen(text), out);
}

void key_name_format(const unsigned char name[KEY_NAME_SIZE],
                     char out[KEY_NAME_TEXT_SIZE])
{
    (void)sodium_bin2hex(out, KEY_NAME_TEXT_SIZE, name, KEY_NAME_SIZE);
}

bool key_name_parse(const char *text, unsigned char out[KEY_NAME_SIZE])
{
    unsigned char name[KEY_NAME_SIZE];
    size_t size = 0;
    size_t length = strlen(text);
    bool good =
        length == KEY_NAME_TEXT_SIZE - 1 &&
        strspn(text, "0123456789abcdef") == length &&
        sodium_hex2bin(name, sizeof(name), text, length, NULL, &size, NULL) == 0 &&
        size == sizeof(name);

    if (good) {
        memcpy(out, name, sizeof(name));
    }
    return good;
}

void key_token_id(const unsigned char token[KEY_SIZE], char out[KEY_TOKEN_ID_SIZE])
{
    unsigned char hash[TOKEN_ID_BYTES];

    (void)crypto_generichash(hash, sizeof(hash), token, KEY_SIZE, NULL, 0);
    (void)sodium_bin2hex(out, KEY_TOKEN_ID_SIZE, hash, sizeof(hash));
}

/* --- files --- */

int key_file_create(const char *path, struct key_pair *out, struct error *err)
{
    struct key_pair pair;
    char text[KEY_TEXT_SIZE + 1];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

    if (fd < 0 && errno == EEXIST) {
        return error_set(
            err, ERROR_ALREADY_EXISTS, "%s exists: a key is never overwritten", path);
    }
    if (fd < 0) {
        return error_set_errno(err, ERROR_INTERNAL, "cannot create %s", path);
    }
    key_generate(&pair);
    format_half(SECRET_PREFIX, pair.secret_key, text);
    size_t size = strlen(text);
    text[size++] = '\n';
    int result = fs_write_all(fd, text, size, err);
    if (result == 0 && fsync(fd) != 0) {
        result = error_set_errno(err, ERROR_DATA_LOSS, "cannot write %s", path);
    }
    (void)close(fd);
    if (result == 0) {
        result = fs_sync_folder_of(path, err);
    }
    if (result == 0) {
        *out = pair;
    } else {
        (void)unlink(path);
    }
    key_wipe(text, sizeof(text));
    key_wipe(&pair, sizeof(pair));
    return result;
}

/* The mode is asked of the open file, so that what is read is what was checked. */
static int read_key_file(
    const char *path, char *text, size_t capacity, size_t *out_size, struct error *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        enum error_code code = errno == ENOENT ? ERROR_NOT_FOUND : ERROR_INTERNAL;
        return error_set_errno(err, code, "cannot open %s", path);
    }
    int result = 0;
    ssize_t got = read(fd, text, capacity);
    if (got < 0 || fstat(fd, &info) != 0) {
        result = error_set_errno(err, ERROR_INTERNAL, "cannot read %s", path);
    } else if ((info.st_mode & 077) != 0) {
        result = error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "%s has mode %04o, so that others can use the key: expected "
                           "0600 (chmod 600 %s)",
                           path,
                           (unsigned)(info.st_mode & 07777),
                           path);
    } else {
        *out_size = (size_t)got;
    }
    (void)close(fd);
    return result;
}

int key_file_load(const char *path, struct key_pair *out, struct error *err)
{
    char text[FILE_SIZE_MAX];
    unsigned char secret_key[KEY_SIZE];
    size_t size = 0;

    int result = read_key_file(path, text, sizeof(text), &size, err);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == ' ')) {
        size--;
    }
    if (result == 0 && !parse_half(SECRET_PREFIX, text, size, secret_key)) {
        result = error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "%s holds no key: expected one line with \"" SECRET_PREFIX
                           "\" and 43 characters behind it",
                           path);
    }
    if (result == 0) {
        key_pair_of_secret(secret_key, out);
    }
    key_wipe(secret_key, sizeof(secret_key));
    key_wipe(text, sizeof(text));
    return result;
}

int key_file_replace(const char *path, const char *next_path, struct error *err)
{
    return rename(next_path, path) == 0
               ? fs_sync_folder_of(path, err)
               : error_set_errno(err, ERROR_INTERNAL, "cannot replace %s", path);
}

int key_file_ensure(const char *path, struct key_pair *out, struct error *err)
{
    struct error missing;

    if (key_file_load(path, out, &missing) == 0) {
        return 0;
    }
    if (missing.code != ERROR_NOT_FOUND) {
        return error_copy(err, &missing);
    }
    if (key_file_create(path, out, &missing) == 0) {
        return 0;
    }
    return missing.code == ERROR_ALREADY_EXISTS ? key_file_load(path, out, err)
                                                : error_copy(err, &missing);
}

/* --- join strings --- */

static void checksum(const struct key_join *join, unsigned char out[CHECKSUM_SIZE])
{
    unsigned char hash[crypto_generichash_BYTES_MIN];
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    (void)crypto_generichash_update(
        &state, (const void *)JOIN_PREFIX, strlen(JOIN_PREFIX));
    (void)crypto_generichash_update(&state, join->cluster, KEY_CLUSTER_SIZE);
    (void)crypto_generichash_update(&state, join->public_key, KEY_SIZE);
    (void)crypto_generichash_update(
        &state, (const void *)join->address, strlen(join->address));
    (void)crypto_generichash_final(&state, hash, sizeof(hash));
    memcpy(out, hash, CHECKSUM_SIZE);
}

static int check_address(const char *address, struct error *err)
{
    size_t size = strnlen(address, KEY_ADDRESS_SIZE);
    bool printable = size > 0 && size < KEY_ADDRESS_SIZE;

    for (size_t i = 0; i < size; i++) {
        printable = printable && address[i] > ' ' && address[i] <= '~' &&
                    address[i] != JOIN_TOKEN;
    }
    if (!printable) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "\"%.100s\" is no address to join: expected 1 to %d printable "
                         "characters, such as tcp://10.0.0.5:8790",
                         address,
                         KEY_ADDRESS_SIZE - 1);
    }
    return 0;
}

int key_join_format(const struct key_join *join,
                    char out[KEY_JOIN_SIZE],
                    struct error *err)
{
    unsigned char bytes[JOIN_BYTES];
    char text[JOIN_BASE64_SIZE + 1];

    if (check_address(join->address, err) != 0) {
        return -1;
    }
    memcpy(bytes, join->cluster, KEY_CLUSTER_SIZE);
    memcpy(bytes + KEY_CLUSTER_SIZE, join->public_key, KEY_SIZE);
    checksum(join, bytes + KEY_CLUSTER_SIZE + KEY_SIZE);
    (void)sodium_bin2base64(text, sizeof(text), bytes, sizeof(bytes), BASE64);
    int size = snprintf(out, KEY_JOIN_SIZE, JOIN_PREFIX "%s@%s", text, join->address);
    if (join->has_token) {
        out[size++] = JOIN_TOKEN;
        (void)sodium_bin2base64(
            out + size, KEY_JOIN_SIZE - (size_t)size, join->token, KEY_SIZE, BASE64);
    }
    return 0;
}

/* What stands behind the address, if anything does. */
static bool read_token(const char *text, struct key_join *join)
{
    join->has_token = text[0] == JOIN_TOKEN;
    return !join->has_token ||
           decode(text + 1, strlen(text + 1), join->token, KEY_SIZE);
}

static int set_join_error(struct error *err, const char *text, const char *why)
{
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "\"%.*s\" is no join string: %s; expected what the master "
                     "printed, " JOIN_PREFIX "...@ADDRESS",
                     (int)(strcspn(text, "#") < 400 ? strcspn(text, "#") : 400),
                     text, // a token behind it is a secret
                     why);
}

int key_join_parse(const char *text, struct key_join *out, struct error *err)
{
    unsigned char bytes[JOIN_BYTES];
    unsigned char expected[CHECKSUM_SIZE];
    struct key_join join = {.address = ""};
    size_t prefix_size = strlen(JOIN_PREFIX);

    if (strncmp(text, JOIN_PREFIX, prefix_size) != 0) {
        return set_join_error(err, text, "it begins otherwise");
    }
    const char *at = strchr(text, '@');
    const char *body = text + prefix_size;
    size_t address_size = at ? strcspn(at + 1, "#") : 0;
    if (!at || address_size >= sizeof(join.address) ||
        !decode(body, (size_t)(at - body), bytes, sizeof(bytes)) ||
        !read_token(at + 1 + address_size, &join)) {
        return set_join_error(err, text, "a part is missing or malformed");
    }
    memcpy(join.cluster, bytes, KEY_CLUSTER_SIZE);
    memcpy(join.public_key, bytes + KEY_CLUSTER_SIZE, KEY_SIZE);
    memcpy(join.address, at + 1, address_size); // the rest is zero
    checksum(&join, expected);
    if (!key_equal(expected, bytes + KEY_CLUSTER_SIZE + KEY_SIZE, CHECKSUM_SIZE)) {
        return set_join_error(err, text, "its checksum does not fit");
    }
    if (check_address(join.address, err) != 0) {
        return -1;
    }
    *out = join;
    return 0;
}

int key_join_load(const char *path, struct key_join *out, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    int result = fs_read(path, KEY_JOIN_SIZE, &text, err);

    if (result == 0) {
        char *line = memory_strdup(buffer_text(&text));
        line[strcspn(line, "\n")] = '\0';
        result = key_join_parse(line, out, err);
        if (result != 0) {
            (void)error_wrap(err, "%s", path);
        }
        free(line);
    }
    buffer_fini(&text);
    return result;
}

int key_join_save(const char *path,
                  const struct key_join *join,
                  unsigned mode,
                  struct error *err)
{
    char text[KEY_JOIN_SIZE + 1];
    struct buffer there = BUFFER_INIT;

    if (key_join_format(join, text, err) != 0) {
        return -1;
    }
    size_t size = strlen(text);
    text[size++] = '\n';
    bool same = fs_read(path, KEY_JOIN_SIZE, &there, NULL) == 0 && there.size == size &&
                memcmp(there.data, text, size) == 0;
    buffer_fini(&there);
    return same ? 0 : fs_write_durable(path, text, size, mode, err);
}
