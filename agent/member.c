/* SPDX-License-Identifier: Apache-2.0 */
/* member.c - what the crew knows of a worker, and what is done with its log */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/member.h"
#include "common/clock.h"

#define PIECE_SIZE 65536

void member_watch(struct crew *crew, struct watch *watch, int fd, uint32_t events)
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

void member_unwatch(struct crew *crew, struct watch *watch, int fd)
{
    if (watch->added && fd >= 0) {
        (void)epoll_ctl(crew->options.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    }
    watch->added = false;
}

void member_log_line(struct member *member, const char *level, const char *text)
{
    char when[CLOCK_TEXT_SIZE];
    char *line;

    clock_format_log(clock_wall_ns() / 1000, when);
    line = memory_format("\x1e%s:cortex:pid-1:%s:%s\n", when, level, text);
    shipper_add(&member->log, line, strlen(line), clock_monotonic_ms());
    free(line);
}

void member_take_log(struct member *member, bool at_end, int64_t now_ms)
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

void member_close_log(struct crew *crew, struct member *member)
{
    member_unwatch(crew, &member->log_watch, member->log_fd);
    if (member->log_fd >= 0) {
        (void)close(member->log_fd);
        member->log_fd = -1;
    }
}

void member_fail(struct member *member, enum agent_worker_failure failure, char *why)
{
    if (member->failure == AGENT_FAILURE_NONE) {
        member->failure = failure;
        member->why = why;
    } else {
        free(why);
    }
}

enum agent_worker_failure member_death(const struct member *member)
{
    return member->phase == MEMBER_STARTING ? AGENT_FAILURE_SETUP : AGENT_FAILURE_DIED;
}
