/* SPDX-License-Identifier: Apache-2.0 */
/* deploy.c - `cortex deploy`: sends a project and makes its APIs */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/command.h"
#include "client/cli/connection.h"
#include "client/cli/consent.h"
#include "client/cli/output.h"
#include "client/cli/project.h"
#include "client/cli/render.h"
#include "client/document.h"
#include "common/clock.h"
#include "common/fs.h"

#define CONFIG_NAME       "cortex.yaml"
#define CONFIG_SIZE_MAX   (1u << 20) /* the master's own limit */
#define DEPLOY_TIMEOUT_MS 120000     /* of a piece of the upload, and of checking it */
#define QUIET_MS          1000       /* an upload shorter than this shows no progress */
#define REDRAW_MS         100
#define BAR_WIDTH         30

static const char *env_name;
static const char *format;
static bool force;
static bool yes;

static const struct option_row rows[] = {
    CONNECTION_OPTION(&env_name),
    OUTPUT_OPTION(&format),
    {
        .name = "yes",
        .letter = 'y',
        .type = OPTION_FLAG,
        .target = &yes,
        .help = "send large files and large projects without asking",
    },
    {
        .name = "force",
        .letter = 'f',
        .type = OPTION_FLAG,
        .target = &force,
        .help = "changes nothing: a deploy waits for no other",
    },
    {0},
};

/* The configuration file and its folder, the project's root. */
struct config {
    char *root; /* links resolved */
    char *name;
    struct buffer text;
};

static void config_fini(struct config *config)
{
    free(config->root);
    free(config->name);
    buffer_fini(&config->text);
}

static int refuse_top_level(const char *root, struct error *err)
{
    const char *home = getenv("HOME");
    char *resolved = home && *home ? realpath(home, NULL) : NULL;
    bool is_home = resolved && strcmp(root, resolved) == 0;

    free(resolved);
    if (!is_home && strcmp(root, "/") != 0) {
        return 0;
    }
    return error_set_kind(err,
                          ERROR_INVALID_ARGUMENT,
                          "cli.deploy_from_top_level_dir",
                          "cannot deploy from %s, since all below it would be sent: "
                          "put the project into a folder of its own",
                          is_home ? "your home folder" : "/");
}

static int no_config(const char *path, bool named, struct error *err)
{
    if (named) {
        return error_set_kind(err,
                              ERROR_NOT_FOUND,
                              "cli.cortex_yaml_not_found",
                              "there is no file %s",
                              path);
    }
    return error_set_kind(err,
                          ERROR_NOT_FOUND,
                          "cli.cortex_yaml_not_found",
                          "there is no " CONFIG_NAME " in this folder: go to the "
                          "project's folder, or say `cortex deploy PATH/TO/FILE`");
}

static int read_config_text(const char *path, struct config *config, struct error *err)
{
    if (fs_read(path, CONFIG_SIZE_MAX, &config->text, err) != 0) {
        return -1;
    }
    if (strlen(buffer_text(&config->text)) != config->text.size) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%s: byte %zu is a NUL, expected YAML text",
                         path,
                         strlen(buffer_text(&config->text)));
    }
    return 0;
}

// named: the path is the user's, not the default.
static int
read_config(const char *path, bool named, struct config *config, struct error *err)
{
    if (!fs_exists(path)) {
        return no_config(path, named, err);
    }
    char *absolute = fs_absolute(path);
    char *slash = strrchr(absolute, '/');
    if (slash) {
        config->name = memory_strdup(slash + 1);
        slash[slash == absolute] = '\0';
        config->root = realpath(absolute, NULL);
    }
    free(absolute);
    if (!config->root) {
        return error_set_errno(
            err, ERROR_NOT_FOUND, "cannot find the folder of %s", path);
    }
    if (refuse_top_level(config->root, err) != 0) {
        return -1;
    }
    return read_config_text(path, config, err);
}

/* Packing and sending. */

static int pack(const struct config *config,
                struct buffer *out_archive,
                char out_id[ID_PROJECT_TEXT_SIZE],
                struct error *err)
{
    struct project project;
    bool asked_count = yes;

    if (project_open(config->root, config->name, &project, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < project.warning_count; i++) {
        output_warn(project.warnings[i]);
    }
    int result = yes ? 0 : consent_to_files(&project, &asked_count, err);
    if (result == 0) {
        result = project_pack(&project, out_archive, out_id, err);
    }
    if (result == 0 && !asked_count) {
        result = consent_to_archive(out_archive->size, err);
    }
    project_close(&project);
    return result;
}

struct upload {
    int64_t start_ms;
    int64_t drawn_ms; /* 0: not yet */
};

static void show_upload(void *arg, uint64_t done, uint64_t total)
{
    struct upload *upload = arg;
    struct buffer line = BUFFER_INIT;
    int64_t now_ms = clock_monotonic_ms();

    if (isatty(STDERR_FILENO) != 1 || now_ms - upload->start_ms < QUIET_MS ||
        now_ms - upload->drawn_ms < REDRAW_MS) {
        return;
    }
    upload->drawn_ms = now_ms;
    buffer_add_text(&line, "\ruploading ");
    render_bar(&line, done, total, BAR_WIDTH);
    buffer_add_text(&line, "   ");
    render_size(&line, done);
    buffer_add_text(&line, " of ");
    render_size(&line, total);
    buffer_add_text(&line, "\x1b[K");
    (void)fputs(buffer_text(&line), stderr);
    buffer_fini(&line);
}

static int upload(struct client_api *api,
                  const struct config *config,
                  char out_id[ID_PROJECT_TEXT_SIZE],
                  struct error *err)
{
    struct upload upload = {.start_ms = clock_monotonic_ms()};
    struct buffer archive = BUFFER_INIT;

    int result = pack(config, &archive, out_id, err);
    if (result == 0) {
        upload.start_ms = clock_monotonic_ms();
        result = client_api_put_project(
            api, out_id, archive.data, archive.size, show_upload, &upload, err);
    }
    if (upload.drawn_ms != 0) {
        (void)fputs("\r\x1b[K", stderr);
    }
    buffer_fini(&archive);
    return result;
}

static void hint(const struct client_deployment *deployment)
{
    const char *name =
        deployment->count == 1 ? deployment->results[0].definition.name : "API";
    const char *flag = env_name ? " --env " : "";
    const char *env = env_name ? env_name : "";

    output_hint("\ncortex get%s%s   (show all APIs)\n"
                "cortex get %s%s%s   (show the endpoint to submit jobs to)",
                flag,
                env,
                name,
                flag,
                env);
}

static int write_deployment(const struct client_deployment *deployment,
                            const char *bridge_url,
                            bool json,
                            struct error *err)
{
    struct buffer out = BUFFER_INIT;

    if (json) {
        document_deployment(&out, deployment, bridge_url);
    }
    for (size_t i = 0; i < deployment->count && !json; i++) {
        buffer_add_format(&out, "%s\n", deployment->results[i].message);
    }
    if (output_take(&out, err) != 0) {
        return -1;
    }
    if (!json) {
        hint(deployment);
    }
    return 0;
}

static int deploy(const struct config *config, bool json, struct error *err)
{
    struct connection connection;
    struct client_deployment deployment = {0};
    char project_id[ID_PROJECT_TEXT_SIZE];

    if (connection_open(env_name, &connection, err) != 0) {
        return -1;
    }
    client_api_set_timeout(connection.api, DEPLOY_TIMEOUT_MS);
    int result = upload(connection.api, config, project_id, err);
    if (result == 0) {
        result = client_api_deploy(connection.api,
                                   config->name,
                                   buffer_text(&config->text),
                                   project_id,
                                   force,
                                   &deployment,
                                   err);
    }
    if (result == 0) {
        result = write_deployment(&deployment, connection.bridge_url, json, err);
    }
    client_deployment_fini(&deployment);
    connection_fini(&connection);
    return result;
}

static int deploy_run(char **positional, int count, struct error *err)
{
    struct config config = {0};
    bool json;

    if (output_is_json(format, &json, err) != 0) {
        return -1;
    }
    int result =
        read_config(count > 0 ? positional[0] : CONFIG_NAME, count > 0, &config, err);
    if (result == 0) {
        result = deploy(&config, json, err);
    }
    config_fini(&config);
    return result;
}

const struct command command_deploy = {
    .name = "deploy",
    .usage = "[OPTION]... [CONFIG_FILE]",
    .brief = "create or update the APIs of a project",
    .summary =
        "Sends the folder of CONFIG_FILE (default: ./" CONFIG_NAME
        ") to the cluster and"
        " creates or\nupdates the APIs that the file describes: all of them, or none "
        "if "
        "there is a mistake.\nJobs in progress go on with what they were submitted to."
        "\n\nFiles whose names begin with a dot and what .cortexignore names (in the "
        "syntax of\n.gitignore) stay behind; a .env file in the folder itself goes "
        "along.",
    .examples = "cortex deploy\n"
                "cortex deploy --env aws --yes path/to/cortex.yaml",
    .rows = rows,
    .positional_min = 0,
    .positional_max = 1,
    .run = deploy_run,
};
