/* SPDX-License-Identifier: Apache-2.0 */
/* member.h - what the crew knows of a worker, and what is done with its log
 *
 * For crew.c and the files that are its parts: launch, intake, ending. What a member
 * goes through is drawn in crew.h. Single-threaded. */
#ifndef CORTEX_AGENT_MEMBER_H
#define CORTEX_AGENT_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/crew.h"
#include "agent/process.h"
#include "agent/python_envs.h"
#include "agent/setup.h"
#include "agent/shipper.h"
#include "common/buffer.h"

enum member_phase {
    MEMBER_SETTING_UP,
    MEMBER_STARTING,
    MEMBER_SERVING,
    MEMBER_CALLING,
    MEMBER_ENDING,
    MEMBER_OVER
};

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
    struct setup *setup; /* MEMBER_SETTING_UP */
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
    int64_t told_ms;      /* when it was told to leave, */
    enum agent_leave why_leave; /* and why */
    struct agent_capacity share;
    char *cgroup;         /* NULL: none */
    uint64_t memory_max;  /* bytes; 0: no limit */
    uint64_t memory_over; /* bytes it used when it was killed for that; 0: it was not */
    uint64_t gpus;        /* a bit per device it has */
    char *why;            /* it failed, one line */
    struct member *next;
    enum member_phase phase;
    enum agent_worker_failure failure;
    int log_fd;
    bool sending;   /* its chunk is in the log call under way */
    bool hung_up;   /* nothing more comes from it */
    bool leaving;   /* it was told to */
    bool left;      /* it said so, or was killed when it did not */
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

/* Waits for these events of fd, or for others than before. */
void member_watch(struct crew *crew, struct watch *watch, int fd, uint32_t events);
void member_unwatch(struct crew *crew, struct watch *watch, int fd);

/* A line of the agent's own in the worker's log. */
void member_log_line(struct member *member, const char *level, const char *text);

/* Takes in what the pipe holds, up to a turn's worth; at the end of a worker even if
 * lines must be dropped for it. */
void member_take_log(struct member *member, bool at_end, int64_t now_ms);
void member_close_log(struct crew *crew, struct member *member);

/* Why it fails; the first reason counts. Takes `why`. */
void member_fail(struct member *member, enum agent_worker_failure failure, char *why);

/* What a death now counts as. */
enum agent_worker_failure member_death(const struct member *member);

#endif
