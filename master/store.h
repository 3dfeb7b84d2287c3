/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - what the master remembers over a restart
 *
 * Says what is stored, not how. All calls are made by the loop's thread (or, before it
 * runs, by the one that starts it) and block on the disk only in store_commit. The
 * first write begins a transaction by itself; store_commit makes all since then durable
 * at once, or store_rollback forgets it. A read sees what was written before it, in the
 * transaction or not.
 *
 * A call that fails leaves the store unusable for writing until it is rolled back:
 * ERROR_DATA_LOSS for a full or failing disk, ERROR_INTERNAL for anything else.
 */
#ifndef CORTEX_MASTER_STORE_H
#define CORTEX_MASTER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "master/api.h"
#include "master/batch.h"
#include "master/job.h"
#include "master/segment.h"

struct store;

/* path ":memory:" is a store that ends with the process (the simulator's). A newer
 * schema than this program's is FAILED_PRECONDITION. */
int store_open(const char *path, struct store **out_store, struct error *err);
void store_close(struct store *store);

/* How often a master has started on this store, this start included; committed. */
int store_boot(struct store *store, uint32_t *out_boot, struct error *err);

int store_commit(struct store *store, struct error *err);
void store_rollback(struct store *store);

/* Whether a call failed since the last rollback: what was decided with it must not
 * stand. */
bool store_failed(const struct store *store);

/* Whether something was written since the last commit. */
bool store_dirty(const struct store *store);

/* While `on`, little of what is read stays in memory: for who reads much, once. */
void store_set_scanning(struct store *store, bool on);

/* Apis */
int store_api_put(struct store *store,
                  const struct api_version *version,
                  struct error *err);
/* Until the next put of this name others may take its endpoint. */
int store_api_free_endpoint(struct store *store, const char *name, struct error *err);
int store_api_delete(struct store *store, const char *name, struct error *err);
/* Calls `each` with every current version, by name; what it gets is borrowed. */
typedef int (*store_api_fn)(void *arg,
                            const struct api_version *version,
                            struct error *err);
int store_api_each(struct store *store,
                   store_api_fn each,
                   void *arg,
                   struct error *err);
/* All versions of a name, newest first, at most `limit`. */
int store_api_versions(struct store *store,
                       const char *name,
                       size_t limit,
                       store_api_fn each,
                       void *arg,
                       struct error *err);
/* NULL in *out_version: there is none. The caller unrefs it. */
int store_api_version_get(struct store *store,
                          const char *api_id,
                          struct api_version **out_version,
                          struct error *err);

/* Jobs */
int store_job_put(struct store *store, const struct job_record *job, struct error *err);
/* *out_found is false if there is none. The record's strings are the caller's
 * (job_record_fini). */
int store_job_get(struct store *store,
                  uint64_t job_id,
                  struct job_record *out_job,
                  bool *out_found,
                  struct error *err);
typedef int (*store_job_fn)(void *arg, const struct job_record *job, struct error *err);
/* Jobs that are not terminal, oldest first. */
int store_job_each_live(struct store *store,
                        store_job_fn each,
                        void *arg,
                        struct error *err);
/* Jobs of an api, newest first, behind after_job_id (0: from the newest), at most
 * limit; state < 0: any. */
int store_job_list(struct store *store,
                   const char *api_name,
                   uint64_t after_job_id,
                   int state,
                   size_t limit,
                   store_job_fn each,
                   void *arg,
                   struct error *err);
/* Removes the job with its segments, batches, dead letters and keys. Its workers' rows
 * go when they do. */
int store_job_delete(struct store *store, uint64_t job_id, struct error *err);
/* The same for all jobs of an api. */
int store_job_delete_all(struct store *store, const char *api_name, struct error *err);

/* Idempotency keys */
int store_key_put(struct store *store,
                  const char *api_name,
                  const char *key,
                  const char *body_hash,
                  uint64_t job_id,
                  int64_t created_ns,
                  struct error *err);
/* *out_found is false if there is none. */
int store_key_get(struct store *store,
                  const char *api_name,
                  const char *key,
                  char out_body_hash[65],
                  uint64_t *out_job_id,
                  bool *out_found,
                  struct error *err);
/* Forgets keys made before then. */
int store_key_prune(struct store *store, int64_t before_ns, struct error *err);

/* Calls that were carried out, by their 16-byte request ids */
int store_request_put(struct store *store,
                      const unsigned char *request_id,
                      int64_t at_ns,
                      struct error *err);
int store_request_known(struct store *store,
                        const unsigned char *request_id,
                        bool *out_known,
                        struct error *err);
/* Forgets those from before then. */
int store_request_prune(struct store *store, int64_t before_ns, struct error *err);

/* The newest date of a key or a call; 0 if there is none. */
int store_newest_ns(struct store *store, int64_t *out_ns, struct error *err);

/* Segments */
int store_segment_put(struct store *store,
                      uint64_t job_id,
                      const struct segment *segment,
                      struct error *err);
typedef int (*store_segment_fn)(void *arg,
                                const struct segment *segment,
                                struct error *err);
/* The segment that holds a batch; *out_found is false if there is none. */
int store_segment_of(struct store *store,
                     uint64_t job_id,
                     uint64_t index,
                     struct payload_segment *out_segment,
                     bool *out_found,
                     struct error *err);
/* By number. */
int store_segment_each(struct store *store,
                       uint64_t job_id,
                       store_segment_fn each,
                       void *arg,
                       struct error *err);

/* Batches */
int store_batch_put(struct store *store,
                    uint64_t job_id,
                    const struct batch_row *row,
                    struct error *err);
/* 1 ends the walk early, without an error. */
typedef int (*store_batch_fn)(void *arg,
                              const struct batch_row *row,
                              struct error *err);
/* By index, from `from_index` on, at most limit; state 0: any. */
int store_batch_each(struct store *store,
                     uint64_t job_id,
                     int state,
                     uint64_t from_index,
                     uint64_t limit,
                     store_batch_fn each,
                     void *arg,
                     struct error *err);

/* Dead letters: failed batches that are still to be sent to their job's queue */
struct store_letter {
    uint64_t index;
    uint32_t attempts; /* at the batch, till it was failed */
    const char *queue_arn;
    const char *api_name;
};
int store_letter_put(struct store *store,
                     uint64_t job_id,
                     uint64_t index,
                     uint32_t attempts,
                     struct error *err);
int store_letter_delete(struct store *store,
                        uint64_t job_id,
                        uint64_t index,
                        struct error *err);
/* 1 ends the walk early, without an error; what it gets is borrowed. */
typedef int (*store_letter_fn)(void *arg,
                               const struct store_letter *letter,
                               struct error *err);
/* A job's, by index, from `from_index` on, at most limit. */
int store_letter_each(struct store *store,
                      uint64_t job_id,
                      uint64_t from_index,
                      uint64_t limit,
                      store_letter_fn each,
                      void *arg,
                      struct error *err);
/* Every job that has any. */
typedef void (*store_letter_job_fn)(void *arg, uint64_t job_id);
int store_letter_each_job(struct store *store,
                          store_letter_job_fn each,
                          void *arg,
                          struct error *err);

/* Workers */
int store_worker_put(struct store *store,
                     uint64_t worker_id,
                     uint64_t job_id,
                     const unsigned char agent_id[16],
                     struct error *err);
/* It is remembered whose it was. */
int store_worker_delete(struct store *store, uint64_t worker_id, struct error *err);
/* Whether a worker of the job that has ended was the agent's. */
int store_worker_was(struct store *store,
                     uint64_t worker_id,
                     uint64_t job_id,
                     const unsigned char agent_id[16],
                     bool *out_was,
                     struct error *err);
typedef int (*store_worker_fn)(void *arg,
                               uint64_t worker_id,
                               uint64_t job_id,
                               const unsigned char agent_id[16],
                               struct error *err);
int store_worker_each(struct store *store,
                      store_worker_fn each,
                      void *arg,
                      struct error *err);

/* Events */
int store_event_add(struct store *store,
                    int64_t at_ns,
                    const char *subject,
                    const char *name,
                    const char *action,
                    const char *detail,
                    struct error *err);

/* Export: all tables, a line for each row. A line is a JSON object with "table" and the
 * row's columns by name, blobs in hex; it ends with a newline and is borrowed. */
typedef int (*store_line_fn)(void *arg,
                             const char *line,
                             size_t size,
                             struct error *err);
int store_export(struct store *store, store_line_fn each, void *arg, struct error *err);

#endif
