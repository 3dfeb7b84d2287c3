/* SPDX-License-Identifier: Apache-2.0 */
/* prepare.c - what is done for a request before it is decided upon */
#include "master/prepare.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "master/inputs.h"
#include "master/payload.h"

// Ids of one process never repeat, however fast they are asked for: each is below the
// last one given out.
static uint64_t next_job_id(void)
{
    static _Atomic uint64_t last = UINT64_MAX;
    uint64_t before = atomic_load(&last);
    uint64_t id;

    do {
        id = id_job_at(clock_wall_ns());
        id = id < before ? id : before - 1;
    } while (!atomic_compare_exchange_weak(&last, &before, id));
    return id;
}

char *prepare_body_url(const struct prepare *prepare, uint64_t job_id)
{
    return memory_format(
        "%s/%016" PRIx64 "/submission.json", prepare->jobs_url, job_id);
}

char *prepare_payload_url(const struct prepare *prepare, uint64_t job_id)
{
    return memory_format("%s/%016" PRIx64 "/batches", prepare->jobs_url, job_id);
}

static int check_url(void *arg, const char *url, struct error *err)
{
    const struct prepare *prepare = arg;

    return object_check_url(prepare->inputs, url, err);
}

static int parse(const struct prepare *prepare,
                 const void *body,
                 size_t size,
                 struct submission **out_submission,
                 struct error *err)
{
    return submission_parse(body,
                            size,
                            &prepare->limits,
                            check_url,
                            (void *)(uintptr_t)prepare,
                            out_submission,
                            err);
}

static void copy_submission(const struct submission *submission,
                            struct submit_prepared *out)
{
    out->workers = submission->workers;
    out->timeout_s = submission->timeout_s;
    out->max_attempts = submission->max_attempts;
    out->dead_letter_arn = memory_strdup(submission->dead_letter_arn);
    if (submission->config.size > 0) {
        out->config = memory_strndup(submission->config.text, submission->config.size);
        out->config_size = submission->config.size;
    }
}

static int check_and_keep(const struct prepare *prepare,
                          const void *body,
                          size_t size,
                          struct submit_prepared *out,
                          struct error *err)
{
    struct submission *submission = NULL;

    if (parse(prepare, body, size, &submission, err) != 0) {
        return -1;
    }
    int result = 0;
    if (submission->input != SUBMISSION_ITEM_LIST) {
        result = inputs_check(prepare->inputs, &submission->lister, NULL, NULL, err);
    }
    if (result == 0) {
        copy_submission(submission, out);
        id_hash_of(body, size, out->body_hash);
        out->job_id = next_job_id();
        char *url = prepare_body_url(prepare, out->job_id);
        result = object_put(prepare->own, url, body, size, "application/json", err);
        free(url);
    }
    submission_destroy(submission);
    return result;
}

struct submit_prepared *
prepare_submission(const struct prepare *prepare, const void *body, size_t size)
{
    struct submit_prepared *prepared = memory_zalloc(sizeof(*prepared));

    (void)check_and_keep(prepare, body, size, prepared, &prepared->error);
    return prepared;
}

int prepare_forget(const struct prepare *prepare, uint64_t job_id, struct error *err)
{
    char *payloads = prepare_payload_url(prepare, job_id);
    char *body = prepare_body_url(prepare, job_id);
    int result = payload_delete(prepare->own, payloads, err);

    if (object_delete(prepare->own, body, err) != 0) {
        result = -1;
    }
    free(payloads);
    free(body);
    return result;
}

/* The project's files, by path. */
struct listing {
    const char **paths;
    size_t count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct listing index_paths(const struct buffer *names)
{
    struct listing listing = {0};
    size_t capacity = 0;

    for (size_t at = 0; at < names->size; at += strlen(names->data + at) + 1) {
        if (listing.count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            listing.paths =
                memory_realloc(listing.paths, capacity * sizeof(*listing.paths));
        }
        listing.paths[listing.count++] = names->data + at;
    }
    if (listing.count > 0) {
        qsort(listing.paths, listing.count, sizeof(*listing.paths), by_text);
    }
    return listing;
}

// A file of just that path; or, for one that ends in a slash, anything below it. The
// first path that is not before it decides.
static bool exists(void *arg, const char *path)
{
    const struct listing *listing = arg;
    size_t length = strlen(path);
    size_t low = 0;
    size_t high = listing->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(listing->paths[middle], path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == listing->count || length == 0) {
        return false;
    }
    return path[length - 1] == '/' ? strncmp(listing->paths[low], path, length) == 0
                                   : strcmp(listing->paths[low], path) == 0;
}

static int parse_config(const struct prepare *prepare,
                        const char *file_name,
                        const char *text,
                        const char *project_id,
                        struct api_specs *out,
                        struct error *err)
{
    struct buffer names = BUFFER_INIT;
    int result = blobs_list(prepare->blobs, project_id, &names, err);

    if (result == 0) {
        struct listing listing = index_paths(&names);
        struct api_spec_source source = {
            .file_name = file_name,
            .text = text,
            .size = strlen(text),
            .project_id = project_id,
            .now_ns = clock_wall_ns(),
            .exists = exists,
            .arg = &listing,
        };
        result = api_spec_parse(&source, out, err);
        free(listing.paths);
    }
    buffer_fini(&names);
    return result;
}

struct deploy_prepared *prepare_deployment(const struct prepare *prepare,
                                           const char *file_name,
                                           const char *text,
                                           const char *project_id)
{
    struct deploy_prepared *prepared = memory_zalloc(sizeof(*prepared));

    (void)parse_config(
        prepare, file_name, text, project_id, &prepared->specs, &prepared->error);
    return prepared;
}

int prepare_dry_run(const struct prepare *prepare,
                    const void *body,
                    size_t size,
                    const char *token,
                    void (*each)(void *arg, const char *url),
                    void *arg,
                    struct buffer *out_token,
                    struct error *err)
{
    struct submission *submission = NULL;
    int result = 0;

    if (parse(prepare, body, size, &submission, err) != 0) {
        return -1;
    }
    if (submission->input != SUBMISSION_ITEM_LIST) {
        result = inputs_page(
            prepare->inputs, &submission->lister, token, each, arg, out_token, err);
    }
    submission_destroy(submission);
    return result;
}
