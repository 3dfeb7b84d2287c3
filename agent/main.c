/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - how cortex-agent is started */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/daemon.h"
#include "agent/own_key.h"
#include "agent/resources.h"
#include "common/id.h"
#include "common/log.h"
#include "common/options.h"

static int read_capacity(struct daemon_options *options,
                         const char *cpu,
                         int64_t memory_bytes,
                         int64_t gpus,
                         struct error *err)
{
    resources_measure(&options->capacity);
    if (cpu != NULL && !resources_read_cpu(cpu, &options->capacity.cpu_millis)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--cpu \"%s\": expected cores such as 2, 1.5 or 500m",
                         cpu);
    }
    if (memory_bytes > 0) {
        options->capacity.memory_bytes = (uint64_t)memory_bytes;
    }
    if (gpus >= 0) {
        options->capacity.gpus = (uint32_t)gpus;
    }
    return 0;
}

static int read_level(const char *text, enum log_level *out, struct error *err)
{
    const char *names[] = {"debug", "info", "warning", "error"};

    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "--log-level \"%s\": expected debug, info, warning or error",
                     text);
}

int main(int argc, char **argv)
{
    static char host[256] = "agent";
    // Everybody on the machine, user code included, may read a command line.
    struct daemon_options options = {.state_dir = "agent",
                                     .name = host,
                                     .join = getenv("CORTEX_JOIN"),
                                     .python = "python3",
                                     .env_size_max = DAEMON_ENV_SIZE};
    const char *cpu = NULL;
    const char *level_text = "info";
    int64_t memory_bytes = 0;
    int64_t gpus = -1;
    int64_t ready_fd = -1;
    int64_t grace_ms = DAEMON_GRACE_MS;
    const struct option_row rows[] = {
        {"master",
         'm',
         OPTION_TEXT,
         &options.master_url,
         "URL",
         "the master's address, default the join string's or " DAEMON_MASTER_URL,
         0,
         0},
        {"join",
         'j',
         OPTION_TEXT,
         &options.join,
         "STRING",
         "whose master it is: what `cortex-master keys token` printed; needed once; "
         "default the environment's CORTEX_JOIN, which `ps` does not show",
         0,
         0},
        {"key-file",
         0,
         OPTION_TEXT,
         &options.key_file,
         "FILE",
         "the agent's own key, made if it is missing, default key in the state folder",
         0,
         0},
        {"state-dir",
         's',
         OPTION_TEXT,
         &options.state_dir,
         "DIR",
         "where projects and environments are kept, default ./agent",
         0,
         0},
        {"name",
         'n',
         OPTION_TEXT,
         &options.name,
         "NAME",
         "shown to people, default the host's name",
         0,
         0},
        {"cpu",
         0,
         OPTION_TEXT,
         &cpu,
         "CORES",
         "cores to offer, such as 2 or 500m, default all",
         0,
         0},
        {"mem",
         0,
         OPTION_SIZE,
         &memory_bytes,
         "SIZE",
         "memory to offer, default all",
         1,
         INT64_MAX},
        {"gpu",
         0,
         OPTION_NUMBER,
         &gpus,
         "N",
         "NVIDIA devices to offer, default all",
         0,
         64},
        {"python",
         0,
         OPTION_TEXT,
         &options.python,
         "PATH",
         "interpreter of the workers, default python3",
         0,
         0},
        {"user",
         'u',
         OPTION_TEXT,
         &options.user,
         "USER",
         "whom user code runs as: FIRST-LAST (a user per worker), a name, or none (as "
         "the agent); default 2000000000-2000065535 if the agent is root",
         0,
         0},
        {"root-dependencies",
         0,
         OPTION_FLAG,
         &options.root_dependencies,
         NULL,
         "run dependencies.sh as the agent, so that it may install packages if the "
         "agent "
         "is root",
         0,
         0},
        {"env-size",
         0,
         OPTION_SIZE,
         &options.env_size_max,
         "SIZE",
         "keep virtual environments within it, default 20G",
         1,
         INT64_MAX},
        {"allow-file",
         0,
         OPTION_FLAG,
         &options.allow_file,
         NULL,
         "allow results to go to file:// URLs",
         0,
         0},
        {"grace",
         0,
         OPTION_DURATION,
         &grace_ms,
         "TIME",
         "for batches in predict after SIGTERM, default 10s",
         0,
         86400000},
        {"ready-fd",
         0,
         OPTION_NUMBER,
         &ready_fd,
         "N",
         "write a line to it once registered",
         0,
         1 << 20},
        {"log-level",
         0,
         OPTION_TEXT,
         &level_text,
         "LEVEL",
         "debug, info, warning or error, default info",
         0,
         0},
        {0},
    };
    const struct options table = {.program = "cortex-agent",
                                  .usage = "[OPTION]...\n"
                                           "       cortex-agent rotate [OPTION]...",
                                  .summary =
                                      "Runs workers of batch jobs on this machine. "
                                      "rotate changes the agent's key for a new one.",
                                  .rows = rows};
    enum log_level level = LOG_INFO;
    struct error err = {0};
    int positional;
    int status = 1;

    bool rotates = argc > 1 && strcmp(argv[1], "rotate") == 0;
    (void)gethostname(host, sizeof(host) - 1);
    if (options_parse(&table, argc - rotates, argv + rotates, &positional, &err) == 0 &&
        read_level(level_text, &level, &err) == 0 &&
        read_capacity(&options, cpu, memory_bytes, gpus, &err) == 0) {
        log_init("agent", level);
        // One executed anew finds it closed, and its number may be another file's.
        options.ready_fd = fcntl((int)ready_fd, F_GETFD) >= 0 ? (int)ready_fd : -1;
        options.argv = argv;
        options.grace_ms = grace_ms;
        if (id_init() != 0) {
            (void)error_set(
                &err, ERROR_INTERNAL, "there is no source of random numbers");
        } else if ((rotates ? own_key_rotate : daemon_run)(&options, &err) == 0) {
            status = 0;
        }
    }
    if (status != 0) {
        (void)fprintf(stderr, "error: %s\n", err.message);
    }
    (void)fflush(stdout);
    _exit(status);
}
