/* SPDX-License-Identifier: Apache-2.0 */
/* runner.c - what agent and runner process say to each other */
#include <string.h>

#include "agent/runner.h"

#define HEAD_SIZE   5  /* size and type */
#define RESULT_SIZE 17 /* status, start, duration */

static void put_u32(struct buffer *out, uint32_t number)
{
    unsigned char bytes[4];

    for (int i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(number >> (8 * i));
    }
    buffer_add(out, bytes, sizeof(bytes));
}

static uint64_t get_number(const unsigned char *from, int bytes)
{
    uint64_t number = 0;

    for (int i = bytes - 1; i >= 0; i--) {
        number = number << 8 | from[i];
    }
    return number;
}

static void put_head(struct buffer *out, enum runner_type type, size_t body_size)
{
    put_u32(out, (uint32_t)(body_size + 1));
    buffer_add_char(out, (char)type);
}

void runner_write_start(struct buffer *out, const struct runner_start *start)
{
    const char *texts[] = {start->predictor_path,
                           start->python_path,
                           start->log_level,
                           start->api_config,
                           start->job_config,
                           start->job_spec};
    size_t size = 0;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size += 4 + strlen(texts[i]);
    }
    put_head(out, RUNNER_START, size);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_u32(out, (uint32_t)strlen(texts[i]));
        buffer_add_text(out, texts[i]);
    }
}

void runner_write_batch(struct buffer *out,
                        const char batch_id[RUNNER_BATCH_ID_SIZE],
                        const void *payload,
                        size_t size)
{
    put_head(out, RUNNER_BATCH, RUNNER_BATCH_ID_SIZE + size);
    buffer_add(out, batch_id, RUNNER_BATCH_ID_SIZE);
    buffer_add(out, payload, size);
}

void runner_write_complete(struct buffer *out)
{
    put_head(out, RUNNER_COMPLETE, 0);
}

void runner_write_leave(struct buffer *out, uint8_t reason)
{
    put_head(out, RUNNER_LEAVE, 1);
    buffer_add_char(out, (char)reason);
}

/* Bytes before the text in a frame's body, or -1 for a type that no runner sends. */
static int fixed_size(unsigned char type)
{
    switch (type) {
    case RUNNER_READY:
    case RUNNER_SETUP_FAILED:
        return 1;
    case RUNNER_RESULT:
        return RESULT_SIZE;
    case RUNNER_COMPLETED:
    case RUNNER_COMPLETE_FAILED:
    case RUNNER_LEFT:
        return 0;
    default:
        return -1;
    }
}

static int
read_body(const unsigned char *body, struct runner_frame *frame, struct error *err)
{
    if (frame->type == RUNNER_READY || frame->type == RUNNER_SETUP_FAILED) {
        frame->flag = body[0] != 0;
    }
    if (frame->type == RUNNER_RESULT) {
        if (body[0] > RUNNER_FAILED) {
            return error_set(err,
                             ERROR_INVALID_ARGUMENT,
                             "runner: a result has status %d, expected at most %d",
                             body[0],
                             RUNNER_FAILED);
        }
        frame->status = body[0];
        frame->start_ms = (int64_t)get_number(body + 1, 8) / 1000;
        frame->duration_us = get_number(body + 9, 8);
    }
    return 0;
}

uint64_t runner_peek(const struct buffer *in)
{
    return in->size < HEAD_SIZE ? 0
                                : get_number((const unsigned char *)in->data, 4) + 4;
}

int runner_read(const struct buffer *in,
                size_t *at,
                struct runner_frame *out,
                struct error *err)
{
    const unsigned char *from = (const unsigned char *)in->data + *at;
    size_t left = in->size - *at;
    struct runner_frame frame = {0};
    uint64_t size;
    int fixed;

    if (left < HEAD_SIZE) {
        return 0;
    }
    size = get_number(from, 4);
    fixed = fixed_size(from[4]);
    if (fixed < 0 || size < (uint64_t)fixed + 1 || size > RUNNER_FRAME_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "runner: a frame of type %d and %llu bytes is none of ours",
                         from[4],
                         (unsigned long long)size);
    }
    if (left < size + 4) {
        return 0;
    }
    frame.type = from[4];
    frame.text = (const char *)from + HEAD_SIZE + fixed;
    frame.text_size = (size_t)size - 1 - (size_t)fixed;
    if (read_body(from + HEAD_SIZE, &frame, err) != 0) {
        return -1;
    }
    *out = frame;
    *at += (size_t)size + 4;
    return 1;
}
