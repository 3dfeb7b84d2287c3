/* SPDX-License-Identifier: Apache-2.0 */
/* crew.c - how the agent's decisions about workers become processes, and their doings
 * reports */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/crew.h"
#include "agent/ending.h"
#include "agent/intake.h"
#include "agent/launch.h"
#include "agent/member.h"
#include "agent/memory.h"
#include "agent/runner.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/pool.h"

#define RESEND_MS 100 /* before a log call that failed is repeated */

static struct member *find_member(struct crew *crew, uint64_t worker_id)
{
    struct member *member = crew->members;

    while (member != NULL && member->worker_id != worker_id) {
        member = member->next;
    }
    return member;
}

static void read_log(struct crew *crew, struct member *member, int64_t now_ms)
{
    (void)crew; // one form for all handlers
    member_take_log(member, false, now_ms);
}

/* --- effects ---------------------------------------------------------------------- */

static void crew_start(void *arg, const struct agent_desired_worker *desired)
{
    struct crew *crew = arg;
    struct member *member = memory_zalloc(sizeof(*member));
    struct error err = {0};

    member->worker_id = desired->worker_id;
    member->job_id = desired->job_id;
    member->share = desired->share;
    member->memory_max = desired->share.memory_bytes;
    member->phase = MEMBER_SETTING_UP;
    member->dest = memory_strdup("");
    member->log_fd = -1;
    member->process = (struct process){.pidfd = -1, .channel_fd = -1};
    member->channel_watch = (struct watch){.member = member, .handle = intake_read};
    member->log_watch = (struct watch){.member = member, .handle = read_log};
    member->end_watch = (struct watch){.member = member, .handle = ending_reap};
    member->next = crew->members;
    crew->members = member;
    if (launch_begin(crew, member, desired, &err) != 0) {
        launch_fail(crew, member, &err, clock_monotonic_ms());
    }
}

static void crew_feed(void *arg, const struct agent_feed *batch)
{
    struct crew *crew = arg;
    struct member *member = find_member(crew, batch->worker_id);
    char id[ID_UUID_TEXT_SIZE];

    if (member == NULL || member->phase != MEMBER_SERVING) {
        return; // it is dying: the batch goes back with the others
    }
    crew->busy = true;
    id_batch_format(batch->job_id, batch->index, id);
    runner_write_batch(&member->out, id, batch->payload, batch->size);
}

static void crew_complete(void *arg, uint64_t worker_id)
{
    struct member *member = find_member(arg, worker_id);

    if (member != NULL && member->phase == MEMBER_SERVING) {
        member->phase = MEMBER_CALLING;
        runner_write_complete(&member->out);
    }
}

static void crew_drain(void *arg, uint64_t worker_id, enum agent_leave why)
{
    struct member *member = find_member(arg, worker_id);

    if (member != NULL && member->phase == MEMBER_SERVING &&
        member->process.page != NULL) {
        member->leaving = true;
        member->told_ms = clock_monotonic_ms();
        member->why_leave = why;
        member->process.page[0] = 1; // overtakes the batches on their way
        runner_write_leave(&member->out, (uint8_t)why);
    }
}

static void crew_stop(void *arg, uint64_t worker_id)
{
    struct crew *crew = arg;
    struct member *member = find_member(crew, worker_id);

    if (member == NULL || member->phase >= MEMBER_ENDING) {
        return;
    }
    member->stopped = true;
    if (member->phase == MEMBER_SETTING_UP) {
        ending_begin(crew, member, clock_monotonic_ms());
    } else {
        process_kill(&member->process);
    }
}

static void crew_forget(void *arg, uint64_t worker_id)
{
    struct crew *crew = arg;
    struct member **at = &crew->members;

    while (*at != NULL) {
        struct member *member = *at;

        if (member->worker_id == worker_id) {
            *at = member->next;
            member->next = crew->dead;
            crew->dead = member;
            return;
        }
        at = &member->next;
    }
}

const struct agent_effects crew_effects = {
    .start = crew_start,
    .feed = crew_feed,
    .complete = crew_complete,
    .drain = crew_drain,
    .stop = crew_stop,
    .forget = crew_forget,
};

/* --- a turn ----------------------------------------------------------------------- */

static void send_frames(struct member *member)
{
    while (member->out_at < member->out.size) {
        ssize_t sent = send(member->process.channel_fd,
                            member->out.data + member->out_at,
                            member->out.size - member->out_at,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                member->out_at = member->out.size; // it is dying
            }
            break;
        }
        member->out_at += (size_t)sent;
    }
    if (member->out_at == member->out.size) {
        buffer_clear(&member->out);
        member->out_at = 0;
    }
}

static void set_watches(struct crew *crew,
                        struct member *member,
                        int64_t now_ms,
                        int64_t *out_wake_ms)
{
    bool room = intake_admits(crew, member) &&
                (member->admitted != 0 ||
                 output_bytes(crew->options.output) < CREW_STORING_MAX);
    uint32_t channel = (room ? EPOLLIN : 0u) | (member->out.size > 0 ? EPOLLOUT : 0u);

    if (!member->hung_up) {
        member_watch(crew, &member->channel_watch, member->process.channel_fd, channel);
    }
    if (shipper_accepts(&member->log, now_ms, out_wake_ms)) {
        member_watch(crew, &member->log_watch, member->log_fd, EPOLLIN);
    } else {
        member_unwatch(crew, &member->log_watch, member->log_fd);
    }
}

static void turn_member(struct crew *crew,
                        struct member *member,
                        int64_t now_ms,
                        int64_t *out_wake_ms)
{
    if (member->phase == MEMBER_SETTING_UP && setup_done(member->setup)) {
        launch_process(crew, member, now_ms);
    }
    ending_return_unbegun(crew, member, now_ms, out_wake_ms);
    ending_hurry(member, now_ms, out_wake_ms);
    if (member->phase == MEMBER_ENDING && shipper_done(&member->log)) {
        ending_report(crew, member, now_ms);
    }
    if (member->phase < MEMBER_ENDING) {
        send_frames(member);
        set_watches(crew, member, now_ms, out_wake_ms);
    }
}

/* --- memory ----------------------------------------------------------------------- */

/* Kills who is over its limit. */
static void judge(struct crew *crew, const struct memory_use *uses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct member *member = crew->members;

        while (member != NULL && member->process.pid != uses[i].session) {
            member = member->next;
        }
        if (member != NULL && uses[i].bytes > uses[i].max_bytes) {
            member->memory_over = uses[i].bytes;
            process_kill(&member->process);
        }
    }
}

static void look_at_memory(struct crew *crew, int64_t now_ms, int64_t *out_wake_ms)
{
    struct memory_use uses[AGENT_WORKERS_MAX];
    size_t count = 0;
    bool any = false;

    for (const struct member *m = crew->members; m != NULL; m = m->next) {
        bool lives = m->process.pid > 0 && m->phase < MEMBER_ENDING;

        any = any || lives;
        if (lives && m->memory_max != 0 && m->memory_over == 0 &&
            !(m->cgroup != NULL && crew->options.cgroups->memory) &&
            count < AGENT_WORKERS_MAX) {
            uses[count++] = (struct memory_use){.session = m->process.pid,
                                                .uid = m->user.sole ? m->user.uid : 0,
                                                .max_bytes = m->memory_max};
        }
    }
    if (any && now_ms >= crew->memory_ms) {
        crew->memory_kills[1] = crew->memory_kills[0];
        crew->memory_kills[0] = memory_kills();
        if (count > 0) {
            memory_measure(uses, count);
            judge(crew, uses, count);
        }
        crew->memory_ms = now_ms + CREW_MEMORY_MS;
    }
    if (any && crew->memory_ms < *out_wake_ms) {
        *out_wake_ms = crew->memory_ms;
    }
}

static void take_uploads(struct crew *crew, int64_t now_ms)
{
    struct output_end end;

    while (output_next(crew->options.output, &end)) {
        struct member *member = find_member(crew, end.worker_id);
        bool failed = end.error.code != ERROR_OK;

        crew->busy = true;
        if (failed && member != NULL && member->phase < MEMBER_ENDING) {
            char batch[ID_UUID_TEXT_SIZE];
            char *line;

            id_batch_format(end.job_id, end.index, batch);
            line = memory_format(
                "failed storing the result of batch %s: %s", batch, end.error.message);
            member_log_line(member, "ERROR", line);
            free(line);
        }
        agent_batch_stored(crew->agent,
                           end.worker_id,
                           end.attempt,
                           failed ? end.error.message : NULL,
                           now_ms);
    }
}

static void free_dead(struct crew *crew)
{
    while (crew->dead != NULL) {
        struct member *member = crew->dead;

        crew->dead = member->next;
        member_close_log(crew, member);
        process_fini(&member->process);
        shipper_fini(&member->log);
        buffer_fini(&member->in);
        buffer_fini(&member->out);
        free(member->dest);
        free(member->why);
        free(member);
    }
}

void crew_turn(struct crew *crew, int64_t now_ms, int64_t *out_wake_ms)
{
    take_uploads(crew, now_ms);
    for (struct member *m = crew->members, *next; m != NULL; m = next) {
        next = m->next;
        turn_member(crew, m, now_ms, out_wake_ms);
    }
    look_at_memory(crew, now_ms, out_wake_ms);
    free_dead(crew);
}

void crew_event(struct crew *crew, void *data, uint32_t events, int64_t now_ms)
{
    struct watch *watch = data;
    struct member *member = watch->member;

    if (!watch->added || member->phase >= MEMBER_ENDING) {
        return;
    }
    if (watch == &member->channel_watch && (events & ~(uint32_t)EPOLLOUT) == 0) {
        return; // crew_turn sends
    }
    if (watch == &member->log_watch && (events & EPOLLIN) == 0) {
        // Nobody can write any more, so nothing can come.
        member_close_log(crew, member);
        return;
    }
    if (watch == &member->channel_watch && (events & (EPOLLHUP | EPOLLERR)) != 0 &&
        !intake_admits(crew, member)) {
        member->hung_up = true; // it cannot send what its large frame lacks
    }
    watch->handle(crew, member, now_ms);
}

/* --- shipping --------------------------------------------------------------------- */

void crew_ship(struct crew *crew, int64_t now_ms, int64_t *out_wake_ms)
{
    struct session_log_chunk chunks[SESSION_LOG_CHUNKS];
    size_t count = 0;
    size_t bytes = 0;

    if (crew->shipping ||
        session_phase(crew->options.session, SESSION_FILES) != SESSION_IDLE) {
        return;
    }
    if (now_ms < crew->ship_after_ms) {
        *out_wake_ms =
            crew->ship_after_ms < *out_wake_ms ? crew->ship_after_ms : *out_wake_ms;
        return;
    }
    for (struct member *m = crew->members;
         m != NULL && count < SESSION_LOG_CHUNKS && bytes < SESSION_LOG_BYTES;
         m = m->next) {
        bool hurry =
            m->phase >= MEMBER_ENDING || agent_worker_idle(crew->agent, m->worker_id);

        if (shipper_due(&m->log, hurry, now_ms, out_wake_ms)) {
            const struct buffer *chunk = shipper_chunk(&m->log, now_ms);

            chunks[count++] = (struct session_log_chunk){.job_id = m->job_id,
                                                         .worker_id = m->worker_id,
                                                         .sequence = m->log.sequence,
                                                         .data = chunk->data,
                                                         .size = chunk->size};
            bytes += chunk->size;
            m->sending = true;
        }
    }
    if (count > 0) {
        crew->shipping = true;
        session_log_start(crew->options.session, chunks, count);
    }
}

void crew_shipped(struct crew *crew, const struct error *err, int64_t now_ms)
{
    // What can be told again is; what the master refuses for good is given up.
    bool again = err != NULL && (error_code_retryable(err->code) ||
                                 err->code == ERROR_FAILED_PRECONDITION);

    crew->shipping = false;
    crew->ship_after_ms = again ? now_ms + RESEND_MS : 0;
    for (struct member *m = crew->members; m != NULL; m = m->next) {
        if (m->sending && !again) {
            shipper_acknowledge(&m->log);
            agent_log_shipped(crew->agent, m->worker_id, m->log.shipped);
        }
        m->sending = false;
    }
}

/* --- the rest --------------------------------------------------------------------- */

bool crew_was_busy(struct crew *crew)
{
    bool busy = crew->busy;

    crew->busy = false;
    return busy;
}

void crew_dump(struct crew *crew)
{
    for (struct member *m = crew->members; m != NULL; m = m->next) {
        if ((m->phase == MEMBER_SERVING || m->phase == MEMBER_CALLING) &&
            m->process.pid > 0) {
            (void)kill(m->process.pid, SIGQUIT);
        }
    }
}

bool crew_finished(const struct crew *crew)
{
    for (const struct member *m = crew->members; m != NULL; m = m->next) {
        if (m->phase < MEMBER_OVER) {
            return false;
        }
    }
    return true;
}

int crew_create(const struct crew_options *options,
                struct crew **out_crew,
                struct error *err)
{
    struct crew *crew = memory_zalloc(sizeof(*crew));
    char *envs = fs_join(options->state_dir, "envs");

    crew->options = *options;
    crew->memory_kills[0] = memory_kills();
    crew->memory_kills[1] = crew->memory_kills[0];
    crew->envs = python_envs_create(envs, options->env_size_max);
    free(envs);
    if (pool_create(1, &crew->sweeper, err) != 0) {
        python_envs_destroy(crew->envs);
        free(crew);
        return -1;
    }
    *out_crew = crew;
    return 0;
}

void crew_set_agent(struct crew *crew, struct agent *agent)
{
    crew->agent = agent;
}
