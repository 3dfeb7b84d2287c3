/* SPDX-License-Identifier: Apache-2.0 */
/* document.h - how apis, jobs and batches are written as JSON
 *
 * The bridge's bodies and the CLI's `--output json` are the same documents. Pure; each
 * function adds to *out. A job's `config` and a definition's spec are put in byte for
 * byte as they were sent. bridge_url is the base of endpoints, without a slash at its
 * end. The shapes are described in docs/API.md.
 */
#ifndef CORTEX_CLIENT_DOCUMENT_H
#define CORTEX_CLIENT_DOCUMENT_H

#include "client/api.h"
#include "common/buffer.h"

/* {"job_id": ..., "api_name": ..., ...} and a newline: the answer to a submit. */
void document_submitted(struct buffer *out, const struct client_job *job);

/* {"job_status": ..., "api_spec": ..., "job_endpoint": ..., "endpoint": ...}, indented
 * by 4 spaces. */
void document_job(struct buffer *out,
                  const struct client_job *job,
                  const struct client_definition *definition,
                  const char *bridge_url);

/* One API: {"spec", "endpoint", "job_statuses", "api_versions", ...} */
void document_api(struct buffer *out,
                  const struct client_detail *detail,
                  const char *bridge_url);

/* All APIs as an array. */
void document_apis(struct buffer *out,
                   const struct client_listing *listing,
                   const char *bridge_url);

void document_deployment(struct buffer *out,
                         const struct client_deployment *deployment,
                         const char *bridge_url);

void document_batches(struct buffer *out, const struct client_batches *batches);

/* {"message": "..."} and a newline */
void document_message(struct buffer *out, const char *message);

/* {"kind": "...", "message": "..."} and a newline */
void document_error(struct buffer *out, const struct error *err);

#endif
