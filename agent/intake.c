/* SPDX-License-Identifier: Apache-2.0 */
/* intake.c - what runners say, and how much of it the agent takes in at a time */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/intake.h"
#include "agent/runner.h"

#define PIECE_SIZE 65536

/* A runner of ours does not do that: the predictor has got at its descriptors. */
static void mistrust(struct member *member, const char *what)
{
    member_log_line(member, "ERROR", what);
    member_fail(member, member_death(member), memory_strdup(what));
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
        if (member->phase == MEMBER_STARTING) {
            member->phase = MEMBER_SERVING;
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
        member_fail(member,
                    frame->flag ? AGENT_FAILURE_MEMORY : AGENT_FAILURE_SETUP,
                    memory_strndup(frame->text, frame->text_size));
        member->kill_ms = now_ms + CREW_LEAVE_MS;
        break;
    case RUNNER_RESULT:
        take_result(crew, member, frame, now_ms);
        break;
    case RUNNER_COMPLETED:
        if (member->phase == MEMBER_CALLING) {
            member->phase = MEMBER_SERVING;
            agent_worker_completed(crew->agent, member->worker_id, now_ms);
        }
        break;
    case RUNNER_COMPLETE_FAILED:
        member_fail(member,
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

bool intake_admits(struct crew *crew, struct member *member)
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

void intake_end_admission(struct crew *crew, struct member *member)
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
    intake_end_admission(crew, member);
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

/* The log is read in between: what was printed before a frame was sent is in it then.
 */
bool intake_take(struct crew *crew, struct member *member, int64_t now_ms)
{
    struct runner_frame frame = {0};
    struct error err = {0};
    size_t at = 0;
    int got;

    if (!intake_admits(crew, member) || !receive(member)) {
        return false;
    }
    member_take_log(member, false, now_ms);
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

void intake_read(struct crew *crew, struct member *member, int64_t now_ms)
{
    (void)intake_take(crew, member, now_ms);
    if (member->hung_up) {
        // It is ending, or the predictor has closed our socket: without it, it must.
        member_unwatch(crew, &member->channel_watch, member->process.channel_fd);
        if (member->kill_ms == 0) {
            member->kill_ms = now_ms + CREW_LEAVE_MS;
        }
    }
}
