/* SPDX-License-Identifier: Apache-2.0 */
/* setup.h - how a worker's project and interpreter get ready
 *
 * For each worker a thread of its own: asks the master for the job's setup, fetches and
 * unpacks the project into "<state>/workers/<worker id>/project", runs dependencies.sh,
 * makes the environment. Installers run as the worker's user, and what they leave
 * running is killed. What the steps print goes down the worker's pipe. While the master
 * is away it waits for it. The functions are for one thread, and do not block. */
#ifndef CORTEX_AGENT_SETUP_H
#define CORTEX_AGENT_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python_envs.h"
#include "agent/sandbox.h"
#include "agent/session.h"
#include "common/error.h"

struct setup;

struct setup_options {
    struct session *session;
    struct python_envs *envs;
    const char *state_dir; /* absolute; outlives the setup */
    const char *python;    /* the agent's interpreter; outlives the setup */
    uint64_t worker_id;
    uint64_t job_id;
    struct sandbox_user user;
    bool root_dependencies;    /* dependencies.sh runs as the agent */
    const char *devices;       /* CUDA_VISIBLE_DEVICES, NULL: leave it alone; copied */
    int output_fd;             /* the worker's pipe; the setup closes it */
    void (*notify)(void *arg); /* when it is done; on its thread */
    void *arg;
};

/* Closes output_fd on failure, too. */
int setup_start(const struct setup_options *options,
                struct setup **out_setup,
                struct error *err);

bool setup_done(const struct setup *setup);

/* What a setup that is done has made. Borrowed until setup_destroy. */
struct setup_result {
    struct error error; /* code OK: it went well */
    struct session_setup job;
    char *folder;            /* the project */
    const char *const *argv; /* of the runner */
    char **env;              /* of the runner, ended by NULL */
    int output_fd;           /* still open */
};
const struct setup_result *setup_result(const struct setup *setup);

/* The hold on the environment, to be given back when the worker is gone. */
struct python_env setup_take_env(struct setup *setup);

/* Of one that is done: frees it and closes output_fd. Else: makes it give up, and frees
 * it when its thread has ended. */
void setup_destroy(struct setup *setup);

/* Removes the worker's folder, and what else its user left. */
void setup_remove_folder(const char *state_dir,
                         uint64_t worker_id,
                         const struct sandbox_user *user);

/* "2020-08-07 14:44:05.557598:cortex:pid-1:INFO:<text>" and a newline, to fd. Level is
 * "INFO", "WARNING" or "ERROR". */
void setup_log(int fd, const char *level, const char *text);

#endif
