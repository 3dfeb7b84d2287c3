/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h - what the bridge is told on its command line
 *
 * Start-up only.
 */
#ifndef CORTEX_CLIENT_BRIDGE_SETTINGS_H
#define CORTEX_CLIENT_BRIDGE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/log.h"

#define SETTINGS_MASTER "tcp://127.0.0.1:8790"

struct settings {
    const char *master;      /* URL; NULL: the join string's, or the default one */
    const char *join;        /* join string; NULL: the state folder's, if it has one */
    const char *key_file;    /* absolute path; NULL: the state folder's */
    const char *listen;      /* HOST:PORT */
    const char *state_dir;   /* NULL: none */
    int64_t ready_fd;        /* -1: none */
    bool insecure;           /* may listen beyond this machine unguarded */
    const char *tls_cert;    /* file's absolute path; NULL: no TLS */
    const char *tls_key;     /* NULL with tls_cert only */
    const char *tokens;      /* file's absolute path; NULL: none */
    bool tokens_demanded;    /* the file was named, and has to be there */
    const char *cors_origin; /* whose pages may use the API; NULL: nobody's */
    int64_t connections_max;
    int64_t connections_per_address_max;
    enum log_level log_level;
    int64_t header_ms; /* limits of a client's slowness, see server.h */
    int64_t body_ms;
    int64_t idle_ms;
    int64_t master_ms; /* how long the master may take to answer what only reads */
};

/* Strings live as long as argv. */
int settings_read(int argc, char **argv, struct settings *out, struct error *err);

/* Makes the state folder and goes into it, so that the caller's is not held. */
int settings_enter_folder(const struct settings *settings, struct error *err);

/* Writes the URL as a line to the descriptor that waits for it, and closes it. */
void settings_tell_ready(const struct settings *settings, const char *url);

#endif
