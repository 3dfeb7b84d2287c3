/* SPDX-License-Identifier: Apache-2.0 */
/* api_document.c - what a version of an API is called and how it is written down */
#include "master/api_document.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buffer.h"
#include "common/id.h"
#include "common/json_write.h"

static void hash_text(struct id_hash *hash, const char *text)
{
    // the NUL goes in too, so that neighbours cannot run together
    id_hash_add(hash, text ? text : "", strlen(text ? text : "") + 1);
    id_hash_add(hash, text ? "1" : "0", 1);
}

static void name_predictor(struct api_spec *spec, const char *project_id)
{
    char hex[ID_PROJECT_TEXT_SIZE];
    char compute[96];
    struct id_hash *hash = id_hash_create();
    const char *const parts[] = {
        spec->name,
        "BatchAPI",
        project_id,
        spec->predictor_type,
        spec->predictor_path,
        spec->python_path,
        spec->config,
        spec->log_level,
        spec->image,
        spec->shm_size,
        compute,
    };

    (void)snprintf(compute,
                   sizeof(compute),
                   "%" PRIu32 " %" PRIu64 " %" PRIu32,
                   spec->cpu_millis,
                   spec->memory_bytes,
                   spec->gpus);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        hash_text(hash, parts[i]);
    }
    for (size_t i = 0; i < spec->env_count; i++) {
        hash_text(hash, spec->env[i]);
    }
    id_hash_finish(hash, hex);
    (void)snprintf(spec->predictor_id, sizeof(spec->predictor_id), "%.63s", hex);
}

static void name_version(struct api_spec *spec, int64_t now_ns)
{
    char hex[ID_PROJECT_TEXT_SIZE];
    char time[ID_JOB_TEXT_SIZE];
    struct id_hash *hash = id_hash_create();

    hash_text(hash, spec->predictor_id);
    hash_text(hash, spec->endpoint);
    id_hash_finish(hash, hex);
    (void)snprintf(spec->spec_id, sizeof(spec->spec_id), "%.32s", hex);
    id_job_format(id_job_at(now_ns), time);
    // between the dashes stands the deployment's id, which a BatchAPI has not
    (void)snprintf(spec->api_id, sizeof(spec->api_id), "%s--%s", time, spec->spec_id);
}

static void write_env(const struct api_spec *spec, struct buffer *out)
{
    buffer_add_text(out, "\"env\":{");
    for (size_t i = 0; i < spec->env_count; i++) {
        const char *equals = strchr(spec->env[i], '=');
        if (i > 0) {
            buffer_add_char(out, ',');
        }
        json_write_bytes(out, spec->env[i], (size_t)(equals - spec->env[i]));
        buffer_add_char(out, ':');
        json_write_text(out, equals + 1);
    }
    buffer_add_char(out, '}');
}

static void write_predictor(const struct api_spec *spec, struct buffer *out)
{
    buffer_add_text(out, "\"predictor\":{");
    json_write_member(out, "type", spec->predictor_type);
    buffer_add_char(out, ',');
    json_write_member(out, "path", spec->predictor_path);
    buffer_add_text(out,
                    ",\"multi_model_reloading\":null,\"models\":null,"
                    "\"server_side_batching\":null,\"processes_per_replica\":1,"
                    "\"threads_per_process\":1,");
    json_write_member(out, "shm_size", spec->shm_size);
    buffer_add_char(out, ',');
    json_write_member(
        out, "python_path", *spec->python_path ? spec->python_path : NULL);
    buffer_add_char(out, ',');
    json_write_member(out, "log_level", spec->log_level);
    buffer_add_char(out, ',');
    json_write_member(out, "image", spec->image);
    buffer_add_text(out, ",\"tensorflow_serving_image\":null,\"config\":");
    buffer_add_text(out, spec->config);
    buffer_add_char(out, ',');
    write_env(spec, out);
    buffer_add_text(out, "},");
}

static void write_compute(const struct api_spec *spec, struct buffer *out)
{
    buffer_add_text(out, "\"compute\":{");
    json_write_member(out, "cpu", spec->cpu);
    buffer_add_char(out, ',');
    json_write_member(out, "mem", spec->mem);
    buffer_add_format(out, ",\"gpu\":%" PRIu32 ",\"inf\":0},", spec->gpus);
}

static void write_document(struct api_spec *spec,
                           const struct api_spec_source *source,
                           size_t index)
{
    struct buffer out = BUFFER_INIT;

    buffer_add_char(&out, '{');
    json_write_member(&out, "name", spec->name);
    buffer_add_text(&out, ",\"kind\":\"BatchAPI\",\"apis\":null,");
    write_predictor(spec, &out);
    buffer_add_text(&out, "\"networking\":{");
    json_write_member(&out, "endpoint", spec->endpoint);
    buffer_add_text(&out, "},");
    write_compute(spec, &out);
    buffer_add_text(&out, "\"autoscaling\":null,\"update_strategy\":null,");
    buffer_add_format(&out, "\"index\":%zu,", index);
    json_write_member(&out, "file_name", source->file_name);
    buffer_add_format(&out, ",\"submitted_api_spec\":%s,", spec->submitted);
    json_write_member(&out, "id", spec->api_id);
    buffer_add_char(&out, ',');
    json_write_member(&out, "spec_id", spec->spec_id);
    buffer_add_char(&out, ',');
    json_write_member(&out, "predictor_id", spec->predictor_id);
    buffer_add_format(&out,
                      ",\"deployment_id\":\"\",\"key\":null,\"predictor_key\":null,"
                      "\"last_updated\":%" PRId64 ",\"metadata_root\":null,",
                      source->now_ns / 1000000000);
    json_write_member(&out, "project_id", source->project_id);
    buffer_add_text(&out, ",\"project_key\":null}");
    spec->json = buffer_take(&out);
}

void api_document_complete(struct api_spec *spec,
                           const struct api_spec_source *source,
                           size_t index)
{
    name_predictor(spec, source->project_id);
    name_version(spec, source->now_ns);
    write_document(spec, source, index);
}
