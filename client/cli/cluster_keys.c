/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_keys.c - how the programs of a local cluster come to trust one another */
#include "client/cli/cluster_keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/daemons.h"
#include "client/cli/home.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/seal.h"

#define OUTPUT_MAX    (8u << 20) // of `keys list`, which is the longest
#define ARGUMENTS_MAX 12

/* --- running cortex-master -------------------------------------------------------- */

static int read_all(int fd, struct buffer *out)
{
    char piece[4096];
    ssize_t size;

    while ((size = read(fd, piece, sizeof(piece))) > 0 && out->size < OUTPUT_MAX) {
        buffer_add(out, piece, (size_t)size);
    }
    return size == 0 ? 0 : -1;
}

static void become(char *const *argv, int out_fd, int err_fd)
{
    if (dup2(out_fd, STDOUT_FILENO) >= 0 && dup2(err_fd, STDERR_FILENO) >= 0) {
        (void)execvp(argv[0], argv);
    }
    _exit(127);
}

// What it says on standard error is short, and waits until the rest has been read.
static int
run(char *const *argv, struct buffer *out, struct buffer *complaint, struct error *err)
{
    int result_fds[2];
    int complaint_fds[2];
    int status = -1;

    if (pipe2(result_fds, O_CLOEXEC) != 0 || pipe2(complaint_fds, O_CLOEXEC) != 0) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot make a pipe");
    }
    pid_t child = fork();
    if (child == 0) {
        become(argv, result_fds[1], complaint_fds[1]);
    }
    (void)close(result_fds[1]);
    (void)close(complaint_fds[1]);
    int result = child > 0 && read_all(result_fds[0], out) == 0 &&
                         read_all(complaint_fds[0], complaint) == 0
                     ? 0
                     : -1;
    (void)close(result_fds[0]);
    (void)close(complaint_fds[0]);
    if (child > 0 && waitpid(child, &status, 0) == child && result == 0 &&
        status == 0) {
        return 0;
    }
    const char *said = buffer_text(complaint);
    return error_set(err,
                     ERROR_FAILED_PRECONDITION,
                     "%s %s: %.*s",
                     argv[0],
                     argv[1],
                     (int)strcspn(said, "\n"),
                     *said ? said : "it could not be run");
}

// Runs `cortex-master` on the cluster's master; `arguments` end with NULL.
static int run_master(const struct cluster_state *state,
                      const char *const *arguments,
                      struct buffer *out,
                      struct error *err)
{
    char *argv[ARGUMENTS_MAX + 4] = {daemons_program(CLUSTER_MASTER)};
    struct buffer complaint = BUFFER_INIT;
    size_t count = 1;

    while (*arguments && count <= ARGUMENTS_MAX) {
        argv[count++] = (char *)(uintptr_t)*arguments++;
    }
    argv[count++] = (char *)(uintptr_t) "--state-dir";
    argv[count] = state->daemons[CLUSTER_MASTER].folder;
    int result = run(argv, out, &complaint, err);
    buffer_fini(&complaint);
    free(argv[0]);
    return result;
}

/* --- keys ------------------------------------------------------------------------- */

static int
make_master_key(const struct cluster_state *state, char **out_join, struct error *err)
{
    const char *const arguments[] = {
        "init", "--address", state->settings.master_listen, NULL};
    struct buffer out = BUFFER_INIT;
    int result = run_master(state, arguments, &out, err);

    if (result == 0) {
        *out_join = memory_strndup(buffer_text(&out), strcspn(buffer_text(&out), "\n"));
    }
    buffer_fini(&out);
    return result;
}

// `listed` is what `keys list` printed: a key that is there may have been changed by
// hand, or revoked, and stays as it is.
static int let_in(const struct cluster_state *state,
                  const char *listed,
                  const unsigned char key[KEY_SIZE],
                  const char *role,
                  const char *comment,
                  struct error *err)
{
    char text[KEY_TEXT_SIZE];
    struct buffer out = BUFFER_INIT;

    key_public_format(key, text);
    const char *const arguments[] = {
        "keys", "add", "--role", role, text, comment, NULL};
    int result = strstr(listed, text) ? 0 : run_master(state, arguments, &out, err);
    buffer_fini(&out);
    return result;
}

static int let_daemon_in(const struct cluster_state *state,
                         const char *listed,
                         const char *join,
                         const struct cluster_daemon *daemon,
                         struct error *err)
{
    const struct seal_request request = {.folder = daemon->folder, .join = join};
    struct seal seal;

    if (seal_open(&request, &seal, err) != 0) {
        return -1;
    }
    int result = let_in(state,
                        listed,
                        seal.key.public_key,
                        cluster_role_name(daemon->role),
                        daemon->name,
                        err);
    seal_close(&seal);
    return result;
}

static int let_all_in(const struct cluster_state *state,
                      const char *join,
                      const struct key_pair *user,
                      struct error *err)
{
    const char *const arguments[] = {"keys", "list", NULL};
    struct buffer listed = BUFFER_INIT;
    int result = run_master(state, arguments, &listed, err);

    for (size_t i = CLUSTER_BRIDGE; result == 0 && i < state->daemon_count; i++) {
        result =
            let_daemon_in(state, buffer_text(&listed), join, &state->daemons[i], err);
    }
    if (result == 0) {
        result = let_in(state,
                        buffer_text(&listed),
                        user->public_key,
                        "admin",
                        "who started the cluster",
                        err);
    }
    buffer_fini(&listed);
    return result;
}

bool cluster_keys_exist(const struct cluster_state *state)
{
    char *path = fs_join(state->daemons[CLUSTER_MASTER].folder, "master.key");
    bool exist = fs_exists(path);

    free(path);
    return exist;
}

int cluster_keys_make(const struct cluster_state *state,
                      char **out_join,
                      char **out_key_file,
                      struct error *err)
{
    struct key_pair user;
    char *key_file = NULL;
    char *join = NULL;
    int result = -1;

    if (home_key(NULL, &key_file, &user, err) != 0) {
        return -1;
    }
    if (make_master_key(state, &join, err) == 0) {
        result = let_all_in(state, join, &user, err);
    }
    key_wipe(&user, sizeof(user));
    if (result == 0) {
        *out_join = join;
        *out_key_file = key_file;
    } else {
        free(join);
        free(key_file);
    }
    return result;
}
