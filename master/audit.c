/* SPDX-License-Identifier: Apache-2.0 */
/* audit.c - how an accepted command is put on record */
#include "master/audit.h"

#include <inttypes.h>
#include <string.h>

#include "common/buffer.h"
#include "master/deploy.h"
#include "master/submit.h"

#define TEXT_MAX 64 /* bytes of a project's id, or of an agent's name */

static void add_deployed(struct buffer *out, const struct request *request)
{
    const struct deploy_prepared *prepared = request->prepared;

    for (size_t i = 0; i < prepared->specs.count; i++) {
        buffer_add_format(out, "%s%s", i > 0 ? "," : "", prepared->specs.specs[i].name);
    }
}

/* As much of a text as fits a line; who joins may call himself anything. */
static void
add_text(struct buffer *out, const struct request *request, const char *field)
{
    char *const *text = request_field(request, field, PROTOBUF_C_TYPE_STRING);

    for (size_t i = 0; text && (*text)[i] && i < TEXT_MAX; i++) {
        char byte = (*text)[i];
        buffer_add_char(out, byte > ' ' && byte <= '~' ? byte : '?');
    }
}

static void add_next_key(struct buffer *out, const struct request *request)
{
    const ProtobufCBinaryData *next =
        request_field(request, "next_key", PROTOBUF_C_TYPE_BYTES);
    char text[KEY_TEXT_SIZE];

    if (next && next->len == KEY_SIZE) {
        key_public_format(next->data, text);
        buffer_add_text(out, text);
    }
}

/* The job that was made; 0 if the submission repeats one. */
static uint64_t submitted(const struct state *state, const struct request *request)
{
    const struct submit_prepared *prepared = request->prepared;

    return state_job(state, prepared->job_id) ? prepared->job_id : 0;
}

static void add_object(struct buffer *out,
                       const struct state *state,
                       const char *method,
                       const struct request *request)
{
    char *const *api = request_field(request, "api_name", PROTOBUF_C_TYPE_STRING);
    const uint64_t *job = request_field(request, "job_id", PROTOBUF_C_TYPE_FIXED64);
    uint64_t job_id = job ? *job : 0;

    if (strcmp(method, "Deploy") == 0) {
        add_deployed(out, request);
    } else if (strcmp(method, "PutProject") == 0) {
        add_text(out, request, "project_id");
    } else if (strcmp(method, "Join") == 0) {
        add_text(out, request, "name");
    } else if (strcmp(method, "RotateKey") == 0) {
        add_next_key(out, request);
    } else if (strcmp(method, "SubmitJob") == 0) {
        job_id = submitted(state, request);
    }
    if (api) {
        buffer_add_text(out, *api);
    }
    if (job_id != 0) {
        buffer_add_format(out, "/%016" PRIx64, job_id);
    }
}

int audit_command(struct state *state,
                  const char *method,
                  const struct request *request,
                  struct error *err)
{
    const struct caller *caller = &request->caller;
    const char *name = strrchr(method, '/') + 1;
    struct buffer detail = BUFFER_INIT;
    char key[KEY_TEXT_SIZE];

    key_public_format(caller->key, key);
    buffer_add_format(&detail, "role=%s key=%s ", key_role_name(caller->role), key);
    if (caller->acting != KEY_ROLE_NONE) {
        buffer_add_format(&detail, "for=%s ", key_role_name(caller->acting));
    }
    buffer_add_text(&detail, "object=");
    add_object(&detail, state, name, request);
    int result = store_event_add(state->store,
                                 state->wall_ns,
                                 "command",
                                 name,
                                 "accepted",
                                 buffer_text(&detail),
                                 err);
    buffer_fini(&detail);
    return result;
}
