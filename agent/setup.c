/* SPDX-License-Identifier: Apache-2.0 */
/* setup.c - how a worker's project and interpreter get ready */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/custody.h"
#include "agent/process.h"
#include "agent/project.h"
#include "agent/setup.h"
#include "agent/worker_env.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"

#define RETRY_MS 200 /* between tries while the master is away */
/* Reads .env as the shell does and exports what it sets, then becomes the runner. */
#define WITH_ENV "set -a; . ./.env; set +a; exec \"$@\""

enum phase { WORKING, DONE, ABANDONED };

struct setup {
    struct setup_options options;
    char *devices;
    char *worker_folder;
    char **installer_env;
    int cancel_fd;
    _Atomic(int) phase;
    struct setup_result result;
    struct python_env python;
    char *runner_main;
    const char *argv[9];
};

/* --- log lines -------------------------------------------------------------------- */

void setup_log(int fd, const char *level, const char *text)
{
    char when[CLOCK_TEXT_SIZE];
    char *line;

    clock_format_log(clock_wall_ns() / 1000, when);
    line = memory_format("\x1e%s:cortex:pid-1:%s:%s\n", when, level, text);
    (void)fs_write_all(fd, line, strlen(line), NULL); // nobody reads: nobody misses it
    free(line);
}

static bool quiet(const struct session_setup *job)
{
    return strcmp(job->log_level, "warning") == 0 ||
           strcmp(job->log_level, "error") == 0;
}

/* --- the steps -------------------------------------------------------------------- */

/* Waits a little; false if it was told to give up. */
static bool wait_a_little(const struct setup *setup)
{
    struct pollfd fd = {.fd = setup->cancel_fd, .events = POLLIN};

    return poll(&fd, 1, RETRY_MS) == 0;
}

static int get_job(struct setup *setup, struct error *err)
{
    while (session_setup_get(setup->options.session,
                             setup->options.job_id,
                             &setup->result.job,
                             err) != 0) {
        if (!error_code_retryable(err->code) || !wait_a_little(setup)) {
            return -1;
        }
        error_clear(err);
    }
    return 0;
}

static int get_piece(void *arg,
                     const char *project_id,
                     uint64_t offset,
                     struct buffer *out,
                     uint64_t *out_size,
                     struct error *err)
{
    struct setup *setup = arg;
    struct error failed = {0};

    while (session_project_get(setup->options.session,
                               project_id,
                               setup->options.job_id,
                               offset,
                               out,
                               out_size,
                               &failed) != 0) {
        if (!error_code_retryable(failed.code) || !wait_a_little(setup)) {
            return error_copy(err, &failed);
        }
    }
    return 0;
}

/* The worker's folder with what is below it but the project; see custody.h. */
static int make_folders(const struct setup *setup, struct error *err)
{
    const struct sandbox_user *user = &setup->options.user;
    char *tmp = fs_join(setup->worker_folder, "tmp");
    char *home = fs_join(setup->worker_folder, "home");
    int result = fs_remove_tree(setup->worker_folder, err);

    if (result == 0) {
        result = custody_make_passage(user, setup->worker_folder, err);
    }
    if (result == 0) {
        result = custody_make_folder(user, tmp, err);
    }
    if (result == 0 && user->uid != 0) {
        result = custody_make_folder(user, home, err);
    }
    free(home);
    free(tmp);
    return result;
}

static void make_envs(struct setup *setup)
{
    const struct session_setup *job = &setup->result.job;
    char *tmp = fs_join(setup->worker_folder, "tmp");
    char *home = fs_join(setup->worker_folder, "home");
    struct worker_env_options options = {
        .agent = environ,
        .job = job->env,
        .api_name = job->api_name,
        .job_id = setup->options.job_id,
        .worker_id = setup->options.worker_id,
        .tmp = tmp,
        .home = setup->options.user.uid != 0 ? home : NULL,
        .devices = setup->devices,
    };

    setup->result.env = worker_env_create(&options);
    options.installing = true;
    setup->installer_env = worker_env_create(&options);
    free(home);
    free(tmp);
}

static int get_project(struct setup *setup, struct error *err)
{
    char *cache = fs_join(setup->options.state_dir, "projects");
    char *archive = NULL;
    int result;

    if (!quiet(&setup->result.job)) {
        setup_log(setup->options.output_fd, "INFO", "downloading the project code");
    }
    result = project_fetch(
        cache, setup->result.job.project_id, get_piece, setup, &archive, err);
    if (result == 0) {
        result = make_folders(setup, err);
    }
    if (result == 0) {
        result = project_unpack(archive, setup->result.folder, err);
    }
    free(archive);
    free(cache);
    return result;
}

/* Installations of different workers take turns: they change the same machine. */
static pthread_mutex_t install_mutex = PTHREAD_MUTEX_INITIALIZER;

static int run_dependencies(const struct setup *setup,
                            const struct command *command,
                            struct error *err)
{
    const char *argv[] = {"bash", "-e", "dependencies.sh", NULL};
    struct command as_agent = *command;
    int result;

    if (setup->options.root_dependencies) {
        as_agent.user = (struct sandbox_user){0};
    }
    pthread_mutex_lock(&install_mutex);
    result = command_run(&as_agent, "dependencies.sh", argv, err);
    pthread_mutex_unlock(&install_mutex);
    return result;
}

static int
make_python(struct setup *setup, const struct command *command, struct error *err)
{
    char *python = process_find(setup->options.python, setup->result.env);
    int result;

    if (python == NULL) {
        result = error_set(err,
                           ERROR_FAILED_PRECONDITION,
                           "%s: no such interpreter",
                           setup->options.python);
    } else {
        result = python_envs_take(setup->options.envs,
                                  command,
                                  python,
                                  setup->result.job.project_id,
                                  &setup->python,
                                  err);
    }
    free(python);
    return result;
}

/* A file without a name, for output that is shown on failure only; -1 if there can be
 * none. Not in a folder of the worker's, where it could plant a link. */
static int open_hidden(const struct setup *setup)
{
    char *path = memory_format("%s.log", setup->worker_folder);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    (void)unlink(path);
    free(path);
    return fd;
}

static bool has_file(const struct setup *setup, const char *name)
{
    char *path = fs_join(setup->result.folder, name);
    bool found = fs_exists(path);

    free(path);
    return found;
}

static int run_installers(struct setup *setup, struct error *err)
{
    bool script = has_file(setup, "dependencies.sh");
    bool handed = script || has_file(setup, "requirements.txt");
    struct command command = {.envp = setup->installer_env,
                              .folder = setup->result.folder,
                              .output_fd = setup->options.output_fd,
                              .quiet_fd = -1,
                              .cancel_fd = setup->cancel_fd,
                              .user = setup->options.user};
    int result = 0;

    if (handed) {
        result = custody_hand_over(&command.user, setup->result.folder, err);
    }
    if (quiet(&setup->result.job)) {
        command.quiet_fd = open_hidden(setup);
    }
    if (result == 0 && script) {
        result = run_dependencies(setup, &command, err);
    }
    if (result == 0) {
        result = make_python(setup, &command, err);
    }
    if (command.quiet_fd >= 0) {
        (void)close(command.quiet_fd);
    }
    return result;
}

static int install(struct setup *setup, struct error *err)
{
    if (run_installers(setup, err) != 0) {
        return -1;
    }
    return custody_seal_project(&setup->options.user, setup->result.folder, err);
}

static void make_argv(struct setup *setup)
{
    size_t n = 0;

    setup->runner_main =
        memory_format("%s/runner/cortex_runner/main.py", setup->options.state_dir);
    if (has_file(setup, ".env")) {
        setup->argv[n++] = "bash";
        setup->argv[n++] = "-c";
        setup->argv[n++] = WITH_ENV;
        setup->argv[n++] = "bash";
    }
    setup->argv[n++] = setup->python.python;
    setup->argv[n++] = setup->runner_main;
    setup->argv[n++] = PROCESS_CHANNEL_TEXT;
    setup->argv[n++] = PROCESS_PAGE_TEXT;
    setup->result.argv = setup->argv;
}

static int run_steps(struct setup *setup, struct error *err)
{
    if (get_job(setup, err) != 0) {
        return -1;
    }
    if (strcmp(setup->result.job.predictor_type, "python") != 0) {
        return error_set(err,
                         ERROR_UNIMPLEMENTED,
                         "predictor type \"%s\": expected \"python\"",
                         setup->result.job.predictor_type);
    }
    make_envs(setup);
    if (get_project(setup, err) != 0 || install(setup, err) != 0) {
        return -1;
    }
    make_argv(setup);
    return 0;
}

/* --- lifecycle -------------------------------------------------------------------- */

void setup_remove_folder(const char *state_dir,
                         uint64_t worker_id,
                         const struct sandbox_user *user)
{
    char *folder =
        memory_format("%s/workers/%016llx", state_dir, (unsigned long long)worker_id);

    (void)fs_remove_tree(folder, NULL); // what stays is removed at the next start
    custody_sweep(user);
    free(folder);
}

static void free_setup(struct setup *setup)
{
    worker_env_destroy(setup->result.env);
    worker_env_destroy(setup->installer_env);
    session_setup_fini(&setup->result.job);
    (void)close(setup->options.output_fd);
    (void)close(setup->cancel_fd);
    free(setup->result.folder);
    free(setup->worker_folder);
    free(setup->runner_main);
    python_envs_give_back(setup->options.envs, &setup->python);
    free(setup->devices);
    free(setup);
}

static void *run(void *arg)
{
    struct setup *setup = arg;
    void (*notify)(void *) = setup->options.notify;
    void *notify_arg = setup->options.arg;
    struct error err = {0};
    int working = WORKING;

    if (run_steps(setup, &err) != 0) {
        setup->result.error = err;
    }
    if (atomic_compare_exchange_strong(&setup->phase, &working, DONE)) {
        notify(notify_arg); // the setup may be gone by now
    } else {
        setup_remove_folder(
            setup->options.state_dir, setup->options.worker_id, &setup->options.user);
        free_setup(setup);
    }
    return NULL;
}

int setup_start(const struct setup_options *options,
                struct setup **out_setup,
                struct error *err)
{
    struct setup *setup = memory_zalloc(sizeof(*setup));
    pthread_t thread;

    setup->options = *options;
    setup->devices = memory_strdup(options->devices);
    setup->worker_folder = memory_format("%s/workers/%016llx",
                                         options->state_dir,
                                         (unsigned long long)options->worker_id);
    setup->result.folder = fs_join(setup->worker_folder, "project");
    setup->result.output_fd = options->output_fd;
    setup->cancel_fd = eventfd(0, EFD_CLOEXEC);
    atomic_init(&setup->phase, WORKING);
    if (setup->cancel_fd < 0 || pthread_create(&thread, NULL, run, setup) != 0) {
        free_setup(setup);
        return error_set(err, ERROR_RESOURCE_EXHAUSTED, "cannot start a thread");
    }
    (void)pthread_detach(thread);
    *out_setup = setup;
    return 0;
}

bool setup_done(const struct setup *setup)
{
    return atomic_load(&setup->phase) == DONE;
}

const struct setup_result *setup_result(const struct setup *setup)
{
    return &setup->result;
}

struct python_env setup_take_env(struct setup *setup)
{
    struct python_env env = setup->python;

    setup->python = (struct python_env){0};
    return env;
}

void setup_destroy(struct setup *setup)
{
    int working = WORKING;

    if (setup == NULL) {
        return;
    }
    (void)eventfd_write(setup->cancel_fd, 1);
    if (!atomic_compare_exchange_strong(&setup->phase, &working, ABANDONED)) {
        free_setup(setup);
    }
}
