/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.h - what is to be done once the decisions are on disk
 *
 * Handlers never act: they put actions here. The loop carries them out after the
 * commit, in order, and drops them all if there was none (the simulator does the same
 * with its own means). The loop's thread only. */
#ifndef CORTEX_MASTER_OUTBOX_H
#define CORTEX_MASTER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "common/error.h"
#include "master/segment.h"

enum action_type {
    ACTION_REPLY,          /* call, message */
    ACTION_WORK_REPLY,     /* call, message, stretches: their payloads are attached */
    ACTION_FAIL,           /* call, error, retry_after_ms */
    ACTION_ENQUEUE,        /* job_id, last: start, or go on behind that segment */
    ACTION_ENQUEUE_CANCEL, /* job_id */
    ACTION_LOG,            /* job_id, text: lines for the job's log */
    ACTION_JOB_CLOSE,      /* job_id: it is over and its workers have left */
    ACTION_LOG_READ,       /* call (a ReadLog), job_id, closed */
    ACTION_LOG_APPEND,     /* call (an AppendLog) */
    ACTION_PROJECT_READ,   /* call (a GetProject) */
    ACTION_PAYLOAD_READ,   /* call (a GetPayload), one stretch of one batch */
    ACTION_FORGET_JOB,     /* job_id: unlink its segments and log */
    ACTION_DEAD_LETTER,    /* job_id, one stretch of one batch, text: the queue's ARN,
                              api_name */
};

/* A run of batches in one segment, to be read and sent. */
struct stretch {
    uint64_t job_id;
    struct payload_segment segment;
    uint64_t first_index;
    uint32_t count;
};

struct action {
    struct action *next;
    enum action_type type;
    void *call;
    ProtobufCMessage *message; /* owned */
    struct error *error;       /* owned */
    uint32_t retry_after_ms;
    uint64_t job_id;
    char *text;     /* owned */
    char *api_name; /* owned */
    bool closed;
    struct segment *last;      /* owned; NULL: from the start */
    struct stretch *stretches; /* owned */
    size_t stretch_count;
};

struct outbox {
    struct action *first;
    struct action **last; /* NULL while empty */
};

/* Adds an empty action of the type; fill it at once. */
struct action *outbox_add(struct outbox *outbox, enum action_type type);

/* The first one, which the caller owns from then on; NULL if there is none. */
struct action *outbox_take(struct outbox *outbox);

void action_free(struct action *action);

#endif
