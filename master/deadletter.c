/* SPDX-License-Identifier: Apache-2.0 */
/* deadletter.c - which failed batches are sent to their job's queue, and when */
#include "master/deadletter.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/id.h"
#include "master/state.h"

/* A job with letters. */
struct letters {
    uint64_t job_id;
    uint64_t next_index;                  // of the next to send, or a later one
    uint64_t sending[DEADLETTER_JOB_MAX]; // indexes of those under way
    uint32_t sending_count;
    uint32_t failures; // in a row
    int64_t due_ms;    // none is sent before
};

void deadletter_book_fini(struct deadletter_book *book)
{
    size_t cursor = 0;
    uint64_t key;
    void *letters;

    while (map_next(&book->jobs, &cursor, &key, &letters)) {
        free(letters);
    }
    map_fini(&book->jobs);
}

static void know(void *arg, uint64_t job_id)
{
    struct deadletter_book *book = arg;

    if (!map_get(&book->jobs, job_id)) {
        struct letters *letters = memory_zalloc(sizeof(*letters));
        letters->job_id = job_id;
        map_put(&book->jobs, job_id, letters);
    }
    book->changed = true;
}

int deadletter_recover(struct state *state, struct error *err)
{
    return store_letter_each_job(state->store, know, &state->deadletters, err);
}

int deadletter_add(struct state *state,
                   const struct job *job,
                   const struct batch_row *row,
                   struct error *err)
{
    if (!*job->record.dead_letter_arn) {
        return 0;
    }
    know(&state->deadletters, job->record.job_id);
    return store_letter_put(
        state->store, job->record.job_id, row->index, row->attempts, err);
}

/* Sending */

// Where it is among those under way; their count if it is not.
static uint32_t place_of(const struct letters *letters, uint64_t index)
{
    uint32_t at = 0;

    while (at < letters->sending_count && letters->sending[at] != index) {
        at++;
    }
    return at;
}

// A letter that was found, and texts that outlive the row.
struct found {
    struct letters *letters;
    bool any;
    struct store_letter letter;
    char *queue_arn;
    char *api_name;
};

static void found_fini(struct found *found)
{
    free(found->queue_arn);
    free(found->api_name);
}

static int take_letter(struct found *found, const struct store_letter *letter)
{
    found->any = true;
    found->letter = *letter;
    found->queue_arn = memory_strdup(letter->queue_arn);
    found->api_name = memory_strdup(letter->api_name);
    return 1;
}

static int take_unsent(void *arg, const struct store_letter *letter, struct error *err)
{
    struct found *found = arg;
    const struct letters *letters = found->letters;

    (void)err;
    return place_of(letters, letter->index) < letters->sending_count
               ? 0
               : take_letter(found, letter);
}

// The next letter that is not under way, from where the last one was; then from the
// start.
static int find_unsent(struct state *state, struct found *found, struct error *err)
{
    struct letters *letters = found->letters;
    uint64_t from = letters->next_index;

    if (store_letter_each(state->store,
                          letters->job_id,
                          from,
                          DEADLETTER_JOB_MAX + 1,
                          take_unsent,
                          found,
                          err) != 0) {
        return -1;
    }
    return found->any || from == 0 ? 0
                                   : store_letter_each(state->store,
                                                       letters->job_id,
                                                       0,
                                                       DEADLETTER_JOB_MAX + 1,
                                                       take_unsent,
                                                       found,
                                                       err);
}

static int post(struct state *state, struct found *found, struct error *err)
{
    struct letters *letters = found->letters;
    uint64_t index = found->letter.index;
    struct payload_segment segment = {0};
    bool has_segment;

    if (store_segment_of(
            state->store, letters->job_id, index, &segment, &has_segment, err) != 0) {
        return -1;
    }
    struct action *action = outbox_add(&state->outbox, ACTION_DEAD_LETTER);
    action->job_id = letters->job_id;
    action->text = found->queue_arn;
    action->api_name = found->api_name;
    found->queue_arn = NULL;
    found->api_name = NULL;
    action->stretches = memory_zalloc(sizeof(*action->stretches));
    action->stretch_count = 1;
    action->stretches[0] = (struct stretch){.job_id = letters->job_id,
                                            .segment = segment,
                                            .first_index = index,
                                            .count = 1};
    letters->sending[letters->sending_count++] = index;
    letters->next_index = index + 1;
    state->deadletters.sending++;
    return 0;
}

// Sends what may be sent of a job. *out_over: it has no letters left.
static int send_some(struct state *state,
                     struct letters *letters,
                     bool *out_over,
                     struct error *err)
{
    // One that fails is enough to learn that a queue is still away.
    uint32_t most = letters->failures > 0 ? 1 : DEADLETTER_JOB_MAX;
    bool more = true;
    int result = 0;

    while (result == 0 && more && letters->sending_count < most &&
           state->deadletters.sending < DEADLETTER_MAX) {
        struct found found = {.letters = letters};
        result = find_unsent(state, &found, err);
        if (result == 0 && found.any) {
            result = post(state, &found, err);
        }
        more = found.any;
        found_fini(&found);
    }
    *out_over = !more && letters->sending_count == 0;
    return result;
}

int deadletter_update(struct state *state, struct error *err)
{
    struct deadletter_book *book = &state->deadletters;
    int64_t next_ms = INT64_MAX;
    size_t cursor = 0;
    uint64_t job_id;
    void *entry;

    if (book->jobs.count == 0) {
        return 0;
    }
    if (!book->changed && state->now_ms < book->due_ms) {
        state_wake_at(state, book->due_ms);
        return 0;
    }
    while (map_next(&book->jobs, &cursor, &job_id, &entry)) {
        struct letters *letters = entry;
        bool over = false;
        if (letters->due_ms > state->now_ms) {
            next_ms = letters->due_ms < next_ms ? letters->due_ms : next_ms;
        } else if (send_some(state, letters, &over, err) != 0) {
            return -1;
        }
        if (over) {
            free(map_remove(&book->jobs, job_id));
            cursor = 0; // the map has changed: from the start
        }
    }
    book->changed = false;
    book->due_ms = next_ms;
    state_wake_at(state, next_ms);
    return 0;
}

/* How it ended */

static int take_any(void *arg, const struct store_letter *letter, struct error *err)
{
    (void)err;
    return take_letter(arg, letter);
}

static int sent(struct state *state,
                const struct found *found,
                const char *batch_id,
                struct error *err)
{
    uint32_t attempts = found->letter.attempts;

    state_log(state,
              found->letters->job_id,
              "batch %s was sent to the dead letter queue %s after %u attempt%s",
              batch_id,
              found->queue_arn,
              attempts,
              attempts == 1 ? "" : "s");
    return store_event_add(state->store,
                           state->wall_ns,
                           "batch",
                           batch_id,
                           "sent to dead letter queue",
                           found->queue_arn,
                           err);
}

static int refused(struct state *state,
                   const struct found *found,
                   const char *batch_id,
                   const struct error *failure,
                   struct error *err)
{
    state_log(state,
              found->letters->job_id,
              "batch %s could not be sent to the dead letter queue %s: %s; it stays "
              "listed as failed, with its payload",
              batch_id,
              found->queue_arn,
              failure->message);
    return store_event_add(state->store,
                           state->wall_ns,
                           "batch",
                           batch_id,
                           "refused by dead letter queue",
                           failure->message,
                           err);
}

static void
back_off(struct state *state, struct found *found, const struct error *failure)
{
    struct letters *letters = found->letters;
    uint64_t most = DEADLETTER_BACKOFF_MIN_MS;

    if (letters->due_ms > state->now_ms) {
        return; // it was under way beside one that has told so
    }
    if (letters->failures == 0) {
        state_log(state,
                  letters->job_id,
                  "the dead letter queue %s cannot be reached, which is tried until it "
                  "can: %s",
                  found->queue_arn,
                  failure->message);
    }
    for (uint32_t i = 0; i < letters->failures && most < DEADLETTER_BACKOFF_MAX_MS;
         i++) {
        most *= 2;
    }
    most = most < DEADLETTER_BACKOFF_MAX_MS ? most : DEADLETTER_BACKOFF_MAX_MS;
    letters->failures++;
    letters->due_ms = state->now_ms + 1 + (int64_t)(state_random(state) % most);
}

static int settle(struct state *state,
                  struct found *found,
                  enum sqs_outcome outcome,
                  const struct error *failure,
                  struct error *err)
{
    struct letters *letters = found->letters;
    uint64_t index = found->letter.index;
    char batch_id[ID_UUID_TEXT_SIZE];

    if (outcome == SQS_AWAY) {
        back_off(state, found, failure);
        return 0;
    }
    letters->failures = 0;
    letters->due_ms = 0;
    id_batch_format(letters->job_id, index, batch_id);
    int result = outcome == SQS_SENT ? sent(state, found, batch_id, err)
                                     : refused(state, found, batch_id, failure, err);
    return result == 0 ? store_letter_delete(state->store, letters->job_id, index, err)
                       : -1;
}

int deadletter_done(struct state *state,
                    uint64_t job_id,
                    uint64_t index,
                    enum sqs_outcome outcome,
                    const struct error *failure,
                    struct error *err)
{
    struct deadletter_book *book = &state->deadletters;
    struct letters *letters = map_get(&book->jobs, job_id);
    struct found found = {.letters = letters};
    uint32_t at = letters ? place_of(letters, index) : 0;

    if (!letters || at == letters->sending_count) {
        return 0;
    }
    letters->sending[at] = letters->sending[--letters->sending_count];
    book->sending--;
    book->changed = true;
    int result =
        store_letter_each(state->store, job_id, index, 1, take_any, &found, err);
    // None: the job was deleted meanwhile.
    if (result == 0 && found.any && found.letter.index == index) {
        result = settle(state, &found, outcome, failure, err);
    }
    found_fini(&found);
    return result;
}
