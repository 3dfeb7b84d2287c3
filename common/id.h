/* SPDX-License-Identifier: Apache-2.0 */
/* id.h - how jobs, batches, workers and requests are named
 *
 * Job ids are numbers that shrink as time goes on, 2^63 - 1 - (nanoseconds since
 * 1970), written as 16 lower-case hex digits, so that a newer job sorts first. Batch
 * ids are UUIDs (RFC 9562, version 8) made of job id and batch index by BLAKE2b: the
 * same after every restart and retry, and the job that has one can tell its index.
 * Thread-safe; nothing blocks. */
#ifndef CORTEX_COMMON_ID_H
#define CORTEX_COMMON_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_JOB_TEXT_SIZE     17 /* 16 hex digits and NUL */
#define ID_UUID_TEXT_SIZE    37 /* 36 characters and NUL */
#define ID_REQUEST_SIZE      16 /* bytes of a request id */
#define ID_PROJECT_TEXT_SIZE 65 /* SHA-256 in hex and NUL */

/* Call once, before threads: readies the random source. Returns -1 if there is none. */
int id_init(void);

void id_random_bytes(void *out, size_t size);
uint64_t id_random_number(void);

/* The job id of a submission at wall_ns. */
uint64_t id_job_at(int64_t wall_ns);
/* When a job with this id was submitted, ns since 1970. */
int64_t id_job_time_ns(uint64_t job_id);
void id_job_format(uint64_t job_id, char out[ID_JOB_TEXT_SIZE]);
/* True and *out for just 16 lower-case hex digits. */
bool id_job_parse(const char *text, uint64_t *out);

void id_batch_format(uint64_t job_id,
                     uint64_t batch_index,
                     char out[ID_UUID_TEXT_SIZE]);

/* True and *out_index for the id of a batch that this job could have, lower case. */
bool id_batch_parse(uint64_t job_id, const char *text, uint64_t *out_index);

/* SHA-256 of the bytes in lower-case hex: what names a project archive. */
struct id_hash;
struct id_hash *id_hash_create(void);
void id_hash_add(struct id_hash *hash, const void *data, size_t size);
/* Ends the hash and frees it. */
void id_hash_finish(struct id_hash *hash, char out[ID_PROJECT_TEXT_SIZE]);
void id_hash_of(const void *data, size_t size, char out[ID_PROJECT_TEXT_SIZE]);

#endif
