/* SPDX-License-Identifier: Apache-2.0 */
/* joblog.h - where a job's log is kept, and who reads along
 *
 * A log is a stream of bytes addressed by offset, kept in chunk files of
 * JOBLOG_CHUNK_SIZE below a folder of the job's own. It is bounded: the first chunk and
 * the last JOBLOG_CHUNKS_MAX are kept, what lies between is dropped. One thread does
 * all the work; calls are queued to it in order and never block. */
#ifndef CORTEX_MASTER_JOBLOG_H
#define CORTEX_MASTER_JOBLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define JOBLOG_CHUNK_SIZE    (4u << 20)
#define JOBLOG_CHUNKS_MAX    16         /* kept behind the first one: 64 MiB */
#define JOBLOG_READ_SIZE_MAX (1u << 20) /* bytes of one answer */

struct joblog;

/* folder holds a folder for each job, named by its id. */
int joblog_create(const char *folder, struct joblog **out_log, struct error *err);

/* Does what is queued, answers all readers, ends the thread. */
void joblog_destroy(struct joblog *log);

/* Adds bytes, which are copied. done may be NULL; it is called on the log's thread when
 * they are in the file, or with what went wrong. */
typedef void (*joblog_done_fn)(void *arg, const struct error *err);
void joblog_append(struct joblog *log,
                   uint64_t job_id,
                   const void *data,
                   size_t size,
                   joblog_done_fn done,
                   void *arg);

/* The answer to a reader: bytes from `offset` on, which is beyond what was asked for if
 * that has been dropped; size 0 when the wait is over. On the log's thread. */
typedef void (*joblog_read_fn)(void *arg,
                               const void *data,
                               size_t size,
                               uint64_t offset,
                               uint64_t next_offset,
                               bool end,
                               const struct error *err);

/* Answers at once if there is something at offset, or the log is closed; else when
 * something comes, or after wait_ms. `closed`: nothing will be added any more. */
void joblog_read(struct joblog *log,
                 uint64_t job_id,
                 uint64_t offset,
                 uint32_t wait_ms,
                 bool closed,
                 joblog_read_fn done,
                 void *arg);

/* Nothing will be added to the job's log any more: its readers are told. */
void joblog_close(struct joblog *log, uint64_t job_id);

/* Answers all readers that wait, whether there is something or not; from now on nobody
 * waits. */
void joblog_release(struct joblog *log);

/* Removes the job's log, and its folder with all that is in it. */
void joblog_forget(struct joblog *log, uint64_t job_id);

#endif
