/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - cortex-master: owns apis, jobs, batching and who runs what */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/id.h"
#include "common/log.h"
#include "common/options.h"
#include "common/reexec.h"
#include "master/export.h"
#include "master/key_command.h"
#include "master/master.h"

static const char summary[] = "Owns apis, jobs and batches, and hands batches to the "
                              "agents that call it. All its\n"
                              "state is in the folder --state-dir; killed at any "
                              "moment, it goes on where it was.";

// Set for the program executed anew: it begins on a disk that takes no writes.
#define READ_ONLY_VARIABLE "CORTEX_MASTER_READ_ONLY"

// The pid stays, and all that whoever started this one knows of it.
static void run_anew(char **argv)
{
    reexec(argv);
    log_error("cannot execute the master anew");
}

static int run(struct master_options *options, char **argv, struct error *err)
{
    options->read_only = getenv(READ_ONLY_VARIABLE) != NULL;
    enum master_end end = master_run(options, err);

    if (end == MASTER_AILING) {
        log_error("%s: from now on only what reads is answered", err->message);
        (void)setenv(READ_ONLY_VARIABLE, "1", 1);
        run_anew(argv);
    } else if (end == MASTER_WELL) {
        log_info("the disk takes writes again");
        (void)unsetenv(READ_ONLY_VARIABLE);
        run_anew(argv);
    } else if (end == MASTER_WEDGED) {
        run_anew(argv);
    } else if (end == MASTER_FAILED) {
        log_error("%s", err->message);
    }
    return end == MASTER_LEFT ? 0 : -1;
}

static int write_state(const char *folder, struct error *err)
{
    if (export_state(folder, stdout, err) != 0) {
        log_error("%s", err->message);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *level = "info";
    int64_t ready_fd = -1;
    bool exporting = false;
    struct master_options options = {.state_folder = "/var/lib/cortex/master",
                                     .listen_url = "tcp://127.0.0.1:8790",
                                     .bridge_url = "",
                                     .lease_ms = 10000,
                                     .lost_ms = 10000};
    const struct option_row rows[] = {
        {"state-dir",
         0,
         OPTION_TEXT,
         &options.state_folder,
         "DIR",
         "where everything is kept (default /var/lib/cortex/master)",
         0,
         0},
        {"listen",
         0,
         OPTION_TEXT,
         &options.listen_url,
         "URL",
         "where to take calls (default tcp://127.0.0.1:8790)",
         0,
         0},
        {"bridge-url",
         0,
         OPTION_TEXT,
         &options.bridge_url,
         "URL",
         "base of the endpoints shown to users (default: the bridge's own)",
         0,
         0},
        {"allow-file",
         0,
         OPTION_FLAG,
         &options.allow_file,
         NULL,
         "take file:// wherever s3:// is taken",
         0,
         0},
        {"lease",
         0,
         OPTION_DURATION,
         &options.lease_ms,
         "TIME",
         "how long a batch is lent to a worker (default 10s)",
         1000,
         600000},
        {"agent-timeout",
         0,
         OPTION_DURATION,
         &options.lost_ms,
         "TIME",
         "an agent not heard of for so long is lost (default 10s)",
         1000,
         600000},
        {"ready-fd",
         0,
         OPTION_NUMBER,
         &ready_fd,
         "N",
         "write the URL to this descriptor when ready",
         0,
         1 << 20},
        {"export",
         0,
         OPTION_FLAG,
         &exporting,
         NULL,
         "write the state to standard output as JSON lines, and end; no master may run",
         0,
         0},
        {"log-level",
         0,
         OPTION_TEXT,
         &level,
         "LEVEL",
         "debug, info, warning or error (default info)",
         0,
         0},
        {0},
    };
    const struct options table = {
        "cortex-master",
        "[OPTION]...\n"
        "       cortex-master init [--address URL] [OPTION]...\n"
        "       cortex-master keys add|token|list|revoke [OPTION]...",
        summary,
        rows,
        0,
        0};
    struct error err = {0};
    int positional;
    enum log_level threshold = LOG_INFO;

    log_init("master", LOG_INFO);
    if (argc > 1 && (strcmp(argv[1], "init") == 0 || strcmp(argv[1], "keys") == 0)) {
        if (id_init() != 0) {
            log_error("there is no source of random numbers");
            return 1;
        }
        return key_command(argc - 1, argv + 1);
    }
    if (id_init() != 0 || options_parse(&table, argc, argv, &positional, &err) != 0) {
        log_error("%s", err.message);
        return 1;
    }
    if (!log_level_parse(level, &threshold)) {
        log_error("--log-level: got \"%s\", expected debug, info, warning or error",
                  level);
        return 1;
    }
    log_init("master", threshold);
    // One executed anew finds it closed, and its number may soon be another file's.
    options.ready_fd = fcntl((int)ready_fd, F_GETFD) >= 0 ? (int)ready_fd : -1;
    char *folder = fs_absolute(options.state_folder);
    options.state_folder = folder;
    int result = exporting ? write_state(folder, &err) : run(&options, argv, &err);
    // nng 1.5 cannot be taken down in a living process.
    _exit(result == 0 ? 0 : 1);
}
