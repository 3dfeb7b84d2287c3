/* SPDX-License-Identifier: Apache-2.0 */
/* crew.c - how the agent's decisions about workers become processes, and their doings
 * reports */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/crew.h"
#include "agent/memory.h"
#include "agent/process.h"
#include "agent/runner.h"
#include "agent/setup.h"
#include "agent/shipper.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/pool.h"

#define PIPE_SIZE  (1 << 20) /* asked for; of a worker's output */
#define RESEND_MS  100       /* before a log call that failed is repeated */
#define PIECE_SIZE 65536

enum phase { SETTING_UP, STARTING, SERVING, CALLING, ENDING, OVER };

struct member;

/* What an epoll event is about. */
struct watch {
    struct member *member;
    void (*handle)(struct crew *crew, struct member *member, int64_t now_ms);
    uint32_t events; /* waited for now */
    bool added;
};

struct member {
    uint64_t worker_id;
    uint64_t job_id;
    struct setup *setup; /* SETTING_UP */
    struct sandbox_user user;
    struct python_env env;
    struct process process;
    struct watch channel_watch;
    struct watch log_watch;
    struct watch end_watch;
    struct shipper log;
    struct buffer out; /* frames to the runner */
    size_t out_at;
    struct buffer in;     /* frames from it */
    struct buffer large;  /* a whole one that is large, while it is handled */
    uint64_t admitted;    /* bytes of a large one that may be received; 0: none */
    uint64_t admit_after; /* its turn among those that wait for it; 0: it does not */
    uint64_t results;     /* batches whose RESULT has come */
    char *dest;           /* dest_s3_dir, "" for none */
    int64_t kill_ms;      /* when its patience ends; 0: never */
    struct agent_capacity share;
    char *cgroup;         /* NULL: none */
    uint64_t memory_max;  /* bytes; 0: no limit */
    uint64_t memory_over; /* bytes it used when it was killed for that; 0: it was not */
    uint64_t gpus;        /* a bit per device it has */
    char *why;            /* it failed, one line */
    struct member *next;
    enum phase phase;
    enum agent_worker_failure failure;
    int log_fd;
    bool sending;    /* its chunk is in the log call under way */
    bool hung_up;    /* nothing more comes from it */
    bool leaving;    /* it was told to */
    int64_t told_ms; /* when */
    bool left;       /* it said so, or was killed when it did not */
    enum agent_leave why_leave;
    bool stopped;   /* we killed it */
    bool executing; /* it died in predict */
};

struct crew {
    struct crew_options options;
    struct agent *agent;
    struct member *members;
    struct member *dead; /* forgotten; freed when no event can name them */
    uint64_t gpus_used;
    int64_t memory_ms;        /* when to look at memory again */
    uint64_t memory_kills[2]; /* the kernel's count, at the last look and before it */
    uint64_t admitted;        /* bytes of large frames that are being received */
    uint64_t waiting;         /* turns given */
    bool shipping;
    int64_t ship_after_ms;
    bool busy;
    struct python_envs *envs;
    struct pool *sweeper; /* removes folders */
};

static struct member *find_member(struct crew *crew, uint64_t worker_id)
{
    struct member *member = crew->members;

    while (member != NULL && member->worker_id != worker_id) {
        member = member->next;
    }
    return member;
}

/* --- epoll ------------------------------------------------------------------------ */

static void watch_fd(struct crew *crew, struct watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (fd < 0 || (watch->added && watch->events == events)) {
        return;
    }
    (void)epoll_ctl(crew->options.epoll_fd,
                    watch->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                    fd,
                    &event);
    watch->added = true;
    watch->events = events;
}

static void unwatch_fd(struct crew *crew, struct watch *watch, int fd)
{
    if (watch->added && fd >= 0) {
        (void)epoll_ctl(crew->options.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    }
    watch->added = false;
}

/* --- the log ---------------------------------------------------------------------- */

/* A line of the agent's own in the worker's log. */
static void log_line(struct member *member, const char *level, const char *text)
{
    char when[CLOCK_TEXT_SIZE];
    char *line;

    clock_format_log(clock_wall_ns() / 1000, when);
    line = memory_format("\x1e%s:cortex:pid-1:%s:%s\n", when, level, text);
    shipper_add(&member->log, line, strlen(line), clock_monotonic_ms());
    free(line);
}

/* Takes in what the pipe holds, up to a turn's worth; at the end of a worker even if
 * lines must be dropped for it. */
static void take_log(struct member *member, bool at_end, int64_t now_ms)
{
    char piece[PIECE_SIZE];
    int64_t wake_ms = INT64_MAX;
    size_t taken = 0;

    while (member->log_fd >= 0 && taken < CREW_IN_MAX &&
           (at_end || shipper_accepts(&member->log, now_ms, &wake_ms))) {
        ssize_t got = read(member->log_fd, piece, sizeof(piece));

        if (got <= 0) {
            break; // empty, or nobody can write any more
        }
        shipper_add(&member->log, piece, (size_t)got, now_ms);
        taken += (size_t)got;
    }
}

static void read_log(struct crew *crew, struct member *member, int64_t now_ms)
{
    (void)crew; // one form for all handlers
    take_log(member, false, now_ms);
}

static void close_log(struct crew *crew, struct member *member)
{
    unwatch_fd(crew, &member->log_watch, member->log_fd);
    if (member->log_fd >= 0) {
        (void)close(member->log_fd);
        member->log_fd = -1;
    }
}

/* --- frames from the runner ------------------------------------------------------- */

static void fail(struct member *member, enum agent_worker_failure failure, char *why)
{
    if (member->failure == AGENT_FAILURE_NONE) {
        member->failure = failure;
        member->why = why;
    } else {
        free(why);
    }
}

/* What a death now counts as. */
static enum agent_worker_failure death_of(const struct member *member)
{
    return member->phase == STARTING ? AGENT_FAILURE_SETUP : AGENT_FAILURE_DIED;
}

/* A runner of ours does not do that: the predictor has got at its descriptors. */
static void mistrust(struct member *member, const char *what)
{
    log_line(member, "ERROR", what);
    fail(member, death_of(member), memory_strdup(what));
    process_kill(&member->process);
}

static void take_result(struct crew *crew,
                        struct member *member,
                        const struct runner_frame *frame,
                        int64_t now_ms)
{
    bool failed = frame->status == RUNNER_FAILED;
    bool storing = frame->status == RUNNER_VALUE && member->dest[0] != '\0';
    struct hand_end end = {.outcome = failed ? HAND_FAILED : HAND_SUCCEEDED,
                           .storing = storing,
                           .start_ms = frame->start_ms,
                           .duration_us = frame->duration_us,
                           .log_mark = member->log.mark};
    char *error = failed ? memory_strndup(frame->text, frame->text_size) : NULL;
    uint64_t index;
    uint64_t attempt;

    end.error = error;
    if (!agent_batch_current(crew->agent, member->worker_id, &index, &attempt)) {
        if (!member->stopped) {
            mistrust(member, "the runner ended a batch that it was not given");
        }
        free(error);
        return;
    }
    member->results++;
    crew->busy = true;
    agent_batch_ended(crew->agent, member->worker_id, &end, now_ms);
    if (storing) {
        bool large = member->large.data != NULL;

        output_start(crew->options.output,
                     &(struct output_result){
                         .dest = member->dest,
                         .worker_id = member->worker_id,
                         .job_id = member->job_id,
                         .index = index,
                         .attempt = attempt,
                         .data = frame->text,
                         .size = frame->text_size,
                         .memory = large ? buffer_take(&member->large) : NULL});
    }
    free(error);
}

static void take_frame(struct crew *crew,
                       struct member *member,
                       const struct runner_frame *frame,
                       int64_t now_ms)
{
    switch (frame->type) {
    case RUNNER_READY:
        if (member->phase == STARTING) {
            member->phase = SERVING;
            free(member->dest);
            member->dest = memory_strndup(frame->text, frame->text_size);
            agent_worker_ready(crew->agent,
                               member->worker_id,
                               frame->flag,
                               (uint32_t)member->process.pid,
                               now_ms);
        }
        break;
    case RUNNER_SETUP_FAILED:
        fail(member,
             frame->flag ? AGENT_FAILURE_MEMORY : AGENT_FAILURE_SETUP,
             memory_strndup(frame->text, frame->text_size));
        member->kill_ms = now_ms + CREW_LEAVE_MS;
        break;
    case RUNNER_RESULT:
        take_result(crew, member, frame, now_ms);
        break;
    case RUNNER_COMPLETED:
        if (member->phase == CALLING) {
            member->phase = SERVING;
            agent_worker_completed(crew->agent, member->worker_id, now_ms);
        }
        break;
    case RUNNER_COMPLETE_FAILED:
        fail(member,
             AGENT_FAILURE_CALLBACK,
             memory_strndup(frame->text, frame->text_size));
        member->kill_ms = now_ms + CREW_LEAVE_MS;
        break;
    case RUNNER_LEFT:
        member->left = true;
        member->kill_ms = now_ms + CREW_LEAVE_MS;
        break;
    default:
        break; // runner_read lets no other through
    }
}

static bool is_first_in_line(const struct crew *crew, const struct member *member)
{
    for (const struct member *m = crew->members; m != NULL; m = m->next) {
        if (m->admit_after != 0 && m->admit_after < member->admit_after) {
            return false;
        }
    }
    return true;
}

/* Whether more may be received from it: a large frame waits until there is room. */
static bool admit(struct crew *crew, struct member *member)
{
    uint64_t size = runner_peek(&member->in);
    uint64_t used = crew->admitted + output_large_bytes(crew->options.output);

    if (size <= CREW_IN_MAX || member->admitted != 0 || size > RUNNER_FRAME_MAX) {
        return true; // what is too large is refused when it is read
    }
    if (member->admit_after == 0) {
        member->admit_after = ++crew->waiting;
    }
    if (!is_first_in_line(crew, member) || (used > 0 && used + size > CREW_LARGE_MAX)) {
        return false;
    }
    member->admit_after = 0;
    member->admitted = size;
    crew->admitted += size;
    return true;
}

/* The large frame is whole, or will never be. */
static void end_admission(struct crew *crew, struct member *member)
{
    crew->admitted -= member->admitted;
    member->admitted = 0;
    member->admit_after = 0;
}

/* Keeps a large frame's memory apart from what came behind it, so that it need not be
 * copied. */
static void keep_apart(struct crew *crew, struct member *member, size_t *at)
{
    struct buffer rest = BUFFER_INIT;

    buffer_add(&rest, member->in.data + *at, member->in.size - *at);
    member->large = member->in;
    member->in = rest;
    *at = 0;
    end_admission(crew, member);
}

/* Reads what the socket holds, up to a turn's worth; false if that is nothing. */
static bool receive(struct member *member)
{
    size_t before = member->in.size;

    while (member->in.size - before < CREW_IN_MAX) {
        char *to = buffer_reserve(&member->in, PIECE_SIZE);
        ssize_t n = recv(member->process.channel_fd, to, PIECE_SIZE, MSG_DONTWAIT);

        if (n <= 0) {
            member->hung_up = n == 0 || (errno != EAGAIN && errno != EINTR);
            break;
        }
        member->in.size += (size_t)n;
    }
    return member->in.size > before;
}

/* Reads frames and handles those that are whole. The log is read in between: what was
 * printed before a frame was sent is in it then. */
static bool take_frames(struct crew *crew, struct member *member, int64_t now_ms)
{
    struct runner_frame frame = {0};
    struct error err = {0};
    size_t at = 0;
    int got;

    if (!admit(crew, member) || !receive(member)) {
        return false;
    }
    take_log(member, false, now_ms);
    while ((got = runner_read(&member->in, &at, &frame, &err)) == 1) {
        if (member->admitted != 0) {
            keep_apart(crew, member, &at);
        }
        take_frame(crew, member, &frame, now_ms);
        buffer_fini(&member->large);
    }
    buffer_drop_front(&member->in, at);
    if (got < 0) {
        mistrust(member, err.message);
        buffer_clear(&member->in);
    }
    return true;
}

static void read_channel(struct crew *crew, struct member *member, int64_t now_ms)
{
    (void)take_frames(crew, member, now_ms);
    if (member->hung_up) {
        // It is ending, or the predictor has closed our socket: without it, it must.
        unwatch_fd(crew, &member->channel_watch, member->process.channel_fd);
        if (member->kill_ms == 0) {
            member->kill_ms = now_ms + CREW_LEAVE_MS;
        }
    }
}

/* --- the end of a process --------------------------------------------------------- */

static void begin_end(struct crew *crew, struct member *member, int64_t now_ms)
{
    take_log(member, true, now_ms);
    close_log(crew, member);
    shipper_end(&member->log, now_ms);
    setup_destroy(member->setup);
    member->setup = NULL;
    member->kill_ms = 0;
    member->phase = ENDING;
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

    if (member->phase == STARTING) {
        why = memory_format("the worker %s before its predictor was ready", end);
    } else if (member->phase == CALLING) {
        why = memory_format("the worker %s: on_job_complete was interrupted", end);
    } else if (member->executing &&
               agent_batch_current(crew->agent, member->worker_id, &index, &attempt)) {
        id_batch_format(member->job_id, index, batch);
        why = memory_format("the worker %s while processing batch %s", end, batch);
    } else {
        why = memory_format("the worker %s", end);
    }
    log_line(member, "ERROR", why);
    if (memory) {
        fail(member, AGENT_FAILURE_MEMORY, why);
    } else {
        fail(member, death_of(member), why);
    }
    free(end);
}

static void handle_end(struct crew *crew, struct member *member, int64_t now_ms)
{
    int status;

    if (!process_reap(&member->process, &status)) {
        return;
    }
    while (take_frames(crew, member, now_ms)) {
        continue; // what it sent before it died still counts
    }
    member->executing = member->process.page[1] > member->results;
    if (!member->left && !member->stopped && member->failure == AGENT_FAILURE_NONE) {
        take_log(member, true, now_ms);
        explain_death(crew, member, status);
    }
    unwatch_fd(crew, &member->channel_watch, member->process.channel_fd);
    member->end_watch.added = false; // closed by the reaping
    process_fini(&member->process);
    end_admission(crew, member);
    buffer_fini(&member->in);
    buffer_clear(&member->out);
    member->out_at = 0;
    begin_end(crew, member, now_ms);
}

/* --- effects ---------------------------------------------------------------------- */

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

static int begin_setup(struct crew *crew,
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

static void fail_setup(struct crew *crew,
                       struct member *member,
                       const struct error *err,
                       int64_t now_ms)
{
    take_log(member, true, now_ms);
    log_line(member, "ERROR", err->message);
    fail(member, AGENT_FAILURE_SETUP, memory_strdup(err->message));
    begin_end(crew, member, now_ms);
}

static void crew_start(void *arg, const struct agent_desired_worker *desired)
{
    struct crew *crew = arg;
    struct member *member = memory_zalloc(sizeof(*member));
    struct error err = {0};

    member->worker_id = desired->worker_id;
    member->job_id = desired->job_id;
    member->share = desired->share;
    member->memory_max = desired->share.memory_bytes;
    member->phase = SETTING_UP;
    member->dest = memory_strdup("");
    member->log_fd = -1;
    member->process = (struct process){.pidfd = -1, .channel_fd = -1};
    member->channel_watch = (struct watch){.member = member, .handle = read_channel};
    member->log_watch = (struct watch){.member = member, .handle = read_log};
    member->end_watch = (struct watch){.member = member, .handle = handle_end};
    member->next = crew->members;
    crew->members = member;
    if (begin_setup(crew, member, desired, &err) != 0) {
        fail_setup(crew, member, &err, clock_monotonic_ms());
    }
}

static void crew_feed(void *arg, const struct agent_feed *batch)
{
    struct crew *crew = arg;
    struct member *member = find_member(crew, batch->worker_id);
    char id[ID_UUID_TEXT_SIZE];

    if (member == NULL || member->phase != SERVING) {
        return; // it is dying: the batch goes back with the others
    }
    crew->busy = true;
    id_batch_format(batch->job_id, batch->index, id);
    runner_write_batch(&member->out, id, batch->payload, batch->size);
}

static void crew_complete(void *arg, uint64_t worker_id)
{
    struct member *member = find_member(arg, worker_id);

    if (member != NULL && member->phase == SERVING) {
        member->phase = CALLING;
        runner_write_complete(&member->out);
    }
}

static void crew_drain(void *arg, uint64_t worker_id, enum agent_leave why)
{
    struct member *member = find_member(arg, worker_id);

    if (member != NULL && member->phase == SERVING && member->process.page != NULL) {
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

    if (member == NULL || member->phase >= ENDING) {
        return;
    }
    member->stopped = true;
    if (member->phase == SETTING_UP) {
        begin_end(crew, member, clock_monotonic_ms());
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
        log_line(member, "WARNING", err.message); // the other bounds hold
    }
}

static void start_process(struct crew *crew, struct member *member, int64_t now_ms)
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
        fail_setup(crew, member, &made->error, now_ms);
        return;
    }
    take_cgroup(crew, member);
    options.cgroup = member->cgroup;
    if (process_start(&options, &member->process, &err) != 0) {
        fail_setup(crew, member, &err, now_ms);
        return;
    }
    runner_write_start(&member->out, &start);
    member->env = setup_take_env(member->setup);
    setup_destroy(member->setup);
    member->setup = NULL;
    member->phase = STARTING;
    watch_fd(crew, &member->end_watch, member->process.pidfd, EPOLLIN);
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

static void report_end(struct crew *crew, struct member *member, int64_t now_ms)
{
    enum agent_worker_failure failure = member->failure;

    member->phase = OVER;
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
    bool room =
        admit(crew, member) && (member->admitted != 0 ||
                                output_bytes(crew->options.output) < CREW_STORING_MAX);
    uint32_t channel = (room ? EPOLLIN : 0u) | (member->out.size > 0 ? EPOLLOUT : 0u);

    if (!member->hung_up) {
        watch_fd(crew, &member->channel_watch, member->process.channel_fd, channel);
    }
    if (shipper_accepts(&member->log, now_ms, out_wake_ms)) {
        watch_fd(crew, &member->log_watch, member->log_fd, EPOLLIN);
    } else {
        unwatch_fd(crew, &member->log_watch, member->log_fd);
    }
}

/* It was told to leave and what it runs at exit does not end: so it has left. */
static void make_leave(struct member *member)
{
    log_line(member, "WARNING", "the worker did not end by itself in time: killed");
    if (member->why_leave == AGENT_LEAVE_CLOSING) {
        log_line(member, "INFO", "no batches left in queue, job has been completed");
    }
    member->left = true;
}

/* What it has not begun need not wait for the end of what it has. Looked at once the
 * order has surely reached the page; see runner/channel.py. */
static void return_unbegun(struct crew *crew,
                           struct member *member,
                           int64_t now_ms,
                           int64_t *out_wake_ms)
{
    if (!member->leaving || member->phase != SERVING) {
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

/* Patience begins when nothing of the job's is left to do. */
static void end_patience(struct member *member, int64_t now_ms, int64_t *out_wake_ms)
{
    if (member->kill_ms == 0 && member->leaving && member->phase == SERVING &&
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

static void turn_member(struct crew *crew,
                        struct member *member,
                        int64_t now_ms,
                        int64_t *out_wake_ms)
{
    if (member->phase == SETTING_UP && setup_done(member->setup)) {
        start_process(crew, member, now_ms);
    }
    return_unbegun(crew, member, now_ms, out_wake_ms);
    end_patience(member, now_ms, out_wake_ms);
    if (member->phase == ENDING && shipper_done(&member->log)) {
        report_end(crew, member, now_ms);
    }
    if (member->phase < ENDING) {
        send_frames(member);
        set_watches(crew, member, now_ms, out_wake_ms);
    }
}

/* --- memory -------------------------------------------------------------------------
 */

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
        bool lives = m->process.pid > 0 && m->phase < ENDING;

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
        if (failed && member != NULL && member->phase < ENDING) {
            char batch[ID_UUID_TEXT_SIZE];
            char *line;

            id_batch_format(end.job_id, end.index, batch);
            line = memory_format(
                "failed storing the result of batch %s: %s", batch, end.error.message);
            log_line(member, "ERROR", line);
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
        close_log(crew, member);
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

    if (!watch->added || member->phase >= ENDING) {
        return;
    }
    if (watch == &member->channel_watch && (events & ~(uint32_t)EPOLLOUT) == 0) {
        return; // crew_turn sends
    }
    if (watch == &member->log_watch && (events & EPOLLIN) == 0) {
        // Nobody can write any more, so nothing can come.
        close_log(crew, member);
        return;
    }
    if (watch == &member->channel_watch && (events & (EPOLLHUP | EPOLLERR)) != 0 &&
        !admit(crew, member)) {
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
        bool hurry = m->phase >= ENDING || agent_worker_idle(crew->agent, m->worker_id);

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
        if ((m->phase == SERVING || m->phase == CALLING) && m->process.pid > 0) {
            (void)kill(m->process.pid, SIGQUIT);
        }
    }
}

bool crew_finished(const struct crew *crew)
{
    for (const struct member *m = crew->members; m != NULL; m = m->next) {
        if (m->phase < OVER) {
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
