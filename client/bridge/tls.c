/* SPDX-License-Identifier: Apache-2.0 */
/* tls.c - which certificate new connections are served with */
#include "client/bridge/tls.h"

#include <stdlib.h>

#include <gnutls/gnutls.h>

#include "client/bridge/file_stamp.h"
#include "common/fs.h"

#define OTHERS_MODES 027 /* nobody but owner and group reads a key, or writes it */

struct tls_certificate {
    gnutls_certificate_credentials_t credentials;
    unsigned refs;
};

struct tls_file {
    char *path;
    struct file_stamp stamp;
    struct buffer text;
};

struct tls {
    struct tls_file certificate;
    struct tls_file key;
    struct tls_certificate *current;
};

void tls_certificate_unref(struct tls_certificate *certificate)
{
    if (certificate && --certificate->refs == 0) {
        gnutls_certificate_free_credentials(certificate->credentials);
        free(certificate);
    }
}

// Checks, too, that they belong together.
static int make_certificate(const struct buffer *certificate_text,
                            const struct buffer *key_text,
                            struct tls_certificate **out_certificate,
                            struct error *err)
{
    const gnutls_datum_t certificate_pem = {
        (unsigned char *)(void *)certificate_text->data,
        (unsigned)certificate_text->size};
    const gnutls_datum_t key_pem = {(unsigned char *)(void *)key_text->data,
                                    (unsigned)key_text->size};
    gnutls_certificate_credentials_t credentials;

    if (gnutls_certificate_allocate_credentials(&credentials) != 0) {
        return error_set(err, ERROR_RESOURCE_EXHAUSTED, "there is no memory");
    }
    int failed = gnutls_certificate_set_x509_key_mem(
        credentials, &certificate_pem, &key_pem, GNUTLS_X509_FMT_PEM);
    if (failed < 0) {
        gnutls_certificate_free_credentials(credentials);
        return error_set(err, ERROR_INVALID_ARGUMENT, "%s", gnutls_strerror(failed));
    }
    struct tls_certificate *certificate = memory_zalloc(sizeof(*certificate));
    certificate->credentials = credentials;
    certificate->refs = 1;
    *out_certificate = certificate;
    return 0;
}

static int read_files(const struct tls *tls,
                      struct buffer *certificate_text,
                      struct buffer *key_text,
                      struct tls_certificate **out_certificate,
                      struct error *err)
{
    if (tls->key.stamp.mode & OTHERS_MODES) {
        return error_set(err,
                         ERROR_PERMISSION_DENIED,
                         "--tls-key: %s has mode %03o, expected 600 or 640: others "
                         "must not read it",
                         tls->key.path,
                         (unsigned)tls->key.stamp.mode & 0777);
    }
    if (fs_read(tls->certificate.path, TLS_FILE_SIZE_MAX, certificate_text, err) != 0) {
        return error_wrap(err, "--tls-cert");
    }
    if (fs_read(tls->key.path, TLS_FILE_SIZE_MAX, key_text, err) != 0) {
        return error_wrap(err, "--tls-key");
    }
    if (make_certificate(certificate_text, key_text, out_certificate, err) != 0) {
        return error_wrap(err,
                          "--tls-cert %s with --tls-key %s",
                          tls->certificate.path,
                          tls->key.path);
    }
    return 0;
}

static void take_text(struct buffer *to, struct buffer *from)
{
    buffer_fini(to);
    *to = *from;
    *from = (struct buffer)BUFFER_INIT;
}

int tls_reread(struct tls *tls, bool *out_changed, struct error *err)
{
    struct tls_certificate *certificate = NULL; // stays so after a failure
    struct buffer certificate_text = BUFFER_INIT;
    struct buffer key_text = BUFFER_INIT;
    bool certificate_changed =
        file_stamp_changed(tls->certificate.path, &tls->certificate.stamp);
    bool changed = file_stamp_changed(tls->key.path, &tls->key.stamp);
    int result = 0;

    changed = changed || certificate_changed;
    if (changed) {
        result = read_files(tls, &certificate_text, &key_text, &certificate, err);
    }
    if (certificate) {
        tls_certificate_unref(tls->current);
        tls->current = certificate;
        take_text(&tls->certificate.text, &certificate_text);
        take_text(&tls->key.text, &key_text);
    }
    if (result == 0) {
        *out_changed = changed;
    }
    buffer_fini(&certificate_text);
    buffer_fini(&key_text);
    return result;
}

int tls_open(const char *certificate_path,
             const char *key_path,
             struct tls **out_tls,
             struct error *err)
{
    struct tls *tls = memory_zalloc(sizeof(*tls));
    bool changed;

    tls->certificate.path = memory_strdup(certificate_path);
    tls->key.path = memory_strdup(key_path);
    // No file at all is no change, but not for read_files.
    tls->certificate.stamp.size = -1;
    if (tls_reread(tls, &changed, err) != 0) {
        free(tls->certificate.path);
        free(tls->key.path);
        free(tls);
        return -1;
    }
    *out_tls = tls;
    return 0;
}

const char *tls_certificate_text(const struct tls *tls)
{
    return buffer_text(&tls->certificate.text);
}

const char *tls_key_text(const struct tls *tls)
{
    return buffer_text(&tls->key.text);
}

struct tls_certificate *tls_enter(struct tls *tls, void *session)
{
    if (gnutls_credentials_set(
            session, GNUTLS_CRD_CERTIFICATE, tls->current->credentials) != 0) {
        return NULL; // it shows the one that the server began with
    }
    tls->current->refs++;
    return tls->current;
}

void tls_say_last(void *session, const void *data, size_t size)
{
    if (gnutls_record_send(session, data, size) >= 0) {
        (void)gnutls_bye(session, GNUTLS_SHUT_WR);
    }
}
