/* SPDX-License-Identifier: Apache-2.0 */
/* api.h - what a client can ask of the master
 *
 * The CLI and the bridge are both written on this, so they cannot disagree about what
 * "submit" means. It hides the wire: results are plain structs that the caller frees
 * with their _fini function (each accepts an all-zero struct, and is idempotent).
 *
 * A client_api is one connection with one call in flight: one thread at a time. Calls
 * block until answered or timeout_ms is over; the master's errors come back as they
 * were said (code, kind, sentence). Outputs are untouched on failure.
 */
#ifndef CORTEX_CLIENT_API_H
#define CORTEX_CLIENT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/states.h"
#include "common/error.h"
#include "common/id.h"
#include "common/session_client.h"

struct client_api;

/* Dials in the background. url is the master's address; seal is copied, NULL: frames
 * are clear. */
int client_api_create(const char *url,
                      const struct session_client_options *seal,
                      struct client_api **out_api,
                      struct error *err);

/* For every later call; default 30,000. */
void client_api_set_timeout(struct client_api *api, int64_t timeout_ms);

/* For every later call: it is made for somebody who may do no more than this, as
 * rpc_client_act_for says. */
int client_api_act_for(struct client_api *api,
                       enum key_role role,
                       const char *apis, /* may be NULL: all */
                       struct error *err);

/* From any thread: ends the call in flight and all later ones with CANCELLED. */
void client_api_cancel(struct client_api *api);

/* Strings below are never NULL unless it says so. Times: ns since 1970, 0 for none. */
struct client_job {
    uint64_t job_id;
    char *api_name;
    char *api_id;
    char *spec_id;
    char *predictor_id;
    enum client_job_state state;
    uint32_t workers;
    uint64_t timeout_s; /* 0: none */
    uint32_t max_attempts;
    char *dead_letter_arn; /* "" : none */
    char *config;          /* JSON text as it was sent, "" if there was none */
    uint64_t total;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t queued;
    uint64_t in_hand;
    uint64_t succeeded_us;
    int64_t start_ns;
    int64_t end_ns;
    bool has_worker_counts;
    uint32_t workers_pending;
    uint32_t workers_stalled;
    uint32_t workers_initializing;
    uint32_t workers_running;
    uint32_t workers_succeeded;
    uint32_t workers_failed;
    char *reason;
};

struct client_definition {
    char *name;
    char *kind;
    char *endpoint; /* path: "/image-classifier" */
    char *api_id;
    char *spec; /* api_spec, a JSON object as text */
    int64_t updated_ns;
    uint32_t jobs_in_progress;
};

void client_job_fini(struct client_job *job);
void client_definition_fini(struct client_definition *definition);

struct client_agent {
    char *agent_id;
    char *name;
    char *release;
    uint32_t cpu_millis;
    uint64_t memory_bytes;
    uint32_t gpus;
    uint32_t workers;
    uint64_t in_hand;
    int64_t heard_ms_ago;
};

struct client_info {
    char *release;
    uint32_t boot;
    uint32_t jobs_in_progress;
    char *bridge_url; /* base of all endpoints, such as "http://127.0.0.1:8888" */
    struct client_agent *agents;
    size_t agent_count;
};

int client_api_info(struct client_api *api, struct client_info *out, struct error *err);
void client_info_fini(struct client_info *info);

/* The key that the calls are sealed with has a next one, which the master lets in too
 * from now on; the first is refused a day later. */
int client_api_rotate_key(struct client_api *api,
                          const unsigned char next_key[KEY_SIZE],
                          struct error *err);

/* Uploads an archive unless the master has it. progress may be NULL; it is called with
 * bytes done and in all. */
typedef void (*client_progress_fn)(void *arg, uint64_t done, uint64_t total);
int client_api_put_project(struct client_api *api,
                           const char *project_id,
                           const void *archive,
                           size_t size,
                           client_progress_fn progress,
                           void *arg,
                           struct error *err);

struct client_deployed {
    char *message; /* "created image-classifier (BatchAPI)" */
    struct client_definition definition;
};

struct client_deployment {
    struct client_deployed *results;
    size_t count;
};

int client_api_deploy(struct client_api *api,
                      const char *config_file_name,
                      const char *config,
                      const char *project_id,
                      bool force,
                      struct client_deployment *out,
                      struct error *err);
void client_deployment_fini(struct client_deployment *deployment);

struct client_listed {
    struct client_definition definition;
    bool has_latest_job;
    struct client_job latest_job;
};

struct client_listing {
    struct client_listed *apis; /* by name */
    size_t count;
};

int client_api_list(struct client_api *api,
                    struct client_listing *out,
                    struct error *err);
void client_listing_fini(struct client_listing *listing);

struct client_version {
    char *api_id;
    int64_t deployed_ns;
};

struct client_detail {
    struct client_definition definition;
    struct client_job *jobs; /* newest first */
    size_t job_count;
    struct client_version *versions; /* newest first */
    size_t version_count;
    bool more; /* jobs were left off */
};

struct client_job_filter {
    uint32_t limit;              /* 0: the server's choice */
    uint64_t after_job_id;       /* 0: from the newest */
    enum client_job_state state; /* CLIENT_JOB_UNKNOWN: all */
};

int client_api_get(struct client_api *api,
                   const char *name,
                   const struct client_job_filter *filter, /* may be NULL */
                   struct client_detail *out,
                   struct error *err);
void client_detail_fini(struct client_detail *detail);

/* *out_message is for the caller to free: "deleting image-classifier" */
int client_api_delete(struct client_api *api,
                      const char *name,
                      bool keep_cache,
                      char **out_message,
                      struct error *err);

/* Which api a path belongs to; *out_rest is "" or begins with a slash. The caller frees
 * both. */
int client_api_resolve(struct client_api *api,
                       const char *path,
                       char **out_name,
                       char **out_rest,
                       struct error *err);

int client_api_submit(struct client_api *api,
                      const char *name,
                      const void *body,
                      size_t size,
                      const char *idempotency_key, /* may be NULL */
                      struct client_job *out,
                      struct error *err);

/* One page of the paths that a submission would read. Begin with page_token "" and go
 * on with *out_next until it is "". The caller frees the lines (client_paths_fini) and
 * *out_next. */
struct client_paths {
    char **paths;
    size_t count;
};

int client_api_dry_run(struct client_api *api,
                       const char *name,
                       const void *body,
                       size_t size,
                       const char *page_token,
                       struct client_paths *out,
                       char **out_next,
                       struct error *err);
void client_paths_fini(struct client_paths *paths);

/* The job and the definition it is pinned to. */
int client_api_get_job(struct client_api *api,
                       const char *name,
                       uint64_t job_id,
                       struct client_job *out_job,
                       struct client_definition *out_definition,
                       struct error *err);

/* *out_message is for the caller to free: "stopped job 69d96a01ea55da8c" */
int client_api_stop_job(struct client_api *api,
                        const char *name,
                        uint64_t job_id,
                        char **out_message,
                        struct error *err);

struct client_batch {
    char batch_id[ID_UUID_TEXT_SIZE];
    uint64_t index;
    enum client_batch_state state;
    uint32_t attempts;
    char *worker;
    int64_t start_ns;
    uint64_t duration_us;
    char *error;
};

struct client_batches {
    struct client_batch *batches; /* by index */
    size_t count;
    bool more;
    uint64_t next_index;
};

int client_api_list_batches(struct client_api *api,
                            const char *name,
                            uint64_t job_id,
                            enum client_batch_state state,
                            uint32_t limit, /* 0: 100 */
                            uint64_t from_index,
                            struct client_batches *out,
                            struct error *err);
void client_batches_fini(struct client_batches *batches);

/* A batch's items, a JSON array, which is borrowed until the next call. */
int client_api_get_payload(struct client_api *api,
                           const char *name,
                           uint64_t job_id,
                           const char *batch_id,
                           const void **out_data,
                           size_t *out_size,
                           struct error *err);

/* A piece of a job's log from offset on, waiting up to wait_ms for one. *out_data is
 * borrowed until the next call. offset and next_offset as in ReadLogReply. */
struct client_log {
    const void *data;
    size_t size;
    uint64_t offset;
    uint64_t next_offset;
    bool end; /* the job is terminal and this reaches its log's end */
};

int client_api_read_log(struct client_api *api,
                        const char *name,
                        uint64_t job_id,
                        uint64_t offset,
                        uint32_t wait_ms,
                        struct client_log *out,
                        struct error *err);

#endif
