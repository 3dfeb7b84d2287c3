/* SPDX-License-Identifier: Apache-2.0 */
/* launch.c - how workers get what they need: user, devices, setup, cgroup, process */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/ending.h"
#include "agent/launch.h"
#include "agent/runner.h"

#define PIPE_SIZE (1 << 20) /* asked for; of a worker's output */
#define NO_ROOM   (1 << 20) /* a disk with less is full */

/* Takes free devices; the text for CUDA_VISIBLE_DEVICES, NULL if there are none here.
 */
static char *take_gpus(struct crew *crew, struct member *member, uint32_t count)
{
    struct buffer text = BUFFER_INIT;

    if (crew->options.gpus == 0) {
        return NULL;
    }
    buffer_add_text(&text, "");
    for (uint32_t i = 0; i < crew->options.gpus && i < CREW_GPUS_MAX && count > 0;
         i++) {
        uint64_t bit = (uint64_t)1 << i;

        if ((crew->gpus_used & bit) == 0) {
            crew->gpus_used |= bit;
            member->gpus |= bit;
            buffer_add_format(&text, text.size == 0 ? "%u" : ",%u", i);
            count--;
        }
    }
    return text.data == NULL ? memory_strdup("") : buffer_take(&text);
}

/* A user that no worker has. */
static int take_user(struct crew *crew, struct sandbox_user *out, struct error *err)
{
    struct sandbox *sandbox = crew->options.sandbox;
    struct sandbox_user user;
    bool taken = true;

    for (uint32_t i = 0; taken && i <= sandbox->last - sandbox->first; i++) {
        user = sandbox_next(sandbox);
        taken = false;
        for (const struct member *m = crew->members; user.sole && m != NULL;
             m = m->next) {
            taken = taken || m->user.uid == user.uid;
        }
    }
    if (taken) {
        return error_set(err,
                         ERROR_RESOURCE_EXHAUSTED,
                         "all users from %u to %u have a worker",
                         sandbox->first,
                         sandbox->last);
    }
    *out = user;
    return 0;
}

int launch_begin(struct crew *crew,
                 struct member *member,
                 const struct agent_desired_worker *desired,
                 struct error *err)
{
    char *devices;
    int fds[2];
    int result;

    if (take_user(crew, &member->user, err) != 0) {
        return -1;
    }
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot make a pipe");
    }
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_SIZE);
    member->log_fd = fds[0];
    devices = take_gpus(crew, member, desired->share.gpus);
    result = setup_start(
        &(struct setup_options){.session = crew->options.session,
                                .envs = crew->envs,
                                .state_dir = crew->options.state_dir,
                                .user = member->user,
                                .root_dependencies = crew->options.root_dependencies,
                                .python = crew->options.python,
                                .worker_id = member->worker_id,
                                .job_id = member->job_id,
                                .devices = devices,
                                .output_fd = fds[1],
                                .notify = crew->options.notify,
                                .arg = crew->options.arg},
        &member->setup,
        err);
    free(devices);
    return result;
}

/* Whether the machine is to blame, so that it may go well on another, or later. pip and
 * dependencies.sh do not say why they failed. */
static bool is_machines_fault(const struct crew *crew, const struct error *err)
{
    struct statvfs disk;

    return err->code == ERROR_DATA_LOSS || err->code == ERROR_RESOURCE_EXHAUSTED ||
           (statvfs(crew->options.state_dir, &disk) == 0 &&
            (disk.f_bavail * disk.f_frsize < NO_ROOM ||
             (disk.f_files > 0 && disk.f_favail == 0)));
}

void launch_fail(struct crew *crew,
                 struct member *member,
                 const struct error *err,
                 int64_t now_ms)
{
    member_take_log(member, true, now_ms);
    member_log_line(member, "ERROR", err->message);
    member_fail(member,
                is_machines_fault(crew, err) ? AGENT_FAILURE_MACHINE
                                             : AGENT_FAILURE_SETUP,
                memory_strdup(err->message));
    ending_begin(crew, member, now_ms);
}

/* A cgroup for the worker, where there are any. */
static void take_cgroup(struct crew *crew, struct member *member)
{
    struct cgroup_limits limits = {.memory_bytes = member->memory_max,
                                   .cpu_millis = member->share.cpu_millis,
                                   .processes = member->user.processes_max};
    struct error err = {0};

    if (crew->options.cgroups->folder != NULL &&
        cgroup_make(
            crew->options.cgroups, member->worker_id, &limits, &member->cgroup, &err) !=
            0) {
        member_log_line(member, "WARNING", err.message); // the other bounds hold
    }
}

void launch_process(struct crew *crew, struct member *member, int64_t now_ms)
{
    const struct setup_result *made = setup_result(member->setup);
    struct error err = {0};
    struct process_options options = {.argv = made->argv,
                                      .envp = made->env,
                                      .folder = made->folder,
                                      .output_fd = made->output_fd,
                                      .with_channel = true,
                                      .user = member->user};
    struct runner_start start = {.predictor_path = made->job.predictor_path,
                                 .python_path = made->job.python_path,
                                 .log_level = made->job.log_level,
                                 .api_config = made->job.api_config,
                                 .job_config = made->job.job_config,
                                 .job_spec = made->job.job_spec};

    if (made->error.code != ERROR_OK) {
        launch_fail(crew, member, &made->error, now_ms);
        return;
    }
    take_cgroup(crew, member);
    options.cgroup = member->cgroup;
    if (process_start(&options, &member->process, &err) != 0) {
        launch_fail(crew, member, &err, now_ms);
        return;
    }
    runner_write_start(&member->out, &start);
    member->env = setup_take_env(member->setup);
    setup_destroy(member->setup);
    member->setup = NULL;
    member->phase = MEMBER_STARTING;
    member_watch(crew, &member->end_watch, member->process.pidfd, EPOLLIN);
}
