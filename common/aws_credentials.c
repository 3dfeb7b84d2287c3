/* SPDX-License-Identifier: Apache-2.0 */
/* aws_credentials.c - which keys requests to AWS are signed with */
#include "common/aws_credentials.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/aws_http.h"
#include "common/aws_imds.h"
#include "common/aws_sts.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"

#define CREDENTIALS_ROLES_MAX     5 // profiles that lead to one another
#define CREDENTIALS_CONTAINER_MS  2000
#define CREDENTIALS_CONTAINER_ECS "http://169.254.170.2"
#define CREDENTIALS_IMDS_PATH     "/latest/meta-data/iam/security-credentials/"

void aws_credentials_fini(struct aws_credentials *credentials)
{
    free(credentials->access_key);
    free(credentials->secret_key);
    free(credentials->session_token);
    *credentials = (struct aws_credentials){0};
}

/* Each returns 1 if it has some, 0 if it is not set up, -1 if it fails. */
typedef int (*source_fn)(const struct aws_settings *settings,
                         const char *profile,
                         struct aws_credentials *out,
                         struct error *err);

static int keep(struct aws_credentials *out,
                const char *access_key,
                const char *secret_key,
                const char *session_token)
{
    out->access_key = memory_strdup(access_key);
    out->secret_key = memory_strdup(secret_key);
    out->session_token =
        session_token && *session_token ? memory_strdup(session_token) : NULL;
    return 1;
}

static int from_environment(const struct aws_settings *settings,
                            const char *profile,
                            struct aws_credentials *out,
                            struct error *err)
{
    const char *access_key = aws_settings_env("AWS_ACCESS_KEY_ID");
    const char *secret_key = aws_settings_env("AWS_SECRET_ACCESS_KEY");

    (void)settings;
    (void)profile;
    if (!access_key && !secret_key) {
        return 0;
    }
    if (!access_key || !secret_key) {
        return error_set(err,
                         ERROR_UNAUTHENTICATED,
                         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: one is set, the "
                         "other is not");
    }
    (void)snprintf(out->source, sizeof(out->source), "environment");
    return keep(out, access_key, secret_key, aws_settings_env("AWS_SESSION_TOKEN"));
}

static int from_profile(const struct aws_settings *settings,
                        const char *profile,
                        struct aws_credentials *out,
                        struct error *err)
{
    const char *access_key =
        aws_settings_profile(settings, profile, "aws_access_key_id");
    const char *secret_key =
        aws_settings_profile(settings, profile, "aws_secret_access_key");

    if (!access_key && !secret_key) {
        return 0;
    }
    if (!access_key || !secret_key) {
        return error_set(err,
                         ERROR_UNAUTHENTICATED,
                         "AWS profile '%s': expected both aws_access_key_id and "
                         "aws_secret_access_key",
                         profile);
    }
    (void)snprintf(out->source, sizeof(out->source), "profile '%s'", profile);
    return keep(out,
                access_key,
                secret_key,
                aws_settings_profile(settings, profile, "aws_session_token"));
}

// Processes, containers and instances all answer with such a document.
static int from_document(const struct buffer *text,
                         const char *token_key,
                         struct aws_credentials *out,
                         struct error *err)
{
    struct cJSON *tree = NULL;
    const char *access_key = NULL;
    const char *secret_key = NULL;
    const char *token = NULL;
    const char *expiration = NULL;
    int result = -1;

    if (json_parse(buffer_text(text), text->size, &tree, err) != 0 ||
        json_require(tree, "AccessKeyId", err) != 0 ||
        json_require(tree, "SecretAccessKey", err) != 0 ||
        json_get_text(tree, "AccessKeyId", &access_key, err) != 0 ||
        json_get_text(tree, "SecretAccessKey", &secret_key, err) != 0 ||
        json_get_text(tree, token_key, &token, err) != 0 ||
        json_get_text(tree, "Expiration", &expiration, err) != 0) {
        goto out;
    }
    result = keep(out, access_key, secret_key, token);
    out->expires_s = aws_sts_time(expiration);
out:
    json_free(tree);
    return result;
}

// Reads what the process writes until it closes its end or the time is over.
static int read_output(int fd, struct buffer *out)
{
    int64_t deadline_ms = clock_monotonic_ms() + AWS_CREDENTIALS_PROCESS_MS;

    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = left_ms > 0 ? poll(&wait, 1, (int)left_ms) : 0;
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0 || out->size > AWS_CREDENTIALS_TEXT_MAX) {
            return -1;
        }
        ssize_t got = read(fd, buffer_reserve(out, 4096), 4096);
        if (got <= 0) {
            return got == 0 ? 0 : -1;
        }
        out->size += (size_t)got;
        out->data[out->size] = '\0';
    }
}

// In a process group of its own, so that all of it can be ended.
static int spawn(const char *command, int out_fd, pid_t *out_pid)
{
    char shell[] = "/bin/sh";
    char flag[] = "-c";
    char *copy = memory_strdup(command);
    char *const argv[] = {shell, flag, copy, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;

    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(
        &actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setflags(&attributes,
                                   POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    int result = posix_spawn(out_pid, shell, &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(copy);
    return result;
}

static int run_process(const char *command, struct buffer *out, struct error *err)
{
    int ends[2];
    pid_t pid = 0;
    int status = 0;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set_errno(err, ERROR_INTERNAL, "cannot make a pipe");
    }
    int failed = spawn(command, ends[1], &pid);
    (void)close(ends[1]);
    if (failed) {
        (void)close(ends[0]);
        return error_set(err, ERROR_INTERNAL, "cannot start /bin/sh");
    }
    if (read_output(ends[0], out) != 0) {
        (void)kill(-pid, SIGKILL);
    }
    (void)close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    return error_set(err,
                     ERROR_UNAUTHENTICATED,
                     WIFEXITED(status) ? "it ended with status %d"
                                       : "it was ended by signal %d (it may take 30 s)",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int from_process(const struct aws_settings *settings,
                        const char *profile,
                        struct aws_credentials *out,
                        struct error *err)
{
    const char *command = aws_settings_profile(settings, profile, "credential_process");
    struct buffer text = BUFFER_INIT;

    if (!command) {
        return 0;
    }
    int result = run_process(command, &text, err);
    if (result == 0) {
        result = from_document(&text, "SessionToken", out, err);
    }
    buffer_fini(&text);
    if (result < 0) {
        return error_wrap(err, "credential_process of AWS profile '%s'", profile);
    }
    (void)snprintf(out->source,
                   sizeof(out->source),
                   "credential_process of profile '%s'",
                   profile);
    return result;
}

static int read_token(const char *path, struct buffer *out, struct error *err)
{
    if (fs_read(path, AWS_CREDENTIALS_TEXT_MAX, out, err) != 0) {
        return -1;
    }
    while (out->size > 0 && isspace((unsigned char)out->data[out->size - 1])) {
        out->data[--out->size] = '\0';
    }
    return 0;
}

// Keys go over plain HTTP only where nobody else listens.
static bool trusted_url(const char *url)
{
    static const char *const hosts[] = {
        "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    static const char scheme[] = "http://";

    if (strncmp(url, "https://", 8) == 0) {
        return true;
    }
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0) {
        return false;
    }
    const char *host = url + sizeof(scheme) - 1;
    size_t size = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (strlen(hosts[i]) == size && strncmp(host, hosts[i], size) == 0) {
            return true;
        }
    }
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == size;
}

static int ask_container(const char *url,
                         const char *token,
                         struct aws_credentials *out,
                         struct error *err)
{
    char *header = memory_format("Authorization: %s", token ? token : "");
    const char *const headers[] = {token ? header : NULL, NULL};
    const struct aws_http http = {
        .method = "GET",
        .url = url,
        .headers = headers,
        .no_proxy = true,
        .timeout_ms = CREDENTIALS_CONTAINER_MS,
    };
    struct buffer body = BUFFER_INIT;
    long status = 0;
    int result = aws_http_run(&http, &status, &body, err);

    if (result == 0 && status == 200) {
        result = from_document(&body, "Token", out, err);
    } else if (result == 0) {
        result = error_set(err,
                           status >= 500 || status == 429 ? ERROR_UNAVAILABLE
                                                          : ERROR_UNAUTHENTICATED,
                           "expected status 200, got %ld",
                           status);
    }
    buffer_fini(&body);
    free(header);
    return result;
}

static int from_container(const struct aws_settings *settings,
                          const char *profile,
                          struct aws_credentials *out,
                          struct error *err)
{
    const char *relative = aws_settings_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = aws_settings_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *token_file = aws_settings_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = aws_settings_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct buffer text = BUFFER_INIT;
    int result = 0;

    (void)settings;
    (void)profile;
    if (!relative && !full) {
        return 0;
    }
    char *url = relative ? memory_format(CREDENTIALS_CONTAINER_ECS "%s", relative)
                         : memory_strdup(full);
    if (!trusted_url(url)) {
        result = error_set(
            err, ERROR_UNAUTHENTICATED, "expected https or an address of this machine");
    } else if (token_file) {
        result = read_token(token_file, &text, err);
        token = buffer_text(&text);
    }
    if (result == 0) {
        result = ask_container(url, token, out, err);
    }
    if (result < 0) {
        error_wrap(err, "container credentials from %s", url);
    } else {
        (void)snprintf(out->source, sizeof(out->source), "container");
    }
    buffer_fini(&text);
    free(url);
    return result;
}

static int from_instance(const struct aws_settings *settings,
                         const char *profile,
                         struct aws_credentials *out,
                         struct error *err)
{
    struct buffer role = BUFFER_INIT;
    struct buffer text = BUFFER_INIT;
    struct error failure = {0};
    int result = aws_imds_get(CREDENTIALS_IMDS_PATH, &role, &failure);

    (void)settings;
    (void)profile;
    if (result != 0) { // this is no instance, or it has no role
        buffer_fini(&role);
        return 0;
    }
    int length = (int)strcspn(buffer_text(&role), "\r\n");
    char *path =
        memory_format(CREDENTIALS_IMDS_PATH "%.*s", length, buffer_text(&role));
    result = aws_imds_get(path, &text, err);
    if (result == 0) {
        result = from_document(&text, "Token", out, err);
    }
    if (result < 0) {
        error_wrap(err, "instance metadata");
    } else {
        (void)snprintf(out->source,
                       sizeof(out->source),
                       "instance role %.*s",
                       length,
                       buffer_text(&role));
    }
    free(path);
    buffer_fini(&role);
    buffer_fini(&text);
    return result;
}

static int ask_sources(const struct aws_settings *settings,
                       const char *profile,
                       const source_fn *sources,
                       struct aws_credentials *out,
                       struct error *err)
{
    int got = 0;

    for (; got == 0 && *sources; sources++) {
        got = (*sources)(settings, profile, out, err);
    }
    return got;
}

static int find_caller(const struct aws_settings *settings,
                       const char *profile,
                       unsigned depth,
                       struct aws_credentials *out,
                       struct error *err);

static int assume(const struct aws_settings *settings,
                  const char *profile,
                  unsigned depth,
                  struct aws_credentials *out,
                  struct error *err)
{
    struct aws_credentials caller = {0};
    const struct aws_sts_request request = {
        .role_arn = aws_settings_profile(settings, profile, "role_arn"),
        .session_name = aws_settings_profile(settings, profile, "role_session_name"),
        .external_id = aws_settings_profile(settings, profile, "external_id"),
        .duration_s = aws_settings_profile(settings, profile, "duration_seconds"),
        .caller = &caller,
    };
    int got = find_caller(settings, profile, depth, &caller, err);

    if (got == 0) {
        got = error_set(err,
                        ERROR_UNAUTHENTICATED,
                        "its source_profile or credential_source has no credentials");
    }
    if (got > 0) {
        got = aws_sts_assume(settings, &request, out, err) == 0 ? 1 : -1;
    }
    aws_credentials_fini(&caller);
    return got > 0 ? 1 : error_wrap(err, "AWS profile '%s'", profile);
}

// Who a profile's role is asked for by.
static int find_caller(const struct aws_settings *settings,
                       const char *profile,
                       unsigned depth,
                       struct aws_credentials *out,
                       struct error *err)
{
    static const source_fn profiles[] = {from_profile, from_process, NULL};
    static const struct {
        const char *name;
        source_fn sources[2];
    } others[] = {
        {"Environment", {from_environment, NULL}},
        {"EcsContainer", {from_container, NULL}},
        {"Ec2InstanceMetadata", {from_instance, NULL}},
    };
    const char *source = aws_settings_profile(settings, profile, "source_profile");
    const char *kind = aws_settings_profile(settings, profile, "credential_source");

    if (source) {
        bool role = strcmp(source, profile) != 0 &&
                    aws_settings_profile(settings, source, "role_arn");
        if (role && depth == CREDENTIALS_ROLES_MAX) {
            return error_set(
                err, ERROR_UNAUTHENTICATED, "source_profile leads in a circle");
        }
        return role ? assume(settings, source, depth + 1, out, err)
                    : ask_sources(settings, source, profiles, out, err);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (kind && strcmp(kind, others[i].name) == 0) {
            return ask_sources(settings, profile, others[i].sources, out, err);
        }
    }
    return error_set(err,
                     ERROR_UNAUTHENTICATED,
                     "credential_source: expected Environment, EcsContainer or "
                     "Ec2InstanceMetadata, got '%s'",
                     kind ? kind : "");
}

static int from_role(const struct aws_settings *settings,
                     const char *profile,
                     struct aws_credentials *out,
                     struct error *err)
{
    if (!aws_settings_profile(settings, profile, "role_arn") ||
        aws_settings_profile(settings, profile, "web_identity_token_file")) {
        return 0;
    }
    return assume(settings, profile, 1, out, err);
}

static int from_web_identity(const struct aws_settings *settings,
                             const char *profile,
                             struct aws_credentials *out,
                             struct error *err)
{
    const char *file = aws_settings_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    bool set = file != NULL;
    struct buffer token = BUFFER_INIT;

    file =
        set ? file : aws_settings_profile(settings, profile, "web_identity_token_file");
    if (!file) {
        return 0;
    }
    struct aws_sts_request request = {
        .role_arn = set ? aws_settings_env("AWS_ROLE_ARN")
                        : aws_settings_profile(settings, profile, "role_arn"),
        .session_name =
            set ? aws_settings_env("AWS_ROLE_SESSION_NAME")
                : aws_settings_profile(settings, profile, "role_session_name"),
    };
    int result = request.role_arn
                     ? read_token(file, &token, err)
                     : error_set(err,
                                 ERROR_UNAUTHENTICATED,
                                 "AWS_ROLE_ARN: expected the role that the token of %s "
                                 "is for, it is not set",
                                 file);
    request.web_identity_token = buffer_text(&token);
    if (result == 0) {
        result = aws_sts_assume(settings, &request, out, err);
    }
    buffer_fini(&token);
    return result == 0 ? 1 : error_wrap(err, "web identity");
}

int aws_credentials_find(const struct aws_settings *settings,
                         struct aws_credentials *out,
                         struct error *err)
{
    static const source_fn sources[] = {
        from_environment,
        from_role,
        from_web_identity,
        from_profile,
        from_process,
        from_container,
        from_instance,
        NULL,
    };
    const char *profile = aws_settings_profile_name(settings);
    struct aws_credentials found = {0};
    int got = ask_sources(settings, profile, sources, &found, err);

    if (got == 0) {
        return error_set(
            err,
            ERROR_UNAUTHENTICATED,
            "there are no AWS credentials: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role");
    }
    if (got > 0) {
        *out = found;
        return 0;
    }
    return -1;
}
