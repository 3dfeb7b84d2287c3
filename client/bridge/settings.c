/* SPDX-License-Identifier: Apache-2.0 */
/* settings.c - what the bridge is told on its command line */
#include "client/bridge/settings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/bridge/cors.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/options.h"

#define TIMEOUT_MIN_MS 100
#define TIMEOUT_MAX_MS 3600000

#define CONNECTIONS             1000
#define CONNECTIONS_MAX         3000 /* of the 4096 descriptors (main.c) */
#define CONNECTIONS_PER_ADDRESS 500
#define TOKENS_FILE             "tokens" /* in the state folder */

static int read_log_level(const char *text, enum log_level *out, struct error *err)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "--log-level: got \"%s\", expected debug, info, warning or error",
                     text);
}

// What is named is meant from the folder that the bridge leaves.
static int locate_files(struct settings *settings, struct error *err)
{
    if (!settings->tls_cert != !settings->tls_key) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--tls-cert and --tls-key go together: --tls-%s is missing",
                         settings->tls_cert ? "key" : "cert");
    }
    if (settings->tls_cert) {
        settings->tls_cert = fs_absolute(settings->tls_cert);
        settings->tls_key = fs_absolute(settings->tls_key);
    }
    if (settings->key_file) {
        settings->key_file = fs_absolute(settings->key_file);
    }
    settings->tokens_demanded = settings->tokens != NULL;
    if (settings->tokens) {
        settings->tokens = fs_absolute(settings->tokens);
    } else if (settings->state_dir) {
        char *folder = fs_absolute(settings->state_dir);
        settings->tokens = fs_join(folder, TOKENS_FILE);
        free(folder);
    }
    return 0;
}

int settings_read(int argc, char **argv, struct settings *out, struct error *err)
{
    struct settings settings = {
        .listen = "127.0.0.1:8888",
        .ready_fd = -1,
        .connections_max = CONNECTIONS,
        .connections_per_address_max = CONNECTIONS_PER_ADDRESS,
        .header_ms = 10000,
        .body_ms = 60000,
        .idle_ms = 60000,
        .master_ms = 10000,
    };
    const char *level = "info";
#define TIMEOUT(name, member, help)                                                    \
    {                                                                                  \
        name, 0, OPTION_DURATION, &settings.member, "TIME", help, TIMEOUT_MIN_MS,      \
            TIMEOUT_MAX_MS                                                             \
    }
    const struct option_row rows[] = {
        {"master",
         'm',
         OPTION_TEXT,
         &settings.master,
         "URL",
         "the master's address (default the join string's or " SETTINGS_MASTER ")",
         0,
         0},
        {"join",
         'j',
         OPTION_TEXT,
         &settings.join,
         "STRING",
         "whose master it is: what `cortex-master init` printed; needed once",
         0,
         0},
        {"key-file",
         0,
         OPTION_TEXT,
         &settings.key_file,
         "FILE",
         "the bridge's own key, made if it is missing (default: key in the state "
         "folder)",
         0,
         0},
        {"listen",
         'l',
         OPTION_TEXT,
         &settings.listen,
         "HOST:PORT",
         "where to serve HTTP (default 127.0.0.1:8888; port 0: any)",
         0,
         0},
        {"state-dir",
         's',
         OPTION_TEXT,
         &settings.state_dir,
         "DIR",
         "folder to run in, made if it is missing",
         0,
         0},
        {"ready-fd",
         0,
         OPTION_NUMBER,
         &settings.ready_fd,
         "N",
         "descriptor to write the URL to once it is served",
         0,
         1023},
        {"insecure",
         0,
         OPTION_FLAG,
         &settings.insecure,
         NULL,
         "serve other machines even without TLS and tokens",
         0,
         0},
        {"tls-cert",
         0,
         OPTION_TEXT,
         &settings.tls_cert,
         "FILE",
         "serve HTTPS with this certificate and its chain (PEM)",
         0,
         0},
        {"tls-key",
         0,
         OPTION_TEXT,
         &settings.tls_key,
         "FILE",
         "the certificate's key (PEM)",
         0,
         0},
        {"tokens",
         't',
         OPTION_TEXT,
         &settings.tokens,
         "FILE",
         "demand one of these tokens (default: the state folder's, if there are any)",
         0,
         0},
        {"cors-origin",
         0,
         OPTION_TEXT,
         &settings.cors_origin,
         "ORIGIN",
         "let pages of this site use the API (default: none)",
         0,
         0},
        {"connections",
         0,
         OPTION_NUMBER,
         &settings.connections_max,
         "N",
         "connections at a time (default 1000)",
         1,
         CONNECTIONS_MAX},
        {"connections-per-address",
         0,
         OPTION_NUMBER,
         &settings.connections_per_address_max,
         "N",
         "connections from one address at a time (default 500)",
         1,
         CONNECTIONS_MAX},
        {"log-level",
         0,
         OPTION_TEXT,
         &level,
         "LEVEL",
         "debug, info (default), warning or error",
         0,
         0},
        TIMEOUT("header-timeout", header_ms, "for a request's headers (default 10s)"),
        TIMEOUT("body-timeout", body_ms, "for a request's body (default 60s)"),
        TIMEOUT("idle-timeout", idle_ms, "between requests (default 60s)"),
        TIMEOUT("master-timeout", master_ms, "for the master's answer (default 10s)"),
        {0},
    };
#undef TIMEOUT
    const struct options options = {
        .program = "cortex-bridge",
        .usage = "[OPTION]...\n       cortex-bridge tokens add|list|revoke [OPTION]...",
        .summary = "Serves the Batch API over HTTP, asking a master.",
        .rows = rows,
    };
    int positional;

    if (options_parse(&options, argc, argv, &positional, err) != 0 ||
        read_log_level(level, &settings.log_level, err) != 0 ||
        (settings.cors_origin && cors_check(settings.cors_origin, err) != 0) ||
        locate_files(&settings, err) != 0) {
        return -1;
    }
    *out = settings;
    return 0;
}

int settings_enter_folder(const struct settings *settings, struct error *err)
{
    const char *path = settings->state_dir;

    if (!path) {
        return 0;
    }
    if (fs_make_folder(path, 0700, err) != 0) {
        return -1;
    }
    return chdir(path) == 0
               ? 0
               : error_set_errno(err, ERROR_INVALID_ARGUMENT, "--state-dir %s", path);
}

void settings_tell_ready(const struct settings *settings, const char *url)
{
    int fd = (int)settings->ready_fd;

    if (fd < 0) {
        return;
    }
    char *line = memory_format("%s\n", url);
    (void)fs_write_all(fd, line, strlen(line), NULL); // who asked may be gone
    (void)close(fd);
    free(line);
}
