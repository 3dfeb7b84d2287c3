/* SPDX-License-Identifier: Apache-2.0 */
/* test_session.c - who gets a session, what opens in it, and when it is over
 *
 * A server and its clients without sockets or clocks: frames are handed over by hand,
 * and time is a variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/bytes.h"
#include "common/id.h"
#include "common/replay_window.h"
#include "common/session_client.h"
#include "common/session_server.h"

#define HOST       "192.0.2.7"
#define BODY_SIZE  16 /* of the clear frames here, behind their counter */
#define CLEAR_SIZE (24 + BODY_SIZE)
#define DATA_SIZE  (CLEAR_SIZE + SESSION_OVERHEAD)
#define INNER_AT   (SESSION_CLEAR_AT + 16) /* the clear frame's counter */
#define BODY_AT    (INNER_AT + 8)
#define TOKEN      "fleet-1"

/* The server, its key and the time; one a test. */
static struct session_server *server;
static struct key_pair server_key;
static struct session_time now;
static const unsigned char cluster[KEY_CLUSTER_SIZE] = "a cluster's id";
static const unsigned char token_secret[KEY_SIZE] = "only those who may join know it";

/* Whom authorize accepts, and what it was asked last. */
static struct {
    enum error_code code; /* OK: everybody */
    int calls;
    unsigned char key[KEY_SIZE];
    char host[SESSION_HOST_SIZE];
    char name[SESSION_NAME_SIZE];
    char token[SESSION_TOKEN_SIZE];
    enum key_role role;
} authority;

static int authorize(void *data,
                     const struct session_claim *claim,
                     enum key_role *out,
                     struct error *err)
{
    (void)data;
    authority.calls++;
    memcpy(authority.key, claim->key, KEY_SIZE);
    (void)snprintf(authority.host, sizeof(authority.host), "%s", claim->host);
    (void)snprintf(authority.name, sizeof(authority.name), "%s", claim->name);
    (void)snprintf(authority.token, sizeof(authority.token), "%s", claim->token);
    authority.role = claim->role;
    if (authority.code != ERROR_OK) {
        return error_set(err, authority.code, "this key has been revoked");
    }
    *out = claim->role == KEY_ROLE_NONE ? KEY_ROLE_SUBMIT : claim->role;
    return 0;
}

static bool
find_token(void *data, const char *token, int64_t wall_ms, unsigned char *out_psk)
{
    (void)data;
    (void)wall_ms;
    memcpy(out_psk, token_secret, KEY_SIZE);
    return strcmp(token, TOKEN) == 0;
}

static void restart(struct session_server_options options)
{
    session_server_destroy(server);
    options.key = server_key;
    memcpy(options.cluster, cluster, sizeof(cluster));
    options.authorize = authorize;
    session_server_create(&options, now, &server);
}

static int set_up(void **state)
{
    (void)state;
    key_generate(&server_key);
    now = (struct session_time){.monotonic_ms = 1000000, .wall_ms = 1700000000000};
    memset(&authority, 0, sizeof(authority));
    restart((struct session_server_options){0});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    session_server_destroy(server);
    server = NULL;
    return 0;
}

static void pass_ms(int64_t ms)
{
    now.monotonic_ms += ms;
    now.wall_ms += ms;
}

static void expect_counts(size_t pending, size_t live)
{
    struct session_counts counts = session_server_count(server);

    assert_int_equal(counts.pending, pending);
    assert_int_equal(counts.live, live);
}

/* --- clients --- */

static struct session_client_options options_of(const struct key_pair *key)
{
    struct session_client_options options = {.key = *key, .name = "a test"};

    memcpy(options.server, server_key.public_key, KEY_SIZE);
    memcpy(options.cluster, cluster, sizeof(cluster));
    return options;
}

static struct session_client *client_of(const struct session_client_options *options)
{
    struct session_client *client = NULL;

    assert_int_equal(session_client_create(options, &client, NULL), 0);
    return client;
}

static struct session_client *client_of_key(const struct key_pair *key)
{
    struct session_client_options options = options_of(key);

    return client_of(&options);
}

static struct session_client *new_client(void)
{
    struct key_pair key;

    key_generate(&key);
    return client_of_key(&key);
}

static size_t say_hello(struct session_client *client, uint8_t *out)
{
    size_t size = session_client_hello(client, now.wall_ms * 1000000, out);

    assert_true(size > 0 && size <= SESSION_GREETING_MAX);
    return size;
}

/* A copy of the frame goes to the server. */
static enum session_arrival_kind arrive_from(const char *host,
                                             const uint8_t *frame,
                                             size_t size,
                                             struct session_arrival *out)
{
    uint8_t *copy = memory_zalloc(size + 1);

    memcpy(copy, frame, size);
    memset(out, 0, sizeof(*out));
    enum session_arrival_kind kind =
        session_server_take(server, now, host, copy, size, out);
    free(copy);
    return kind;
}

static enum session_arrival_kind
arrive(const uint8_t *frame, size_t size, struct session_arrival *out)
{
    return arrive_from(HOST, frame, size, out);
}

static enum session_greeted greet(struct session_client *client, struct error *err)
{
    uint8_t hello[SESSION_GREETING_MAX];
    struct session_arrival arrival;

    size_t size = say_hello(client, hello);
    assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
    return session_client_take(
        client, now.monotonic_ms, arrival.answer, arrival.answer_size, err);
}

static void seal(struct session_client *client, uint64_t counter, uint8_t *out)
{
    memset(out, 'x', DATA_SIZE);
    bytes_put_u64(out + INNER_AT, counter);
    session_client_seal(client, out, DATA_SIZE);
}

static enum session_arrival_kind request(struct session_client *client,
                                         struct session_arrival *out)
{
    uint8_t frame[DATA_SIZE];

    seal(client, 1, frame);
    return arrive(frame, sizeof(frame), out);
}

static bool can_call(struct session_client *client)
{
    struct session_arrival arrival;

    return request(client, &arrival) == SESSION_OPENED;
}

static struct session_client *live_client_of_key(const struct key_pair *key)
{
    struct session_client *client = client_of_key(key);

    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_true(can_call(client));
    return client;
}

static struct session_client *live_client(void)
{
    struct key_pair key;

    key_generate(&key);
    return live_client_of_key(&key);
}

static int reply(uint64_t session, uint64_t counter, uint8_t *out)
{
    memset(out, 'y', DATA_SIZE);
    bytes_put_u64(out + INNER_AT, counter);
    return session_server_seal(server, now, session, out, DATA_SIZE);
}

static enum codec_frame_type answer_type(const struct session_arrival *arrival)
{
    return (enum codec_frame_type)arrival->answer[3];
}

static bool is_rejected(enum session_arrival_kind kind,
                        const struct session_arrival *arrival,
                        enum session_reject code)
{
    return kind == SESSION_ANSWER && answer_type(arrival) == CODEC_REJECT &&
           bytes_get_u16(arrival->answer + SESSION_HEADER_SIZE) == code;
}

static void flip(uint8_t *bytes, size_t bit)
{
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static bool holds(const uint8_t *frame, size_t size, const void *what, size_t what_size)
{
    return memmem(frame, size, what, what_size) != NULL;
}

/* --- the two sides --- */

static void a_request_and_its_reply_open_on_the_other_side(void **state)
{
    (void)state;
    struct session_client *client = new_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];
    uint8_t body[BODY_SIZE];
    struct codec_frame parsed;

    assert_false(session_client_is_live(client, now.monotonic_ms));
    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_true(session_client_is_live(client, now.monotonic_ms));

    memset(frame, 0, sizeof(frame));
    bytes_put_u64(frame + INNER_AT, 42);
    session_client_seal(client, frame, sizeof(frame));
    assert_int_equal(
        session_server_take(server, now, HOST, frame, sizeof(frame), &arrival),
        SESSION_OPENED);
    assert_int_equal(
        codec_frame_parse(frame + SESSION_CLEAR_AT, CLEAR_SIZE, &parsed, NULL), 0);
    assert_int_equal(parsed.counter, 42);

    assert_int_equal(reply(arrival.session, 42, frame), 0);
    assert_int_equal(session_client_open(client, frame, sizeof(frame)),
                     SESSION_REPLY_OPENED);
    assert_int_equal(bytes_get_u64(frame + INNER_AT), 42);
    memset(body, 'y', sizeof(body));
    assert_memory_equal(frame + BODY_AT, body, sizeof(body));
    session_client_destroy(client);
}

static void a_server_learns_key_role_name_and_place_of_who_calls(void **state)
{
    (void)state;
    struct key_pair key;
    struct session_arrival arrival;

    key_generate(&key);
    struct session_client_options options = options_of(&key);
    options.role = KEY_ROLE_AGENT;
    options.name = "node-7";
    struct session_client *client = client_of(&options);
    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_memory_equal(authority.key, key.public_key, KEY_SIZE);
    assert_string_equal(authority.host, HOST);
    assert_string_equal(authority.name, "node-7");
    assert_string_equal(authority.token, "");
    assert_int_equal(authority.role, KEY_ROLE_AGENT);
    assert_int_equal(request(client, &arrival), SESSION_OPENED);
    assert_memory_equal(arrival.key, key.public_key, KEY_SIZE);
    assert_int_equal(arrival.role, KEY_ROLE_AGENT);
    session_client_destroy(client);
}

static void nothing_that_matters_is_in_the_clear(void **state)
{
    (void)state;
    struct key_pair key;
    uint8_t frame[SESSION_GREETING_MAX];
    struct session_arrival arrival;
    uint64_t time_ns = (uint64_t)now.wall_ms * 1000000;

    key_generate(&key);
    struct session_client *client = client_of_key(&key);
    size_t size = say_hello(client, frame);
    assert_false(holds(frame, size, key.public_key, KEY_SIZE));
    assert_false(holds(frame, size, server_key.public_key, KEY_SIZE));
    assert_false(holds(frame, size, "a test", 6));
    assert_false(holds(frame, size, &time_ns, sizeof(time_ns)));
    assert_int_equal(arrive(frame, size, &arrival), SESSION_ANSWER);
    assert_int_equal(
        session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL),
        SESSION_GREETED);
    seal(client, 1, frame);
    assert_false(holds(frame, DATA_SIZE, "xxxx", 4));
    session_client_destroy(client);
}

static void no_counter_is_used_twice_by_either_side(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];
    uint64_t session;
    uint64_t counter;

    for (uint64_t i = 1; i < 50; i++) { // 0 was live_client's
        seal(client, 7, frame);
        assert_true(session_data_claims(frame, sizeof(frame), &session, &counter));
        assert_int_equal(counter, i);
        assert_int_equal(arrive(frame, sizeof(frame), &arrival), SESSION_OPENED);
        assert_int_equal(reply(arrival.session, 7, frame), 0);
        assert_true(session_data_claims(frame, sizeof(frame), &session, &counter));
        assert_int_equal(counter, i - 1);
    }
    session_client_destroy(client);
}

/* --- what is tampered with --- */

static void a_hello_with_any_bit_flipped_makes_no_session(void **state)
{
    (void)state;
    struct session_client *client = new_client();
    uint8_t hello[SESSION_GREETING_MAX];
    struct session_arrival arrival;
    size_t size = say_hello(client, hello);

    restart((struct session_server_options){.hellos_free = 100000});
    for (size_t bit = 0; bit < 8 * size; bit++) {
        flip(hello, bit);
        enum session_arrival_kind kind = arrive(hello, size, &arrival);
        assert_true(kind == SESSION_GARBAGE ||
                    is_rejected(kind, &arrival, SESSION_REJECT_HELLO) ||
                    is_rejected(kind, &arrival, SESSION_REJECT_SESSION));
        flip(hello, bit);
    }
    for (size_t shorter = 0; shorter < size; shorter++) {
        enum session_arrival_kind kind = arrive(hello, shorter, &arrival);
        assert_true(kind == SESSION_GARBAGE ||
                    is_rejected(kind, &arrival, SESSION_REJECT_HELLO));
    }
    expect_counts(0, 0);
    assert_int_equal(authority.calls, 0);
    assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
    expect_counts(1, 0);
    session_client_destroy(client);
}

static void a_welcome_with_any_bit_flipped_gives_no_session_that_works(void **state)
{
    (void)state;
    struct key_pair key;

    key_generate(&key);
    restart((struct session_server_options){.hellos_free = 100000});
    size_t bits = 8 * 200;
    for (size_t bit = 0; bit < bits; bit += bit < 128 ? 1 : 7) {
        struct session_client *client = client_of_key(&key);
        uint8_t hello[SESSION_GREETING_MAX];
        struct session_arrival arrival;
        size_t size = say_hello(client, hello);

        pass_ms(1);
        assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
        assert_int_equal(answer_type(&arrival), CODEC_WELCOME);
        bits = 8 * arrival.answer_size;
        flip(arrival.answer, bit);
        enum session_greeted greeted = session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL);
        if (bit >= 64 && bit < 128) { // the session's id, which data authenticate
            assert_int_equal(greeted, SESSION_GREETED);
            assert_true(is_rejected(
                request(client, &arrival), &arrival, SESSION_REJECT_SESSION));
        } else {
            assert_int_equal(greeted, SESSION_GREET_GARBAGE);
            assert_false(session_client_is_live(client, now.monotonic_ms));
        }
        session_client_destroy(client);
    }
}

static void a_request_with_any_bit_flipped_is_not_opened(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];

    seal(client, 1, frame);
    for (size_t bit = 0; bit < 8 * sizeof(frame); bit++) {
        flip(frame, bit);
        assert_int_not_equal(arrive(frame, sizeof(frame), &arrival), SESSION_OPENED);
        flip(frame, bit);
    }
    for (size_t shorter = 0; shorter < sizeof(frame); shorter++) {
        assert_int_not_equal(arrive(frame, shorter, &arrival), SESSION_OPENED);
    }
    // The forged counters, which were far ahead, have not moved the window.
    assert_int_equal(arrive(frame, sizeof(frame), &arrival), SESSION_OPENED);
    session_client_destroy(client);
}

static void a_reply_with_any_bit_flipped_is_not_opened(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];
    uint8_t copy[DATA_SIZE];

    assert_int_equal(request(client, &arrival), SESSION_OPENED);
    assert_int_equal(reply(arrival.session, 1, frame), 0);
    for (size_t bit = 0; bit < 8 * sizeof(frame); bit++) {
        memcpy(copy, frame, sizeof(copy));
        flip(copy, bit);
        assert_int_equal(session_client_open(client, copy, sizeof(copy)),
                         SESSION_REPLY_GARBAGE);
    }
    assert_int_equal(session_client_open(client, frame, sizeof(frame)),
                     SESSION_REPLY_OPENED);
    session_client_destroy(client);
}

static void a_request_sent_back_is_no_reply_and_sessions_do_not_mix(void **state)
{
    (void)state;
    struct session_client *one = live_client();
    struct session_client *two = live_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];

    seal(one, 1, frame);
    assert_int_equal(session_client_open(one, frame, sizeof(frame)),
                     SESSION_REPLY_GARBAGE);
    assert_int_equal(request(one, &arrival), SESSION_OPENED);
    assert_int_equal(reply(arrival.session, 1, frame), 0);
    assert_int_equal(session_client_open(two, frame, sizeof(frame)),
                     SESSION_REPLY_GARBAGE);
    session_client_destroy(one);
    session_client_destroy(two);
}

static void clear_frames_and_those_of_the_other_direction_are_garbage(void **state)
{
    (void)state;
    static const enum codec_frame_type types[] = {
        CODEC_WELCOME, CODEC_REJECT, CODEC_CLEAR, (enum codec_frame_type)7};
    uint8_t frame[200] = {0};
    struct session_arrival arrival;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        session_frame_put_header(frame, types[i]);
        assert_int_equal(arrive(frame, sizeof(frame), &arrival), SESSION_GARBAGE);
    }
    assert_int_equal(arrive((const uint8_t *)"", 0, &arrival), SESSION_GARBAGE);
}

/* --- replays --- */

static void a_window_accepts_each_of_its_newest_counters_once(void **state)
{
    (void)state;
    struct replay_window window = {.next = 0};

    assert_true(replay_window_accept(&window, 0));
    assert_false(replay_window_accept(&window, 0));
    assert_true(replay_window_accept(&window, REPLAY_WINDOW_SIZE));
    assert_false(replay_window_accept(&window, 0)); // just too old
    assert_true(replay_window_accept(&window, 1));  // just not
    for (uint64_t i = 2; i < REPLAY_WINDOW_SIZE; i++) {
        assert_true(replay_window_accept(&window, i));
    }
    for (uint64_t i = 0; i <= REPLAY_WINDOW_SIZE; i++) {
        assert_false(replay_window_accept(&window, i));
    }
    assert_true(replay_window_accept(&window, 1000000));
    assert_false(replay_window_accept(&window, 1000000));
    assert_true(replay_window_accept(&window, 1000000 - REPLAY_WINDOW_SIZE + 1));
    assert_false(replay_window_accept(&window, 1000000 - REPLAY_WINDOW_SIZE));
    assert_true(replay_window_accept(&window, UINT64_MAX - 1));
    assert_false(replay_window_accept(&window, UINT64_MAX));
    assert_false(replay_window_accept(&window, UINT64_MAX - 1));
}

static void a_request_is_opened_once_in_any_order_within_the_window(void **state)
{
    (void)state;
    enum { COUNT = REPLAY_WINDOW_SIZE + 10 };
    struct session_client *client = live_client();
    static uint8_t frames[COUNT][DATA_SIZE];
    struct session_arrival arrival;

    for (int i = 0; i < COUNT; i++) {
        seal(client, 1, frames[i]);
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        bool fresh = COUNT - i <= REPLAY_WINDOW_SIZE;
        assert_int_equal(arrive(frames[i], DATA_SIZE, &arrival),
                         fresh ? SESSION_OPENED : SESSION_GARBAGE);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(arrive(frames[i], DATA_SIZE, &arrival), SESSION_GARBAGE);
    }
    session_client_destroy(client);
}

static void a_session_is_pending_until_its_first_request_opens(void **state)
{
    (void)state;
    struct session_client *client = new_client();

    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    expect_counts(1, 0);
    assert_true(can_call(client));
    expect_counts(0, 1);
    session_client_destroy(client);
}

static void a_session_that_is_never_used_is_forgotten_in_half_a_minute(void **state)
{
    (void)state;
    struct session_client *early = new_client();
    struct session_client *late = new_client();
    struct session_arrival arrival;

    assert_int_equal(greet(early, NULL), SESSION_GREETED);
    assert_int_equal(greet(late, NULL), SESSION_GREETED);
    pass_ms(SESSION_PENDING_MS - 1);
    assert_true(can_call(early));
    pass_ms(1);
    assert_true(is_rejected(request(late, &arrival), &arrival, SESSION_REJECT_SESSION));
    expect_counts(0, 1);
    session_client_destroy(early);
    session_client_destroy(late);
}

static void a_hello_that_comes_again_makes_nothing(void **state)
{
    (void)state;
    struct session_client *client = new_client();
    uint8_t hello[SESSION_GREETING_MAX];
    struct session_arrival arrival;
    struct error err;
    size_t size = say_hello(client, hello);

    assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
    assert_int_equal(
        session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL),
        SESSION_GREETED);
    assert_true(can_call(client));
    for (int i = 0; i < 3; i++) {
        pass_ms(1000);
        assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
        assert_int_equal(bytes_get_u64(arrival.answer + SESSION_HEADER_SIZE),
                         0); // no session
        assert_int_equal(
            session_client_take(
                client, now.monotonic_ms, arrival.answer, arrival.answer_size, &err),
            SESSION_GREET_GARBAGE); // it has not asked
        expect_counts(0, 1);
    }
    session_client_destroy(client);
}

static void a_hello_older_than_its_keys_last_is_refused_though_never_seen(void **state)
{
    (void)state;
    struct key_pair key;
    uint8_t held_back[SESSION_GREETING_MAX];
    struct session_arrival arrival;

    key_generate(&key);
    struct session_client *client = client_of_key(&key);
    size_t size = say_hello(client, held_back);
    pass_ms(1);
    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_int_equal(arrive(held_back, size, &arrival), SESSION_ANSWER);
    assert_int_equal(bytes_get_u64(arrival.answer + SESSION_HEADER_SIZE), 0);
    expect_counts(1, 0);
    session_client_destroy(client);
}

static void a_client_whose_clock_is_behind_anothers_of_its_key_gets_in(void **state)
{
    (void)state;
    struct key_pair key;

    key_generate(&key);
    struct session_client *ahead = client_of_key(&key);
    struct session_client *behind = client_of_key(&key);
    assert_int_equal(greet(ahead, NULL), SESSION_GREETED);
    pass_ms(-60000);
    assert_int_equal(greet(behind, NULL), SESSION_GREET_AGAIN);
    assert_int_equal(greet(behind, NULL), SESSION_GREETED);
    assert_true(can_call(behind));
    session_client_destroy(ahead);
    session_client_destroy(behind);
}

/* All that went over the wire, sent again to the same server and to a new one. */
static void everything_replayed_opens_nothing(void **state)
{
    (void)state;
    struct session_client *client = new_client();
    uint8_t hello[SESSION_GREETING_MAX];
    uint8_t data[3][DATA_SIZE];
    struct session_arrival arrival;
    size_t size = say_hello(client, hello);

    assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
    (void)session_client_take(
        client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL);
    for (int i = 0; i < 3; i++) {
        seal(client, 1, data[i]);
        assert_int_equal(arrive(data[i], DATA_SIZE, &arrival), SESSION_OPENED);
    }
    for (int round = 0; round < 2; round++) {
        (void)arrive(hello, size, &arrival);
        for (int i = 0; i < 3; i++) {
            assert_int_not_equal(arrive(data[i], DATA_SIZE, &arrival), SESSION_OPENED);
        }
        restart((struct session_server_options){0});
    }
    session_client_destroy(client);
}

/* --- when a session is over --- */

static void a_session_lasts_an_hour_and_is_honoured_for_a_minute_more(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];

    pass_ms(SESSION_LIFETIME_MS - 1);
    assert_true(session_client_is_live(client, now.monotonic_ms));
    pass_ms(1);
    assert_false(session_client_is_live(client, now.monotonic_ms));
    pass_ms(SESSION_GRACE_MS - 1);
    assert_int_equal(request(client, &arrival), SESSION_OPENED);
    assert_int_equal(reply(arrival.session, 1, frame), 0);
    pass_ms(1);
    assert_int_equal(reply(arrival.session, 1, frame), -1);
    assert_true(
        is_rejected(request(client, &arrival), &arrival, SESSION_REJECT_SESSION));
    expect_counts(0, 0);
    session_client_destroy(client);
}

static void a_session_wears_out_and_is_honoured_for_a_minute_more(void **state)
{
    (void)state;
    restart((struct session_server_options){.messages_max = 10});
    struct session_client *client = live_client();
    struct session_arrival arrival;

    for (int i = 1; i < 10; i++) {
        assert_true(session_client_is_live(client, now.monotonic_ms));
        assert_true(can_call(client));
    }
    assert_false(session_client_is_live(client, now.monotonic_ms));
    assert_true(can_call(client)); // it should not, but may be in flight
    pass_ms(SESSION_GRACE_MS - 1);
    assert_true(can_call(client));
    pass_ms(1);
    assert_true(
        is_rejected(request(client, &arrival), &arrival, SESSION_REJECT_SESSION));
    session_client_destroy(client);
}

static void a_new_session_of_a_key_leaves_the_old_one_alone(void **state)
{
    (void)state;
    struct key_pair key;

    key_generate(&key);
    struct session_client *old = live_client_of_key(&key);
    pass_ms(1);
    struct session_client *new = live_client_of_key(&key);
    assert_true(can_call(old));
    assert_true(can_call(new));
    session_client_destroy(old);
    session_client_destroy(new);
}

static void a_restarted_server_rejects_and_the_client_shakes_hands_again(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    struct session_arrival arrival;

    restart((struct session_server_options){0});
    pass_ms(1);
    assert_int_equal(request(client, &arrival), SESSION_ANSWER);
    assert_int_equal(session_client_open(client, arrival.answer, arrival.answer_size),
                     SESSION_REPLY_REJECTED);
    assert_false(session_client_is_live(client, now.monotonic_ms));
    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_true(can_call(client));
    session_client_destroy(client);
}

static void a_reject_can_do_no_more_than_make_a_client_shake_hands(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    uint8_t forged[SESSION_HEADER_SIZE + 2] = {0};
    struct error err = {.code = ERROR_OK};
    uint8_t hello[SESSION_GREETING_MAX];

    session_frame_put_header(forged, CODEC_REJECT);
    assert_int_equal(session_client_open(client, forged, sizeof(forged)),
                     SESSION_REPLY_REJECTED);
    (void)say_hello(client, hello);
    assert_int_equal(
        session_client_take(client, now.monotonic_ms, forged, sizeof(forged), &err),
        SESSION_GREET_LATER);
    assert_int_equal(err.code, ERROR_OK);
    pass_ms(1);
    assert_int_equal(greet(client, &err), SESSION_GREETED);
    session_client_destroy(client);
}

/* --- a server that changes its key --- */

static struct session_client *trusting_client(struct trust *trust)
{
    struct key_pair key;

    key_generate(&key);
    struct session_client_options options = options_of(&key);
    options.trust = trust;
    return client_of(&options);
}

static struct trust *trust_in(const unsigned char key[KEY_SIZE])
{
    struct trust *trust = trust_create(NULL, NULL);

    trust_add(trust, key);
    return trust;
}

/* Hellos until one is no longer to be said again at once. */
static enum session_greeted greet_all(struct session_client *client)
{
    enum session_greeted greeted;

    do {
        pass_ms(1);
        greeted = greet(client, NULL);
    } while (greeted == SESSION_GREET_AGAIN);
    return greeted;
}

static void
expect_trust(struct trust *trust, size_t count, const struct key_pair *first)
{
    unsigned char keys[TRUST_KEYS_MAX][KEY_SIZE];

    assert_int_equal(trust_keys(trust, keys), count);
    assert_memory_equal(keys[0], first->public_key, KEY_SIZE);
}

static void a_server_changes_its_key_and_who_has_called_meanwhile_goes_on(void **state)
{
    (void)state;
    struct trust *trust = trust_in(server_key.public_key);
    struct session_client *client = trusting_client(trust);
    struct session_client *absent = new_client();
    struct session_arrival before;
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];
    struct key_pair next;

    key_generate(&next);
    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_int_equal(request(client, &before), SESSION_OPENED);
    expect_trust(trust, 1, &server_key);
    session_server_rekey(server, &server_key, &next);
    // What was asked is answered; who asks again hears of the next key first.
    assert_int_equal(reply(before.session, 1, frame), 0);
    assert_int_equal(session_client_open(client, frame, sizeof(frame)),
                     SESSION_REPLY_OPENED);
    assert_true(
        is_rejected(request(client, &arrival), &arrival, SESSION_REJECT_SESSION));
    assert_int_equal(session_client_open(client, arrival.answer, arrival.answer_size),
                     SESSION_REPLY_REJECTED);
    assert_int_equal(greet_all(client), SESSION_GREETED);
    assert_true(can_call(client));
    expect_trust(trust, 2, &server_key);
    session_server_rekey(server, &next, NULL);
    assert_true(
        is_rejected(request(client, &arrival), &arrival, SESSION_REJECT_SESSION));
    assert_int_equal(greet_all(client), SESSION_GREETED);
    assert_true(can_call(client));
    expect_trust(trust, 1, &next);
    assert_int_equal(greet_all(absent), SESSION_GREET_LATER);
    session_client_destroy(absent);
    session_client_destroy(client);
    trust_destroy(trust);
}

static void a_session_of_a_former_key_is_honoured_for_a_minute(void **state)
{
    (void)state;
    struct session_client *client = new_client();
    struct session_arrival before;
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];

    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_int_equal(request(client, &before), SESSION_OPENED);
    session_server_rekey(server, &server_key, NULL);
    assert_true(
        is_rejected(request(client, &arrival), &arrival, SESSION_REJECT_SESSION));
    pass_ms(SESSION_GRACE_MS - 1);
    assert_int_equal(reply(before.session, 1, frame), 0);
    pass_ms(1);
    assert_int_equal(reply(before.session, 1, frame), -1);
    session_client_destroy(client);
}

static void an_announced_key_is_trusted_before_and_after_the_change(void **state)
{
    (void)state;
    struct key_pair next;

    key_generate(&next);
    session_server_rekey(server, &server_key, &next);
    struct trust *trust =
        trust_in(next.public_key); // of one that comes from the future
    struct session_client *client = trusting_client(trust);
    assert_int_equal(greet_all(client), SESSION_GREETED);
    assert_true(can_call(client));
    session_server_rekey(server, &server_key, NULL); // it is withdrawn
    assert_int_equal(greet_all(client), SESSION_GREET_LATER);
    session_client_destroy(client);
    trust_destroy(trust);
}

static void a_forged_reject_does_not_change_who_is_trusted(void **state)
{
    (void)state;
    struct trust *trust = trust_in(server_key.public_key);
    struct session_client *client = trusting_client(trust);
    uint8_t forged[SESSION_HEADER_SIZE + 2] = {0};
    uint8_t hello[SESSION_GREETING_MAX];
    struct key_pair next;

    key_generate(&next);
    session_server_rekey(server, &server_key, &next);
    assert_int_equal(greet_all(client), SESSION_GREETED);
    session_frame_put_header(forged, CODEC_REJECT);
    for (int i = 0; i < 2; i++) {
        (void)say_hello(client, hello);
        (void)session_client_take(
            client, now.monotonic_ms, forged, sizeof(forged), NULL);
    }
    expect_trust(trust, 2, &server_key);
    assert_int_equal(greet_all(client), SESSION_GREETED);
    session_client_destroy(client);
    trust_destroy(trust);
}

/* --- whom the server knows --- */

static void a_refused_key_is_told_why_under_seal_and_is_not_remembered(void **state)
{
    (void)state;
    struct session_client *client = new_client();
    uint8_t hello[SESSION_GREETING_MAX];
    struct session_arrival arrival;
    struct error err;
    size_t size = say_hello(client, hello);

    authority.code = ERROR_UNAUTHENTICATED;
    assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
    assert_false(holds(arrival.answer, arrival.answer_size, "revoked", 7));
    assert_int_equal(
        session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, &err),
        SESSION_GREET_REFUSED);
    assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
    assert_string_equal(err.message, "this key has been revoked");
    expect_counts(0, 0);
    assert_int_equal(session_server_count(server).keys, 0);
    session_client_destroy(client);
}

static void a_key_that_is_revoked_loses_its_sessions_within_a_second(void **state)
{
    (void)state;
    struct key_pair key;

    key_generate(&key);
    struct session_client *one = live_client_of_key(&key);
    pass_ms(1);
    struct session_client *two = live_client_of_key(&key);
    struct session_arrival arrival;
    struct session_arrival parked;
    uint8_t frame[DATA_SIZE];
    struct error err;

    assert_int_equal(request(two, &parked), SESSION_OPENED);
    authority.code = ERROR_UNAUTHENTICATED;
    pass_ms(SESSION_RECHECK_MS);
    assert_true(is_rejected(request(one, &arrival), &arrival, SESSION_REJECT_SESSION));
    assert_int_equal(reply(parked.session, 1, frame), -1);
    expect_counts(0, 0);
    assert_int_equal(session_client_open(one, arrival.answer, arrival.answer_size),
                     SESSION_REPLY_REJECTED);
    assert_int_equal(greet(one, &err), SESSION_GREET_REFUSED);
    session_client_destroy(one);
    session_client_destroy(two);
}

static void a_session_that_moves_to_another_host_is_asked_about_at_once(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];
    int calls = authority.calls;

    seal(client, 1, frame);
    assert_int_equal(arrive_from("198.51.100.1", frame, sizeof(frame), &arrival),
                     SESSION_OPENED);
    assert_int_equal(authority.calls, calls + 1);
    assert_string_equal(authority.host, "198.51.100.1");
    seal(client, 1, frame);
    assert_int_equal(arrive_from("198.51.100.1", frame, sizeof(frame), &arrival),
                     SESSION_OPENED);
    assert_int_equal(authority.calls, calls + 1);
    session_client_destroy(client);
}

static void a_forged_request_does_not_ask_about_a_key(void **state)
{
    (void)state;
    struct session_client *client = live_client();
    struct session_arrival arrival;
    uint8_t frame[DATA_SIZE];
    int calls = authority.calls;

    seal(client, 1, frame);
    flip(frame, 8 * DATA_SIZE - 1);
    authority.code = ERROR_UNAUTHENTICATED;
    pass_ms(SESSION_RECHECK_MS);
    assert_int_equal(arrive(frame, sizeof(frame), &arrival), SESSION_GARBAGE);
    assert_int_equal(authority.calls, calls);
    expect_counts(0, 1);
    session_client_destroy(client);
}

static void a_server_with_another_key_or_cluster_rejects_without_a_word(void **state)
{
    (void)state;
    struct key_pair key;
    struct key_pair other;
    struct error err = {.code = ERROR_OK};

    key_generate(&key);
    key_generate(&other);
    struct session_client_options options = options_of(&key);
    memcpy(options.server, other.public_key, KEY_SIZE);
    struct session_client *client = client_of(&options);
    assert_int_equal(greet(client, &err), SESSION_GREET_LATER);
    session_client_destroy(client);

    options = options_of(&key);
    options.cluster[0] ^= 1;
    client = client_of(&options);
    assert_int_equal(greet(client, &err), SESSION_GREET_LATER);
    session_client_destroy(client);

    options = options_of(&key);
    memset(options.server, 0, KEY_SIZE); // no point of the curve that hides anything
    client = client_of(&options);
    uint8_t hello[SESSION_GREETING_MAX];
    assert_int_equal(session_client_hello(client, 1, hello), 0);
    session_client_destroy(client);

    assert_int_equal(err.code, ERROR_OK);
    assert_int_equal(authority.calls, 0);
    expect_counts(0, 0);
}

/* A hello whose payload the client of ours would not make. */
static enum session_arrival_kind hello_by_hand(const struct session_hello *hello,
                                               size_t payload_size,
                                               struct session_arrival *out,
                                               struct noise_handshake *handshake)
{
    unsigned char prologue[SESSION_PROLOGUE_SIZE + KEY_CLUSTER_SIZE] = SESSION_PROLOGUE;
    uint8_t payload[SESSION_HELLO_PAYLOAD_MAX + 100] = {0};
    uint8_t frame[SESSION_HELLO_MAX + 100];
    unsigned char ephemeral[KEY_SIZE];
    struct key_pair key;

    key_generate(&key);
    id_random_bytes(ephemeral, sizeof(ephemeral));
    memcpy(prologue + SESSION_PROLOGUE_SIZE, cluster, sizeof(cluster));
    noise_initiator_init(
        handshake, NOISE_IK, prologue, sizeof(prologue), &key, server_key.public_key);
    size_t size = session_hello_pack(hello, payload);
    size = payload_size ? payload_size : size;
    session_frame_put_header(frame, CODEC_HELLO);
    assert_int_equal(
        noise_hello_write(
            handshake, ephemeral, payload, size, frame + SESSION_HEADER_SIZE),
        0);
    return arrive(frame, SESSION_HEADER_SIZE + NOISE_HELLO_OVERHEAD + size, out);
}

/* A request under a counter of one's choice. */
static enum session_arrival_kind
request_by_hand(const struct noise_key *key, uint64_t session, uint64_t counter)
{
    uint8_t frame[DATA_SIZE] = {0};
    struct session_arrival arrival;

    session_data_seal(key, session, counter, frame, sizeof(frame));
    return arrive(frame, sizeof(frame), &arrival);
}

static void after_four_billion_messages_the_minute_of_grace_begins(void **state)
{
    (void)state;
    struct session_hello hello = {
        .client_time_ns = 1, .protocol_min = 1, .protocol_max = 1};
    struct session_arrival arrival;
    struct noise_handshake handshake;
    struct noise_key send;
    struct noise_key receive;
    uint8_t payload[SESSION_PAYLOAD_MAX];
    uint64_t last = (UINT64_C(1) << 32) - 1;

    assert_int_equal(hello_by_hand(&hello, 0, &arrival, &handshake), SESSION_ANSWER);
    assert_int_equal(noise_welcome_read(&handshake,
                                        arrival.answer + SESSION_HEADER_SIZE + 8,
                                        arrival.answer_size - SESSION_HEADER_SIZE - 8,
                                        payload),
                     0);
    assert_int_equal(noise_handshake_split(&handshake, &send, &receive), 0);
    uint64_t session = bytes_get_u64(arrival.answer + SESSION_HEADER_SIZE);
    assert_int_equal(request_by_hand(&send, session, last), SESSION_OPENED);
    pass_ms(SESSION_GRACE_MS);
    assert_int_equal(request_by_hand(&send, session, last - 1), SESSION_OPENED);
    assert_int_equal(request_by_hand(&send, session, last + 1), SESSION_OPENED);
    pass_ms(SESSION_GRACE_MS - 1);
    assert_int_equal(request_by_hand(&send, session, last + 2), SESSION_OPENED);
    pass_ms(1);
    assert_int_equal(request_by_hand(&send, session, last + 3), SESSION_ANSWER);
}

static void a_client_of_another_protocol_is_told_so(void **state)
{
    (void)state;
    struct session_hello hello = {
        .client_time_ns = 1, .protocol_min = 2, .protocol_max = 3};
    struct session_arrival arrival;
    struct noise_handshake handshake;
    uint8_t payload[SESSION_PAYLOAD_MAX];
    struct session_welcome welcome;

    assert_int_equal(hello_by_hand(&hello, 0, &arrival, &handshake), SESSION_ANSWER);
    size_t size = arrival.answer_size - SESSION_HEADER_SIZE - 8;
    assert_int_equal(
        noise_welcome_read(
            &handshake, arrival.answer + SESSION_HEADER_SIZE + 8, size, payload),
        0);
    assert_true(
        session_welcome_unpack(payload, size - NOISE_WELCOME_OVERHEAD, &welcome));
    assert_int_equal(welcome.code, ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(welcome.sentence, "protocols 2 to 3, expected 1"));
    expect_counts(0, 0);
}

static void a_hello_may_be_longer_than_is_known_but_not_shorter(void **state)
{
    (void)state;
    struct session_hello hello = {
        .client_time_ns = 1, .protocol_min = 1, .protocol_max = 9, .name = "n"};
    struct session_arrival arrival;
    struct noise_handshake handshake;
    uint8_t payload[SESSION_HELLO_PAYLOAD_MAX];
    size_t size = session_hello_pack(&hello, payload);

    for (size_t shorter = 1; shorter < size; shorter++) {
        assert_true(is_rejected(hello_by_hand(&hello, shorter, &arrival, &handshake),
                                &arrival,
                                SESSION_REJECT_HELLO));
    }
    expect_counts(0, 0);
    assert_int_equal(hello_by_hand(&hello, size + 90, &arrival, &handshake),
                     SESSION_ANSWER);
    assert_int_equal(answer_type(&arrival), CODEC_WELCOME);
    expect_counts(1, 0);
}

static void a_token_named_without_its_secret_is_rejected(void **state)
{
    (void)state;
    struct session_hello hello = {
        .client_time_ns = 1, .protocol_min = 1, .protocol_max = 1, .token = TOKEN};
    struct session_arrival arrival;
    struct noise_handshake handshake;

    restart((struct session_server_options){.find_token = find_token});
    assert_true(is_rejected(hello_by_hand(&hello, 0, &arrival, &handshake),
                            &arrival,
                            SESSION_REJECT_HELLO));
    assert_int_equal(authority.calls, 0);
}

static void an_agent_joins_with_a_token_and_its_secret_only(void **state)
{
    (void)state;
    struct key_pair key;

    key_generate(&key);
    struct session_client_options options = options_of(&key);
    options.token = TOKEN;
    options.role = KEY_ROLE_AGENT;
    memcpy(options.token_secret, token_secret, KEY_SIZE);
    struct session_client *client = client_of(&options);
    assert_int_equal(greet(client, NULL), SESSION_GREET_LATER); // none are taken here

    restart((struct session_server_options){.find_token = find_token});
    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_string_equal(authority.token, TOKEN);
    assert_true(can_call(client));
    session_client_destroy(client);

    options.token_secret[0] ^= 1;
    client = client_of(&options);
    pass_ms(1);
    assert_int_equal(greet(client, NULL), SESSION_GREET_GARBAGE);
    session_client_destroy(client);

    options.token = "another";
    client = client_of(&options);
    pass_ms(1);
    assert_int_equal(greet(client, NULL), SESSION_GREET_LATER);
    session_client_destroy(client);

    options = options_of(&key);
    client = client_of(&options);
    pass_ms(1);
    assert_int_equal(greet(client, NULL), SESSION_GREETED); // without one, as ever
    session_client_destroy(client);
}

static void a_name_that_does_not_fit_a_hello_is_an_error(void **state)
{
    (void)state;
    char name[SESSION_NAME_SIZE + 1];
    struct key_pair key;
    struct session_client *client;
    struct error err;

    key_generate(&key);
    struct session_client_options options = options_of(&key);
    memset(name, 'n', sizeof(name));
    name[SESSION_NAME_SIZE] = '\0';
    options.name = name;
    assert_int_equal(session_client_create(&options, &client, &err), -1);
    assert_non_null(strstr(err.message, "client name \"nnn"));
    options.name = "a\nb";
    assert_int_equal(session_client_create(&options, &client, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
}

/* --- limits --- */

static void a_key_with_many_sessions_loses_the_one_unused_for_longest(void **state)
{
    (void)state;
    struct session_client *clients[4];
    struct key_pair key;

    restart((struct session_server_options){.sessions_per_key_max = 3});
    struct session_client *bystander = live_client();
    key_generate(&key);
    for (int i = 0; i < 3; i++) {
        pass_ms(1);
        clients[i] = live_client_of_key(&key);
    }
    pass_ms(1);
    assert_true(can_call(clients[0]));
    clients[3] = live_client_of_key(&key);
    expect_counts(0, 4);
    assert_true(can_call(clients[0]));
    assert_false(can_call(clients[1]));
    assert_true(can_call(clients[2]));
    assert_true(can_call(clients[3]));
    assert_true(can_call(bystander));
    for (int i = 0; i < 4; i++) {
        session_client_destroy(clients[i]);
    }
    session_client_destroy(bystander);
}

static void a_full_server_drops_pending_sessions_before_live_ones(void **state)
{
    (void)state;
    restart((struct session_server_options){.sessions_max = 3});
    struct session_client *first = live_client();
    pass_ms(1);
    struct session_client *second = live_client();
    struct session_client *pending[5];

    for (int i = 0; i < 5; i++) {
        pending[i] = new_client();
        pass_ms(1);
        assert_int_equal(greet(pending[i], NULL), SESSION_GREETED);
        expect_counts(1, 2);
    }
    assert_true(can_call(first));
    assert_true(can_call(second));
    assert_false(can_call(pending[3]));
    pass_ms(1);
    assert_true(can_call(pending[4]));
    assert_true(can_call(first));
    struct session_client *another = live_client(); // no pending one is left
    expect_counts(0, 3);
    assert_true(can_call(first));
    assert_false(can_call(second));
    for (int i = 0; i < 5; i++) {
        session_client_destroy(pending[i]);
    }
    session_client_destroy(first);
    session_client_destroy(second);
    session_client_destroy(another);
}

/* --- cookies --- */

static void under_load_a_hello_costs_a_cookie_and_nothing_is_computed(void **state)
{
    (void)state;
    restart((struct session_server_options){.hellos_free = 2});
    struct session_client *client = new_client();
    uint8_t hello[SESSION_GREETING_MAX];
    struct session_arrival arrival;

    for (int i = 0; i < 2; i++) {
        pass_ms(1);
        assert_int_equal(greet(client, NULL), SESSION_GREETED);
    }
    int calls = authority.calls;
    pass_ms(1);
    size_t size = say_hello(client, hello);
    assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
    assert_int_equal(answer_type(&arrival), CODEC_COOKIE);
    assert_int_equal(authority.calls, calls);
    memset(hello + SESSION_HEADER_SIZE, 0, size - SESSION_HEADER_SIZE);
    assert_int_equal(arrive(hello, size, &arrival), SESSION_ANSWER);
    assert_int_equal(answer_type(&arrival), CODEC_COOKIE); // it was not looked at

    assert_int_equal(
        session_client_take(
            client, now.monotonic_ms, arrival.answer, arrival.answer_size, NULL),
        SESSION_GREET_AGAIN);
    assert_int_equal(greet(client, NULL), SESSION_GREETED);
    assert_true(can_call(client));

    pass_ms(1000);
    assert_int_equal(greet(client, NULL), SESSION_GREETED); // the load is over
    session_client_destroy(client);
}

static bool is_admitted(struct session_cookie *cookie,
                        int64_t now_ms,
                        const char *address,
                        const uint8_t *given)
{
    struct session_cookie copy = *cookie; // which counts for itself

    return session_cookie_admit(&copy, now_ms, address, given);
}

static void a_cookie_is_good_for_its_address_and_for_a_while(void **state)
{
    (void)state;
    struct session_cookie cookie;
    uint8_t given[SESSION_COOKIE_SIZE];
    int64_t start_ms = 5000;

    session_cookie_init(&cookie, 0, id_random_bytes, start_ms);
    session_cookie_make(&cookie, HOST, given);
    assert_false(is_admitted(&cookie, start_ms, HOST, NULL));
    assert_true(is_admitted(&cookie, start_ms, HOST, given));
    assert_false(is_admitted(&cookie, start_ms, "192.0.2.8", given));
    for (size_t bit = 0; bit < 8 * sizeof(given); bit++) {
        flip(given, bit);
        assert_false(is_admitted(&cookie, start_ms, HOST, given));
        flip(given, bit);
    }
    // The key before the newest is good too.
    (void)session_cookie_admit(
        &cookie, start_ms + SESSION_COOKIE_ROTATE_MS, HOST, NULL);
    assert_true(is_admitted(&cookie, start_ms + SESSION_COOKIE_ROTATE_MS, HOST, given));
    (void)session_cookie_admit(
        &cookie, start_ms + 2 * SESSION_COOKIE_ROTATE_MS, HOST, NULL);
    assert_false(
        is_admitted(&cookie, start_ms + 2 * SESSION_COOKIE_ROTATE_MS, HOST, given));
    session_cookie_fini(&cookie);
}

static void even_with_a_cookie_an_address_has_a_rate(void **state)
{
    (void)state;
    struct session_cookie cookie;
    uint8_t given[SESSION_COOKIE_SIZE];

    session_cookie_init(&cookie, 0, id_random_bytes, 0);
    session_cookie_make(&cookie, HOST, given);
    for (int i = 0; i < SESSION_COOKIE_ADDRESS_MAX; i++) {
        assert_true(session_cookie_admit(&cookie, 500, HOST, given));
    }
    assert_false(session_cookie_admit(&cookie, 999, HOST, given));
    assert_true(session_cookie_admit(&cookie, 1000, HOST, given));
    session_cookie_fini(&cookie);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_request_and_its_reply_open_on_the_other_side),
        test(a_server_learns_key_role_name_and_place_of_who_calls),
        test(nothing_that_matters_is_in_the_clear),
        test(no_counter_is_used_twice_by_either_side),
        test(a_hello_with_any_bit_flipped_makes_no_session),
        test(a_welcome_with_any_bit_flipped_gives_no_session_that_works),
        test(a_request_with_any_bit_flipped_is_not_opened),
        test(a_reply_with_any_bit_flipped_is_not_opened),
        test(a_request_sent_back_is_no_reply_and_sessions_do_not_mix),
        test(clear_frames_and_those_of_the_other_direction_are_garbage),
        test(a_window_accepts_each_of_its_newest_counters_once),
        test(a_request_is_opened_once_in_any_order_within_the_window),
        test(a_session_is_pending_until_its_first_request_opens),
        test(a_session_that_is_never_used_is_forgotten_in_half_a_minute),
        test(a_hello_that_comes_again_makes_nothing),
        test(a_hello_older_than_its_keys_last_is_refused_though_never_seen),
        test(a_client_whose_clock_is_behind_anothers_of_its_key_gets_in),
        test(everything_replayed_opens_nothing),
        test(a_session_lasts_an_hour_and_is_honoured_for_a_minute_more),
        test(a_session_wears_out_and_is_honoured_for_a_minute_more),
        test(after_four_billion_messages_the_minute_of_grace_begins),
        test(a_new_session_of_a_key_leaves_the_old_one_alone),
        test(a_restarted_server_rejects_and_the_client_shakes_hands_again),
        test(a_reject_can_do_no_more_than_make_a_client_shake_hands),
        test(a_server_changes_its_key_and_who_has_called_meanwhile_goes_on),
        test(a_session_of_a_former_key_is_honoured_for_a_minute),
        test(an_announced_key_is_trusted_before_and_after_the_change),
        test(a_forged_reject_does_not_change_who_is_trusted),
        test(a_refused_key_is_told_why_under_seal_and_is_not_remembered),
        test(a_key_that_is_revoked_loses_its_sessions_within_a_second),
        test(a_session_that_moves_to_another_host_is_asked_about_at_once),
        test(a_forged_request_does_not_ask_about_a_key),
        test(a_server_with_another_key_or_cluster_rejects_without_a_word),
        test(a_client_of_another_protocol_is_told_so),
        test(a_hello_may_be_longer_than_is_known_but_not_shorter),
        test(a_token_named_without_its_secret_is_rejected),
        test(an_agent_joins_with_a_token_and_its_secret_only),
        test(a_name_that_does_not_fit_a_hello_is_an_error),
        test(a_key_with_many_sessions_loses_the_one_unused_for_longest),
        test(a_full_server_drops_pending_sessions_before_live_ones),
        test(under_load_a_hello_costs_a_cookie_and_nothing_is_computed),
        test(a_cookie_is_good_for_its_address_and_for_a_while),
        test(even_with_a_cookie_an_address_has_a_rate),
    };

    assert_int_equal(id_init(), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
