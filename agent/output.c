/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - how what predict returned gets into the object store */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/output.h"
#include "common/buffer.h"
#include "common/id.h"

struct upload {
    struct output *output;
    struct output_end end;
    char *url;
    void *memory;
    size_t size;
    struct upload *next;
};

struct output {
    struct object_store *store;
    void (*notify)(void *arg);
    void *arg;
    size_t bytes;
    size_t large_bytes;
    pthread_mutex_t mutex; /* guards the list of those that are over */
    struct upload *first;
    struct upload **last;
};

struct output *
output_create(struct object_store *store, void (*notify)(void *arg), void *arg)
{
    struct output *output = memory_zalloc(sizeof(*output));

    output->store = store;
    output->notify = notify;
    output->arg = arg;
    output->last = &output->first;
    pthread_mutex_init(&output->mutex, NULL);
    return output;
}

/* On a thread of the object store's. */
static void upload_done(void *arg, const struct error *err)
{
    struct upload *upload = arg;
    struct output *output = upload->output;

    if (err != NULL) {
        upload->end.error = *err;
    }
    pthread_mutex_lock(&output->mutex);
    *output->last = upload;
    output->last = &upload->next;
    pthread_mutex_unlock(&output->mutex);
    output->notify(output->arg);
}

static size_t *counter_of(struct output *output, size_t size)
{
    return size > OUTPUT_LARGE ? &output->large_bytes : &output->bytes;
}

static void *copy(const void *data, size_t size)
{
    void *memory = memory_zalloc(size + 1);

    memcpy(memory, data, size);
    return memory;
}

void output_start(struct output *output, const struct output_result *result)
{
    struct upload *upload = memory_zalloc(sizeof(*upload));
    size_t dest_size = strlen(result->dest);
    bool slash = dest_size > 0 && result->dest[dest_size - 1] == '/';
    char job[ID_JOB_TEXT_SIZE];
    char batch[ID_UUID_TEXT_SIZE];

    id_job_format(result->job_id, job);
    id_batch_format(result->job_id, result->index, batch);
    upload->output = output;
    upload->end = (struct output_end){.worker_id = result->worker_id,
                                      .job_id = result->job_id,
                                      .index = result->index,
                                      .attempt = result->attempt};
    upload->url =
        memory_format("%s%s%s/%s.json", result->dest, slash ? "" : "/", job, batch);
    upload->memory =
        result->memory != NULL ? result->memory : copy(result->data, result->size);
    upload->size = result->size;
    *counter_of(output, result->size) += result->size;
    object_put_start(output->store,
                     upload->url,
                     result->memory != NULL ? result->data : upload->memory,
                     result->size,
                     "application/json",
                     upload_done,
                     upload);
}

bool output_next(struct output *output, struct output_end *out)
{
    struct upload *upload;

    pthread_mutex_lock(&output->mutex);
    upload = output->first;
    if (upload != NULL) {
        output->first = upload->next;
        if (output->first == NULL) {
            output->last = &output->first;
        }
    }
    pthread_mutex_unlock(&output->mutex);
    if (upload == NULL) {
        return false;
    }
    *out = upload->end;
    *counter_of(output, upload->size) -= upload->size;
    free(upload->memory);
    free(upload->url);
    free(upload);
    return true;
}

size_t output_bytes(const struct output *output)
{
    return output->bytes;
}

size_t output_large_bytes(const struct output *output)
{
    return output->large_bytes;
}
