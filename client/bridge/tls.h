/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h - which certificate new connections are served with
 *
 * A certificate and its key are read from files, and again when one changes. A pair
 * that cannot be used is an error, and the one before goes on to serve. Connections
 * keep the certificate they began with. On the server's thread.
 */
#ifndef CORTEX_CLIENT_BRIDGE_TLS_H
#define CORTEX_CLIENT_BRIDGE_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define TLS_FILE_SIZE_MAX (1u << 20) /* of a certificate with its chain, or a key */
#define TLS_PRIORITIES    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct tls;
struct tls_certificate; /* shared by the connections that began with it */

/* Reads PEM files. INVALID_ARGUMENT for what is no such pair, PERMISSION_DENIED for a
 * key that users other than its owner and group may open. Blocks on the disk, as
 * tls_reread does. */
int tls_open(const char *certificate_path,
             const char *key_path,
             struct tls **out_tls,
             struct error *err);

/* Reads the files again if one is another; *out_changed says whether they were taken.
 * After an error the same files are not read again. Call it every second or two. */
int tls_reread(struct tls *tls, bool *out_changed, struct error *err);

/* What was read last, in PEM. Valid until the next tls_reread. */
const char *tls_certificate_text(const struct tls *tls);
const char *tls_key_text(const struct tls *tls);

/* A connection begins: its session (GnuTLS's) is to show the newest certificate. The
 * caller lets go of what it returns when the session is over. */
struct tls_certificate *tls_enter(struct tls *tls, void *session);
void tls_certificate_unref(struct tls_certificate *certificate); /* NULL is fine */

/* The last that a session says, as far as it can be sent now; then it is closed. */
void tls_say_last(void *session, const void *data, size_t size);

#endif
