/* SPDX-License-Identifier: Apache-2.0 */
/* connection.c - the master that a command speaks to */
#include "client/cli/connection.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/home.h"
#include "client/cli/output.h"
#include "common/buffer.h"

#define ANSWER_MS 5000 /* for the first answer; a master that starts has this long */

// Whether the address can only be on this machine.
static bool is_local(const char *address)
{
    static const char *const beginnings[] = {
        "tcp://127.", "tcp://localhost:", "tcp://[::1]:", "ipc://", "abstract://"};

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (strncmp(address, beginnings[i], strlen(beginnings[i])) == 0) {
            return true;
        }
    }
    return false;
}

// The master, under seal, says no to the key, or it is not that master.
static int not_let_in(const struct environment *environment, struct error *err)
{
    struct error cause = *err;

    return error_set(
        err,
        cause.code,
        "environment \"%s\": %s; the key in %s has to be let in by the "
        "administrator (`cortex-master keys add`), and the join string has "
        "to be that master's (`cortex env configure %s --join STRING` shows "
        "your key)",
        environment->name,
        cause.message,
        environment->key_file,
        environment->name);
}

static int no_answer(const struct environment *environment, struct error *err)
{
    struct error cause = *err;

    if (cause.code == ERROR_UNAUTHENTICATED || cause.code == ERROR_PERMISSION_DENIED) {
        return not_let_in(environment, err);
    }
    if (cause.code != ERROR_UNAVAILABLE && cause.code != ERROR_DEADLINE_EXCEEDED) {
        return -1;
    }
    (void)error_set(err,
                    cause.code,
                    "cannot reach the cluster of environment \"%s\": %s",
                    environment->name,
                    cause.message);
    struct error said = *err;
    if (!*environment->join) {
        (void)error_set(err,
                        said.code,
                        "%s; if it has keys, `cortex env configure %s --join STRING` "
                        "is needed first",
                        said.message,
                        environment->name);
        said = *err;
    }
    if (!is_local(environment->master)) {
        return -1;
    }
    return error_set(err,
                     said.code,
                     "%s; `cortex cluster up --env %s` starts it",
                     said.message,
                     environment->name);
}

static char *base_url(const struct environment *environment,
                      const struct client_info *info)
{
    const char *url = *environment->bridge ? environment->bridge : info->bridge_url;
    size_t size = strlen(url);

    while (size > 0 && url[size - 1] == '/') {
        size--;
    }
    return memory_strndup(url, size);
}

// For a person who might think of another cluster.
static void tell_choice(const char *env_name, const struct environment *chosen)
{
    struct environments all = {0};
    struct error ignored;

    if (env_name || environments_load(&all, &ignored) != 0) {
        return;
    }
    if (all.count > 1) {
        output_hint("using %s environment\n", chosen->name);
    }
    environments_fini(&all);
}

static int ask_info(struct connection *connection, struct error *err)
{
    struct client_info info;

    client_api_set_timeout(connection->api, ANSWER_MS);
    if (client_api_info(connection->api, &info, err) != 0) {
        return no_answer(&connection->environment, err);
    }
    client_api_set_timeout(connection->api, CONNECTION_TIMEOUT_MS);
    connection->release = memory_strdup(info.release);
    connection->bridge_url = base_url(&connection->environment, &info);
    client_info_fini(&info);
    return 0;
}

// What was learned of the master's keys is kept beside the settings, so that the join
// string that a user was given stays good when the master changes its key.
static int
open_seal(const struct environment *environment, struct seal *out, struct error *err)
{
    struct key_join join;
    int result = -1;

    if (key_join_parse(environment->join, &join, err) != 0) {
        return -1;
    }
    char *folder = home_master_folder(join.cluster, err);
    const struct seal_request request = {
        .folder = folder, .join = environment->join, .key_file = environment->key_file};
    if (folder) {
        result = seal_open(&request, out, err);
    }
    free(folder);
    return result;
}

static int create_api(struct connection *connection, struct error *err)
{
    const struct environment *environment = &connection->environment;
    struct session_client_options options;

    if (!*environment->join) {
        return client_api_create(environment->master, NULL, &connection->api, err);
    }
    if (open_seal(environment, &connection->seal, err) != 0) {
        return -1;
    }
    seal_options(&connection->seal, KEY_ROLE_NONE, NULL, &options);
    int result =
        client_api_create(environment->master, &options, &connection->api, err);
    key_wipe(&options, sizeof(options));
    return result;
}

int connection_open(const char *env_name, struct connection *out, struct error *err)
{
    struct connection connection = {0};

    if (environment_pick(env_name, &connection.environment, err) != 0) {
        return -1;
    }
    if (create_api(&connection, err) != 0) {
        (void)error_wrap(err, "environment \"%s\"", connection.environment.name);
        goto fail;
    }
    if (ask_info(&connection, err) != 0) {
        goto fail;
    }
    tell_choice(env_name, &connection.environment);
    *out = connection;
    return 0;

fail:
    connection_fini(&connection);
    return -1;
}

void connection_fini(struct connection *connection)
{
    environment_fini(&connection->environment);
    seal_close(&connection->seal);
    free(connection->release);
    free(connection->bridge_url);
    *connection = (struct connection){0};
}
