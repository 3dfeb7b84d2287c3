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

#include "agent/process.h"
#include "agent/project.h"
#include "agent/python_env.h"
#include "agent/setup.h"
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
    int cancel_fd;
    _Atomic(int) phase;
    struct setup_result result;
    char *python;
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

/* --- environment ------------------------------------------------------------------ */

struct env {
    char **rows;
    size_t count;
    size_t capacity;
};

/* Sets "NAME=value", replacing what has that name. */
static void env_put(struct env *env, const char *row)
{
    size_t name_size = strcspn(row, "=") + 1;

    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->rows[i], row, name_size) == 0) {
            free(env->rows[i]);
            env->rows[i] = memory_strdup(row);
            return;
        }
    }
    if (env->count + 1 >= env->capacity) {
        env->capacity = env->capacity == 0 ? 64 : env->capacity * 2;
        env->rows = memory_realloc(env->rows, env->capacity * sizeof(char *));
    }
    env->rows[env->count++] = memory_strdup(row);
    env->rows[env->count] = NULL;
}

static void env_put_pair(struct env *env, const char *name, const char *value)
{
    char *row = memory_format("%s=%s", name, value);

    env_put(env, row);
    free(row);
}

static char **make_env(const struct setup *setup)
{
    const struct session_setup *job = &setup->result.job;
    struct env env = {0};
    char id[17];

    for (char **row = environ; *row != NULL; row++) {
        env_put(&env, *row);
    }
    for (char **row = job->env; *row != NULL; row++) {
        if (strchr(*row, '=') != NULL) {
            env_put(&env, *row);
        }
    }
    env_put_pair(&env, "CORTEX_API_NAME", job->api_name);
    id_job_format(setup->options.job_id, id);
    env_put_pair(&env, "CORTEX_JOB_ID", id);
    id_job_format(setup->options.worker_id, id);
    env_put_pair(&env, "CORTEX_WORKER_ID", id);
    if (setup->devices != NULL) {
        env_put_pair(&env, "CUDA_VISIBLE_DEVICES", setup->devices);
    }
    return env.rows;
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

static int get_project(struct setup *setup, struct error *err)
{
    char *cache = fs_join(setup->options.state_dir, "projects");
    char *archive = NULL;
    int result = -1;

    if (!quiet(&setup->result.job)) {
        setup_log(setup->options.output_fd, "INFO", "downloading the project code");
    }
    if (project_fetch(
            cache, setup->result.job.project_id, get_piece, setup, &archive, err) ==
            0 &&
        fs_remove_tree(setup->worker_folder, err) == 0 &&
        fs_make_folder(setup->worker_folder, 0700, err) == 0) {
        result = project_unpack(archive, setup->result.folder, err);
    }
    free(archive);
    free(cache);
    return result;
}

/* Installations of different workers take turns: they change the same machine. */
static pthread_mutex_t install_mutex = PTHREAD_MUTEX_INITIALIZER;

static int run_dependencies(const struct command *command, struct error *err)
{
    const char *argv[] = {"bash", "-e", "dependencies.sh", NULL};
    char *path = fs_join(command->folder, "dependencies.sh");
    int result = 0;

    if (fs_exists(path)) {
        pthread_mutex_lock(&install_mutex);
        result = command_run(command, "dependencies.sh", argv, err);
        pthread_mutex_unlock(&install_mutex);
    }
    free(path);
    return result;
}

static int install(struct setup *setup, struct error *err)
{
    char *envs = fs_join(setup->options.state_dir, "envs");
    char *hidden = fs_join(setup->worker_folder, "install.log");
    struct command command = {.envp = setup->result.env,
                              .folder = setup->result.folder,
                              .output_fd = setup->options.output_fd,
                              .quiet_fd = -1,
                              .cancel_fd = setup->cancel_fd};
    char *python = process_find(setup->options.python, setup->result.env);
    int result;

    if (quiet(&setup->result.job)) {
        command.quiet_fd = open(hidden, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    result = run_dependencies(&command, err);
    if (result == 0 && python == NULL) {
        result = error_set(err,
                           ERROR_FAILED_PRECONDITION,
                           "%s: no such interpreter",
                           setup->options.python);
    }
    if (result == 0) {
        result = python_env_make(
            &command, envs, python, setup->result.job.project_id, &setup->python, err);
    }
    if (command.quiet_fd >= 0) {
        (void)close(command.quiet_fd);
    }
    free(python);
    free(hidden);
    free(envs);
    return result;
}

static void make_argv(struct setup *setup)
{
    char *env_file = fs_join(setup->result.folder, ".env");
    size_t n = 0;

    setup->runner_main =
        memory_format("%s/runner/cortex_runner/main.py", setup->options.state_dir);
    if (fs_exists(env_file)) {
        setup->argv[n++] = "bash";
        setup->argv[n++] = "-c";
        setup->argv[n++] = WITH_ENV;
        setup->argv[n++] = "bash";
    }
    setup->argv[n++] = setup->python;
    setup->argv[n++] = setup->runner_main;
    setup->argv[n++] = PROCESS_CHANNEL_TEXT;
    setup->argv[n++] = PROCESS_PAGE_TEXT;
    setup->result.argv = setup->argv;
    free(env_file);
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
    setup->result.env = make_env(setup);
    if (get_project(setup, err) != 0 || install(setup, err) != 0) {
        return -1;
    }
    make_argv(setup);
    return 0;
}

/* --- lifecycle -------------------------------------------------------------------- */

void setup_remove_folder(const char *state_dir, uint64_t worker_id)
{
    char *folder =
        memory_format("%s/workers/%016llx", state_dir, (unsigned long long)worker_id);

    (void)fs_remove_tree(folder, NULL); // what stays is removed at the next start
    free(folder);
}

static void free_setup(struct setup *setup)
{
    for (char **row = setup->result.env; row != NULL && *row != NULL; row++) {
        free(*row);
    }
    free(setup->result.env);
    session_setup_fini(&setup->result.job);
    (void)close(setup->options.output_fd);
    (void)close(setup->cancel_fd);
    free(setup->result.folder);
    free(setup->worker_folder);
    free(setup->runner_main);
    free(setup->python);
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
        setup_remove_folder(setup->options.state_dir, setup->options.worker_id);
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
