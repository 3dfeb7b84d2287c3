/* SPDX-License-Identifier: Apache-2.0 */
/* ending.c - how workers end, and what is said of it */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/ending.h"
#include "agent/intake.h"
#include "agent/memory.h"
#include "common/id.h"
#include "common/pool.h"

void ending_begin(struct crew *crew, struct member *member, int64_t now_ms)
{
    member_take_log(member, true, now_ms);
    member_close_log(crew, member);
    shipper_end(&member->log, now_ms);
    setup_destroy(member->setup);
    member->setup = NULL;
    member->kill_ms = 0;
    member->phase = MEMBER_ENDING;
}

/* Whether it was killed for its memory: by us, by the kernel for its cgroup's limit,
 * or, as far as can be told, by the kernel because the machine had no more. */
static bool
was_out_of_memory(const struct crew *crew, const struct member *member, int status)
{
    return member->memory_over != 0 ||
           (member->cgroup != NULL && cgroup_ran_out_of_memory(member->cgroup)) ||
           (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
            memory_kills() > crew->memory_kills[1]);
}

/* "was killed by signal 11 (...)" and the like; the caller frees. */
static char *describe_end(const struct member *member, int status, bool memory)
{
    if (member->memory_over != 0) {
        return memory_format(
            "was killed for its memory (%llu MiB, compute.mem allows %llu MiB)",
            (unsigned long long)(member->memory_over >> 20),
            (unsigned long long)(member->memory_max >> 20));
    }
    if (memory && member->cgroup != NULL && cgroup_ran_out_of_memory(member->cgroup)) {
        return memory_format("was killed for its memory (compute.mem allows %llu MiB)",
                             (unsigned long long)(member->memory_max >> 20));
    }
    return memory ? memory_strdup("was killed by the kernel for want of memory")
                  : process_describe(status);
}

/* Why a process that did not say goodbye is gone. */
static void explain_death(struct crew *crew, struct member *member, int status)
{
    bool memory = was_out_of_memory(crew, member, status);
    char *end = describe_end(member, status, memory);
    char batch[ID_UUID_TEXT_SIZE];
    uint64_t index;
    uint64_t attempt;
    char *why;

    if (member->phase == MEMBER_STARTING) {
        why = memory_format("the worker %s before its predictor was ready", end);
    } else if (member->phase == MEMBER_CALLING) {
        why = memory_format("the worker %s: on_job_complete was interrupted", end);
    } else if (member->executing &&
               agent_batch_current(crew->agent, member->worker_id, &index, &attempt)) {
        id_batch_format(member->job_id, index, batch);
        why = memory_format("the worker %s while processing batch %s", end, batch);
    } else {
        why = memory_format("the worker %s", end);
    }
    member_log_line(member, "ERROR", why);
    if (memory) {
        member_fail(member, AGENT_FAILURE_MEMORY, why);
    } else {
        member_fail(member, member_death(member), why);
    }
    free(end);
}

void ending_reap(struct crew *crew, struct member *member, int64_t now_ms)
{
    int status;

    if (!process_reap(&member->process, &status)) {
        return;
    }
    while (intake_take(crew, member, now_ms)) {
        continue; // what it sent before it died still counts
    }
    member->executing = member->process.page[1] > member->results;
    if (!member->left && !member->stopped && member->failure == AGENT_FAILURE_NONE) {
        member_take_log(member, true, now_ms);
        explain_death(crew, member, status);
    }
    member_unwatch(crew, &member->channel_watch, member->process.channel_fd);
    member->end_watch.added = false; // closed by the reaping
    process_fini(&member->process);
    intake_end_admission(crew, member);
    buffer_fini(&member->in);
    buffer_clear(&member->out);
    member->out_at = 0;
    ending_begin(crew, member, now_ms);
}

/* What is left to be removed. */
struct remains {
    const char *state_dir;
    uint64_t worker_id;
    struct sandbox_user user;
    char *cgroup;
};

static void sweep(void *arg)
{
    struct remains *remains = arg;

    if (remains->cgroup != NULL) {
        cgroup_remove(remains->cgroup);
        free(remains->cgroup);
    }
    setup_remove_folder(remains->state_dir, remains->worker_id, &remains->user);
    free(remains);
}

static void sweep_after(struct crew *crew, struct member *member)
{
    struct remains *remains = memory_zalloc(sizeof(*remains));

    *remains = (struct remains){.state_dir = crew->options.state_dir,
                                .worker_id = member->worker_id,
                                .user = member->user,
                                .cgroup = member->cgroup};
    member->cgroup = NULL;
    pool_run(crew->sweeper, sweep, remains);
}

void ending_report(struct crew *crew, struct member *member, int64_t now_ms)
{
    enum agent_worker_failure failure = member->failure;

    member->phase = MEMBER_OVER;
    crew->gpus_used &= ~member->gpus;
    python_envs_give_back(crew->envs, &member->env);
    sweep_after(crew, member);
    agent_worker_ended(crew->agent,
                       member->worker_id,
                       failure,
                       member->why,
                       member->executing && failure != AGENT_FAILURE_NONE,
                       now_ms);
}

/* It was told to leave and what it runs at exit does not end: so it has left. */
static void make_leave(struct member *member)
{
    member_log_line(
        member, "WARNING", "the worker did not end by itself in time: killed");
    if (member->why_leave == AGENT_LEAVE_CLOSING) {
        member_log_line(
            member, "INFO", "no batches left in queue, job has been completed");
    }
    member->left = true;
}

/* Looked at once the order has surely reached the page; see runner/channel.py. */
void ending_return_unbegun(struct crew *crew,
                           struct member *member,
                           int64_t now_ms,
                           int64_t *out_wake_ms)
{
    if (!member->leaving || member->phase != MEMBER_SERVING) {
        return;
    }
    if (now_ms < member->told_ms + CREW_ORDER_MS) {
        *out_wake_ms = member->told_ms + CREW_ORDER_MS < *out_wake_ms
                           ? member->told_ms + CREW_ORDER_MS
                           : *out_wake_ms;
        return;
    }
    agent_batches_unbegun(crew->agent,
                          member->worker_id,
                          (size_t)(member->process.page[1] - member->results),
                          now_ms);
}

void ending_hurry(struct member *member, int64_t now_ms, int64_t *out_wake_ms)
{
    if (member->kill_ms == 0 && member->leaving && member->phase == MEMBER_SERVING &&
        member->process.page[1] == member->results) {
        member->kill_ms = now_ms + CREW_LEAVE_MS;
    }
    if (member->kill_ms == 0 || member->process.pid == 0) {
        return;
    }
    if (now_ms < member->kill_ms) {
        *out_wake_ms = member->kill_ms < *out_wake_ms ? member->kill_ms : *out_wake_ms;
        return;
    }
    if (member->leaving && !member->left && !member->hung_up) {
        make_leave(member);
    }
    process_kill(&member->process);
    member->kill_ms = now_ms + CREW_LEAVE_MS; // it is reaped long before
}
