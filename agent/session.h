/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - how what the agent decides travels to the master and back
 *
 * Three conversations, each with a connection and a thread of its own, each with one
 * call under way at a time: SYNC (parked), WORK (Work calls, and Sync calls that are
 * answered at once) and FILES (logs, setups, archives). The owner starts a call, is
 * notified when it is over, takes the reply and only then may start the next. The
 * threads only convert, call and wait; all decisions are the owner's.
 *
 * The functions are for the owner's thread, but session_setup and session_project,
 * which block and may be called from any. There is no destroy: nng cannot close a
 * socket safely, so the process ends instead (session_cancel first). */
#ifndef CORTEX_AGENT_SESSION_H
#define CORTEX_AGENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "common/buffer.h"
#include "common/error.h"
#include "common/session_client.h"

#define SESSION_AGENT_ID_SIZE 16
#define SESSION_LOG_CHUNKS    64 /* in one AppendLog */
#define SESSION_LOG_BYTES     (4u << 20)

struct session;

struct session_options {
    const char *master_url;
    const struct session_client_options *seal; /* NULL: frames are clear */
    unsigned char agent_id[SESSION_AGENT_ID_SIZE];
    uint64_t incarnation;
    const char *name;
    /* Called on one of the threads when a call is over; must not block. */
    void (*notify)(void *arg);
    void *arg;
};

int session_create(const struct session_options *options,
                   struct session **out_session,
                   struct error *err);

/* Tells the master the agent's next key, under the one that holds now. Blocks as
 * session_join does. */
int session_rotate(const char *master_url,
                   const struct session_client_options *seal,
                   const unsigned char next_key[KEY_SIZE],
                   struct error *err);

/* Brings the agent's key to the master, with the token that the options' seal names:
 * before session_create, which needs none. Blocks until it is answered, or for a
 * minute.
 */
int session_join(const char *master_url,
                 const struct session_client_options *seal,
                 const char *name,
                 struct error *err);

enum session_conversation { SESSION_SYNC, SESSION_WORK, SESSION_FILES };
enum session_phase {
    SESSION_IDLE, /* a call may be started */
    SESSION_BUSY,
    SESSION_OVER, /* session_*_finish may be called */
};
enum session_phase session_phase(struct session *session,
                                 enum session_conversation conversation);

/* A Sync call, on SESSION_SYNC or SESSION_WORK. Takes the request's memory. */
void session_sync_start(struct session *session,
                        enum session_conversation conversation,
                        struct agent_sync_request *request);

/* A Work call. The request is borrowed until it is over. */
void session_work_start(struct session *session,
                        const struct agent_work_request *request);

struct session_log_chunk {
    uint64_t job_id;
    uint64_t worker_id;
    uint64_t sequence;
    const char *data;
    size_t size;
};

/* An AppendLog call. The chunks' bytes are borrowed until it is over; at most
 * SESSION_LOG_CHUNKS. */
void session_log_start(struct session *session,
                       const struct session_log_chunk *chunks,
                       size_t count);

/* How the call that is over ended. What is borrowed from `out` lives until
 * session_finish, which makes the conversation idle again. */
struct session_outcome {
    struct error error;   /* code OK: it went well */
    bool is_work;         /* which of the two below */
    uint64_t sync_number; /* of the request */
    struct agent_sync_reply sync;
    struct agent_work_reply work;
};
const struct session_outcome *session_outcome(struct session *session,
                                              enum session_conversation conversation);
void session_finish(struct session *session, enum session_conversation conversation);

/* All a worker of a job needs, as the master has it. */
struct session_setup {
    char *api_name;
    char *project_id;
    char *predictor_type;
    char *predictor_path;
    char *python_path;
    char *log_level;
    char **env; /* ended by NULL */
    char *api_config;
    char *job_config;
    char *job_spec;
};
int session_setup_get(struct session *session,
                      uint64_t job_id,
                      struct session_setup *out,
                      struct error *err);
void session_setup_fini(struct session_setup *setup);

/* A piece of a project's archive; see project_piece_fn. */
int session_project_get(struct session *session,
                        const char *project_id,
                        uint64_t job_id,
                        uint64_t offset,
                        struct buffer *out,
                        uint64_t *out_size,
                        struct error *err);

/* Whether nng had to be helped to connect again: it may be wedged, and keep what it
 * should have closed (rpc_connection.h). */
bool session_was_stuck(const struct session *session);

/* Makes every call end at once with CANCELLED, now and later. */
void session_cancel(struct session *session);

#endif
