/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - HTTP for a master: reads the command line, builds the bridge, runs it */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/bridge/listen.h"
#include "client/bridge/server.h"
#include "client/bridge/settings.h"
#include "client/bridge/token_command.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/log.h"
#include "common/seal.h"

#define QUICK_THREADS_MAX 4
#define SLOW_THREADS_MAX  8
#define FILES_MAX         4096 /* descriptors: connections, and those of nng */

static volatile sig_atomic_t stop_asked;

static void stop_asked_by_signal(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

static void prepare_process(void)
{
    struct sigaction action = {.sa_handler = stop_asked_by_signal};
    sigset_t stops;

    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stops, NULL); // but while the server waits
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)fs_allow_descriptors(FILES_MAX);
}

// Opens what guards the bridge, and then where it listens.
static int open_door(const struct settings *settings,
                     struct server_options *options,
                     char **out_url,
                     struct error *err)
{
    if (access_open(
            settings->tokens, settings->tokens_demanded, &options->access, err) != 0 ||
        (settings->tls_cert &&
         tls_open(settings->tls_cert, settings->tls_key, &options->tls, err) != 0)) {
        return -1;
    }
    const struct listen_options door = {
        .place = settings->listen,
        .tls = options->tls != NULL,
        .tokens = access_demanded(options->access),
        .insecure = settings->insecure,
    };
    return listen_open(&door, &options->listen_fd, out_url, err);
}

static void tell(const char *news)
{
    log_info("%s", news);
}

// What the calls are sealed with. Entered the state folder already: "." is it.
static int open_seal(const struct settings *settings,
                     struct seal *out_seal,
                     struct session_client_options *out_options,
                     struct error *err)
{
    const struct seal_request request = {.folder = settings->state_dir ? "." : NULL,
                                         .join = settings->join,
                                         .key_file = settings->key_file,
                                         .tell = tell};

    if (seal_open(&request, out_seal, err) != 0) {
        return -1;
    }
    if (out_seal->sealed) {
        char text[KEY_TEXT_SIZE];
        key_public_format(out_seal->key.public_key, text);
        log_info("the master lets this bridge in once its administrator has typed: "
                 "cortex-master keys add --role bridge %s",
                 text);
        seal_options(out_seal, KEY_ROLE_BRIDGE, NULL, out_options);
    }
    return 0;
}

static int create_callers(const struct settings *settings,
                          struct bridge *bridge,
                          struct callers **out_logs,
                          const char **out_master,
                          struct error *err)
{
    static struct seal seal;                      // threads use it until the end
    static struct session_client_options options; // of the process

    if (open_seal(settings, &seal, &options, err) != 0) {
        return -1;
    }
    const struct session_client_options *sealed = seal.sealed ? &options : NULL;
    const char *master = settings->master ? settings->master
                         : seal.sealed    ? seal.join.address
                                          : SETTINGS_MASTER;
    *out_master = master;
    return callers_create(master, sealed, QUICK_THREADS_MAX, &bridge->quick, err) !=
                       0 ||
                   callers_create(
                       master, sealed, SLOW_THREADS_MAX, &bridge->slow, err) != 0 ||
                   callers_create(master, sealed, FOLLOW_THREADS_MAX, out_logs, err) !=
                       0
               ? -1
               : 0;
}

static int run(const struct settings *settings, struct error *err)
{
    struct bridge bridge = {.timeout_ms = settings->master_ms};
    struct callers *logs;
    struct server *server;
    struct server_options options = {
        .cors_origin = settings->cors_origin,
        .connections_max = (unsigned)settings->connections_max,
        .connections_per_address_max = (unsigned)settings->connections_per_address_max,
        .header_ms = settings->header_ms,
        .body_ms = settings->body_ms,
        .idle_ms = settings->idle_ms,
    };
    const char *master;
    char *url;

    if (settings_enter_folder(settings, err) != 0 ||
        open_door(settings, &options, &url, err) != 0 ||
        create_callers(settings, &bridge, &logs, &master, err) != 0) {
        return -1;
    }
    bridge.follow = follow_create(logs);
    bridge.base_url = base_url_create(url);
    if (server_create(&options, &bridge, &server, err) != 0) {
        return -1;
    }
    log_info("listening on %s for the master at %s", url, master);
    settings_tell_ready(settings, url);
    server_run(server, &stop_asked);
    log_info("leaving");
    callers_stop(bridge.quick);
    callers_stop(bridge.slow);
    callers_stop(logs);
    return 0;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct error err;

    if (argc > 1 && strcmp(argv[1], "tokens") == 0) {
        return token_command(argc - 1, argv + 1);
    }
    prepare_process();
    if (settings_read(argc, argv, &settings, &err) != 0) {
        (void)fprintf(stderr, "error: %s\n", err.message);
        return 1;
    }
    log_init("bridge", settings.log_level);
    if (id_init() != 0) {
        log_error("there is no source of random numbers");
        return 1;
    }
    if (run(&settings, &err) != 0) {
        log_error("%s", err.message);
        _exit(1); // what was opened before it ends with the process
    }
    _exit(0); // nng's sockets cannot be closed (common/rpc_client.h)
}
