/* SPDX-License-Identifier: Apache-2.0 */
/* prepare.h - what is done for a request before it is decided upon
 *
 * What is heavy or waits, on the pool's threads: reading and checking a submission,
 * asking the object store whether its files are there, parsing a cortex.yaml and
 * looking into its project. All block; thread-safe. */
#ifndef CORTEX_MASTER_PREPARE_H
#define CORTEX_MASTER_PREPARE_H

#include <stddef.h>

#include "common/error.h"
#include "common/object.h"
#include "master/blobs.h"
#include "master/deploy.h"
#include "master/submission.h"
#include "master/submit.h"

/* What the threads work with. */
struct prepare {
    struct object_store *inputs; /* where users' files are */
    struct object_store *own;    /* where the master's are */
    const char *jobs_url;        /* below which a job's files are, by id */
    struct blobs *blobs;
    struct submission_limits limits;
};

/* Checks a body, then writes it down under a new job id. Never fails: the error is part
 * of the outcome. */
struct submit_prepared *
prepare_submission(const struct prepare *prepare, const void *body, size_t size);

/* Removes what prepare_submission and the enqueuer wrote for the job. */
int prepare_forget(const struct prepare *prepare, uint64_t job_id, struct error *err);

/* Where the job's body is; the caller frees. */
char *prepare_body_url(const struct prepare *prepare, uint64_t job_id);
/* The prefix of its payloads; the caller frees. */
char *prepare_payload_url(const struct prepare *prepare, uint64_t job_id);

/* Parses a configuration file of a project that is here. */
struct deploy_prepared *prepare_deployment(const struct prepare *prepare,
                                           const char *file_name,
                                           const char *text,
                                           const char *project_id);

/* A page of what a submission would read. each gets every URL; *out_token is what to go
 * on with, "" at the end. */
int prepare_dry_run(const struct prepare *prepare,
                    const void *body,
                    size_t size,
                    const char *token,
                    void (*each)(void *arg, const char *url),
                    void *arg,
                    struct buffer *out_token,
                    struct error *err);

#endif
