/* SPDX-License-Identifier: Apache-2.0 */
/* sim_network.c - what becomes of a call on its way */
#include "tests/sim/sim_network.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/codec.h"
#include "tests/sim/sim_master.h"

#define CONNECT_MS    2000  /* how long a call that is not retried waits for one */
#define LAST_WORDS_MS 5     /* how long after its death a master is heard */
#define ATTEMPT_MS    30000 /* rpc_client's ATTEMPT_TIMEOUT_MS */
#define HELD_UP_MS    15000 /* how late a reply can be in a connection that seems well */

static void attempt(struct sim *sim, void *arg);

static void free_message(void *message)
{
    codec_message_free(message);
}

static bool alive(const struct sim_call *call)
{
    return *call->epoch == call->seen;
}

static void end(struct sim *sim,
                struct sim_call *call,
                const ProtobufCMessage *reply,
                const struct error *err)
{
    call->over = true;
    if (alive(call)) {
        call->done(sim, call, reply, err);
    }
}

/* An attempt that may have ended by the time of an event. */
struct trial {
    struct sim_call *call;
    uint32_t attempt;
    enum error_code code;
};

static struct trial *
trial_of(struct sim *sim, struct sim_call *call, enum error_code code)
{
    struct trial *trial = sim_new(sim, sizeof(*trial));

    *trial = (struct trial){call, call->attempt, code};
    return trial;
}

static int64_t backoff_ms(struct sim *sim, uint32_t attempts)
{
    int64_t longest = attempts < 6 ? (int64_t)20 << attempts : 1000;

    return longest / 2 + sim_between(sim, 0, longest / 2);
}

// The attempt failed: once more, or that was it.
static void fail(struct sim *sim, struct sim_call *call, enum error_code code)
{
    struct error err = {0};
    int64_t wait_ms = backoff_ms(sim, call->attempt);

    if (call->retry && sim->now_ms + wait_ms < call->deadline_ms) {
        call->attempt++; // nothing of the last one counts any more
        call->connect_until_ms = call->deadline_ms;
        sim_at(sim, sim->now_ms + wait_ms, attempt, call, call->epoch);
        return;
    }
    error_set(&err, code, "no answer");
    end(sim, call, NULL, &err);
}

// A caller that is stopped sees nothing until it goes on.
static bool put_off(struct sim *sim, const struct sim_call *call, sim_fn fn, void *arg)
{
    if (!call->link || call->link->stopped_until_ms <= sim->now_ms) {
        return false;
    }
    sim_at(sim, call->link->stopped_until_ms, fn, arg, call->epoch);
    return true;
}

static void trial_failed(struct sim *sim, void *arg)
{
    const struct trial *trial = arg;

    if (put_off(sim, trial->call, trial_failed, arg)) {
        return;
    }

    if (!trial->call->over && trial->call->attempt == trial->attempt) {
        sim_trace(
            sim, "%s: %s", trial->call->route->method, error_code_name(trial->code));
        fail(sim, trial->call, trial->code);
    }
}

static void
fail_at(struct sim *sim, int64_t at_ms, struct sim_call *call, enum error_code code)
{
    sim_at(sim, at_ms, trial_failed, trial_of(sim, call, code), call->epoch);
}

static int64_t delay_ms(struct sim *sim)
{
    return sim_fault(sim, sim->faults.very_slow)
               ? sim_between(sim, 0, 3000)
               : sim_between(sim, 0, sim->quiet ? 2 : sim->faults.slow_ms);
}

// When it arrives; -1: never.
static int64_t arrival_ms(struct sim *sim, int64_t closed_until_ms)
{
    if (sim_fault(sim, sim->faults.lose)) {
        return -1;
    }
    if (closed_until_ms > sim->now_ms) {
        // TCP tries again when the way is open, unless it has given up.
        return sim_chance(sim, 500) ? closed_until_ms + sim_between(sim, 0, 2000) : -1;
    }
    return sim->now_ms + delay_ms(sim);
}

static void arrive(struct sim *sim, void *arg)
{
    sim_master_take(sim, arg);
}

static void send_request(struct sim *sim, struct sim_call *call)
{
    struct sim_frame *frame = sim_new(sim, sizeof(*frame));
    int64_t at_ms = arrival_ms(sim, call->link ? call->link->to_until_ms : 0);
    int64_t end_ms = sim->now_ms + ATTEMPT_MS;

    frame->call = call;
    frame->attempt = call->attempt;
    frame->master_epoch = sim->master->epoch;
    if (at_ms >= 0) {
        // Whatever becomes of the caller: what is sent is sent.
        sim_at(sim, at_ms, arrive, frame, &sim->master->epoch);
    }
    if (sim_fault(sim, sim->faults.cut)) {
        fail_at(sim, sim->now_ms + sim_between(sim, 0, 20), call, ERROR_UNAVAILABLE);
    }
    fail_at(sim,
            end_ms < call->deadline_ms ? end_ms : call->deadline_ms,
            call,
            ERROR_DEADLINE_EXCEEDED);
}

static void attempt(struct sim *sim, void *arg)
{
    struct sim_call *call = arg;

    if (call->over || put_off(sim, call, attempt, arg)) {
        return;
    }
    if (sim->master->up) {
        send_request(sim, call);
    } else if (sim->now_ms < call->connect_until_ms) {
        sim_at(
            sim, sim->now_ms + sim_between(sim, 20, 500), attempt, call, call->epoch);
    } else {
        fail(sim, call, ERROR_UNAVAILABLE);
    }
}

struct sim_call *sim_call_start(struct sim *sim, const struct sim_call_options *options)
{
    struct sim_call *call = sim_new(sim, sizeof(*call));

    call->route = route_find(options->method);
    for (size_t i = 0; i < sizeof(call->request_id); i++) {
        call->request_id[i] = (unsigned char)sim_random(sim);
    }
    call->message = sim_own(sim, options->message, free_message);
    call->plan = options->plan;
    call->link = options->link;
    call->epoch = options->epoch;
    call->seen = *options->epoch;
    call->deadline_ms = sim->now_ms + options->timeout_ms;
    call->retry = options->retry;
    call->connect_until_ms =
        options->retry ? call->deadline_ms : sim->now_ms + CONNECT_MS;
    call->attempt = 1;
    call->done = options->done;
    call->owner = options->owner;
    call->next = sim->master->calls;
    sim->master->calls = call;
    attempt(sim, call);
    return call;
}

/* A reply on its way. */
struct answer {
    struct sim_frame *frame;
    ProtobufCMessage *message;
    struct error error;
};

static void free_answer(void *arg)
{
    struct answer *answer = arg;

    codec_message_free(answer->message);
    free(answer);
}

// What a master had sent when it died still arrives, if it does so at once: a
// connection is known to be broken long before the next master listens.
static bool is_cut_off(struct sim *sim, const struct sim_frame *frame)
{
    return frame->master_epoch != sim->master->epoch &&
           frame->call->held_up != frame->attempt &&
           (sim->now_ms > sim->master->died_ms + LAST_WORDS_MS || sim_chance(sim, 300));
}

static void answer_arrives(struct sim *sim, void *arg)
{
    struct answer *answer = arg;
    struct sim_call *call = answer->frame->call;

    if (call->over || !alive(call) || call->attempt != answer->frame->attempt ||
        is_cut_off(sim, answer->frame) || put_off(sim, call, answer_arrives, arg)) {
        return;
    }
    if (answer->error.code == ERROR_UNAVAILABLE) {
        fail(sim, call, ERROR_UNAVAILABLE);
    } else {
        end(sim, call, answer->message, &answer->error);
    }
}

ProtobufCMessage *sim_message_copy(const ProtobufCMessage *message)
{
    struct error err;
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = memory_zalloc(size + 1);

    protobuf_c_message_pack(message, packed);
    ProtobufCMessage *copy =
        codec_unpack_message(message->descriptor, packed, size, &err);
    free(packed);
    return copy;
}

void sim_reply(struct sim *sim,
               struct sim_frame *frame,
               const ProtobufCMessage *message,
               const struct error *err)
{
    struct sim_call *call = frame->call;

    if (frame->answered) {
        sim_violated(
            sim, "A call is answered once: %s was answered twice", call->route->method);
    }
    frame->answered = true;
    int64_t at_ms = arrival_ms(sim, call->link ? call->link->from_until_ms : 0);
    if (at_ms < 0 || call->over || !alive(call) || call->attempt != frame->attempt) {
        return;
    }
    if (sim_fault(sim, sim->faults.cut)) {
        fail_at(sim, at_ms, call, ERROR_UNAVAILABLE);
        return;
    }
    if (sim_fault(sim, sim->faults.late_words)) {
        call->held_up = call->attempt;
        at_ms += sim_between(sim, 0, HELD_UP_MS);
    }
    struct answer *answer = sim_own(sim, memory_zalloc(sizeof(*answer)), free_answer);
    answer->frame = frame;
    if (message) {
        answer->message = sim_message_copy(message);
    } else {
        answer->error = *err;
    }
    sim_at(sim, at_ms, answer_arrives, answer, call->epoch);
}

void sim_network_master_died(struct sim *sim)
{
    for (struct sim_call **link = &sim->master->calls; *link;) {
        struct sim_call *call = *link;
        if (call->over || !alive(call)) {
            *link = call->next;
            continue;
        }
        bool parted = call->link && (call->link->to_until_ms > sim->now_ms ||
                                     call->link->from_until_ms > sim->now_ms);
        if (!parted && call->held_up != call->attempt &&
            !sim_fault(sim, sim->faults.lose)) {
            fail_at(sim, sim->now_ms + delay_ms(sim), call, ERROR_UNAVAILABLE);
        }
        link = &call->next;
    }
}
