/* SPDX-License-Identifier: Apache-2.0 */
/* states.c - what the states of jobs and batches are called */
#include "client/states.h"

#include <stddef.h>
#include <string.h>

struct state_words {
    const char *code;
    const char *words;
    bool terminal;
};

#define STATE_CODE_PREFIX "status_"

static const struct state_words job_states[] = {
#define CLIENT_JOB_STATE_ROW(name, code, words, terminal) {code, words, terminal},
    CLIENT_JOB_STATES(CLIENT_JOB_STATE_ROW)
#undef CLIENT_JOB_STATE_ROW
};

#define JOB_STATE_COUNT (sizeof(job_states) / sizeof(job_states[0]))

static const char *const batch_states[] = {
    [CLIENT_BATCH_ANY] = "any",
    [CLIENT_BATCH_QUEUED] = "queued",
    [CLIENT_BATCH_IN_HAND] = "in_hand",
    [CLIENT_BATCH_SUCCEEDED] = "succeeded",
    [CLIENT_BATCH_FAILED] = "failed",
};

#define BATCH_STATE_COUNT (sizeof(batch_states) / sizeof(batch_states[0]))

static const struct state_words *words_of(enum client_job_state state)
{
    unsigned row = (unsigned)state;

    return &job_states[row < JOB_STATE_COUNT ? row : CLIENT_JOB_UNKNOWN];
}

const char *client_job_state_code(enum client_job_state state)
{
    return words_of(state)->code;
}

const char *client_job_state_words(enum client_job_state state)
{
    return words_of(state)->words;
}

bool client_job_state_terminal(enum client_job_state state)
{
    return words_of(state)->terminal;
}

bool client_job_state_parse(const char *text, enum client_job_state *out)
{
    for (size_t i = 0; i < JOB_STATE_COUNT; i++) {
        const char *code = job_states[i].code;
        if (strcmp(text, code) == 0 || strcmp(text, job_states[i].words) == 0 ||
            strcmp(text, code + strlen(STATE_CODE_PREFIX)) == 0) {
            *out = (enum client_job_state)i;
            return true;
        }
    }
    return false;
}

const char *client_batch_state_name(enum client_batch_state state)
{
    unsigned row = (unsigned)state;

    return batch_states[row < BATCH_STATE_COUNT ? row : CLIENT_BATCH_ANY];
}

bool client_batch_state_parse(const char *text, enum client_batch_state *out)
{
    for (size_t i = CLIENT_BATCH_QUEUED; i < BATCH_STATE_COUNT; i++) {
        if (strcmp(text, batch_states[i]) == 0) {
            *out = (enum client_batch_state)i;
            return true;
        }
    }
    return false;
}
