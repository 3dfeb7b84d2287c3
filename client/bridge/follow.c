/* SPDX-License-Identifier: Apache-2.0 */
/* follow.c - how jobs' logs reach those who read them */
#include "client/bridge/follow.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buffer.h"
#include "common/clock.h"

#define PIECE_SIZE_MAX  (256u << 10) /* bytes of a log that a slow reader holds */
#define CALL_TIMEOUT_MS 10000        /* on top of the parked time */
#define WAIT_MS         5000  /* parked when there are threads enough; a newcomer */
                              /* beyond FOLLOW_THREADS_MAX waits so long at most */
#define TURN_MS        1000   /* how often all take turns when there are not */
#define RETRY_PAUSE_MS 250    /* after an answer that another try may better */
#define PATIENCE_MS    300000 /* without an answer, then readers are let go */

struct reader {
    struct follow *follow;
    char *api_name;
    uint64_t job_id;
    uint64_t offset;
    bool live;
    struct stream *stream; /* referenced while it waits at a place */
    struct reader *next;   /* at the same place */
};

// A byte of a log at which somebody waits for what comes next: one ReadLog call.
struct place {
    struct callers_work work;
    struct follow *follow;
    char *api_name;
    uint64_t job_id;
    uint64_t offset;
    bool live;
    int64_t answered_ms; /* when the master last answered, or it was made */
    struct reader *readers;
    struct place *next;
    struct place **link;
};

struct follow {
    pthread_mutex_t lock;
    struct callers *pool;
    struct place *places;
    unsigned place_count;
    unsigned reader_count;
};

struct follow *follow_create(struct callers *pool)
{
    struct follow *follow = memory_zalloc(sizeof(*follow));

    pthread_mutex_init(&follow->lock, NULL);
    follow->pool = pool;
    return follow;
}

static struct place *find_place(const struct follow *follow,
                                const struct reader *reader)
{
    for (struct place *place = follow->places; place; place = place->next) {
        if (place->job_id == reader->job_id && place->offset == reader->offset &&
            place->live == reader->live &&
            strcmp(place->api_name, reader->api_name) == 0) {
            return place;
        }
    }
    return NULL;
}

static void place_link(struct follow *follow, struct place *place)
{
    place->next = follow->places;
    place->link = &follow->places;
    if (place->next) {
        place->next->link = &place->next;
    }
    follow->places = place;
    follow->place_count++;
}

static void place_unlink(struct place *place)
{
    *place->link = place->next;
    if (place->next) {
        place->next->link = place->link;
    }
    place->follow->place_count--;
}

static void place_read(struct callers_work *work, struct client_api *api);

static struct place *place_create(const struct reader *reader)
{
    struct place *place = memory_zalloc(sizeof(*place));

    place->work.run = place_read;
    place->follow = reader->follow;
    place->api_name = memory_strdup(reader->api_name);
    place->job_id = reader->job_id;
    place->offset = reader->offset;
    place->live = reader->live;
    place->answered_ms = clock_monotonic_ms();
    return place;
}

static void place_free(struct place *place)
{
    free(place->api_name);
    free(place);
}

// The reader has sent all it had: it takes its place.
static void reader_ask(void *arg, struct stream *stream)
{
    struct reader *reader = arg;
    struct follow *follow = reader->follow;

    pthread_mutex_lock(&follow->lock);
    struct place *place = find_place(follow, reader);
    bool fresh = !place;
    if (fresh) {
        place = place_create(reader);
        place_link(follow, place);
    }
    reader->stream = stream_ref(stream);
    reader->next = place->readers;
    place->readers = reader;
    pthread_mutex_unlock(&follow->lock);
    if (fresh) {
        callers_submit(follow->pool, &place->work);
    }
}

static void reader_free(void *arg)
{
    struct reader *reader = arg;

    pthread_mutex_lock(&reader->follow->lock);
    reader->follow->reader_count--;
    pthread_mutex_unlock(&reader->follow->lock);
    free(reader->api_name);
    free(reader);
}

static const struct stream_source reader_source = {reader_ask, reader_free};

// Hands a piece to readers that have left their place. A stream may free its reader.
static void
hand_out(struct reader *readers, const struct client_log *log, enum stream_next next)
{
    size_t size = log->size < PIECE_SIZE_MAX ? log->size : PIECE_SIZE_MAX;
    bool whole = size == log->size;

    while (readers) {
        struct reader *reader = readers;
        struct stream *stream = reader->stream;
        readers = reader->next;
        reader->stream = NULL;
        reader->offset = whole ? log->next_offset : log->offset + size;
        stream_put(stream, log->data, size, whole ? next : STREAM_MORE);
        stream_unref(stream);
    }
}

// Lets go of those whose clients have left. With the lock held; those are returned, for
// their streams must not be let go under it.
static struct reader *drop_unwanted(struct place *place)
{
    struct reader *dropped = NULL;
    struct reader **at = &place->readers;

    while (*at) {
        struct reader *reader = *at;
        if (stream_wanted(reader->stream)) {
            at = &reader->next;
        } else {
            *at = reader->next;
            reader->next = dropped;
            dropped = reader;
        }
    }
    return dropped;
}

// How long a call may be parked, so that all places have their turn.
static uint32_t wait_ms(struct follow *follow, const struct place *place)
{
    pthread_mutex_lock(&follow->lock);
    unsigned places = follow->place_count;
    pthread_mutex_unlock(&follow->lock);
    if (!place->live) {
        return 0;
    }
    return places <= FOLLOW_THREADS_MAX ? WAIT_MS
                                        : TURN_MS * FOLLOW_THREADS_MAX / places + 1;
}

// Nothing to hand out yet: those still wanted go on waiting, if there are any.
static void place_go_on(struct place *place)
{
    static const struct client_log nothing = {0};
    struct follow *follow = place->follow;

    pthread_mutex_lock(&follow->lock);
    struct reader *dropped = drop_unwanted(place);
    bool empty = !place->readers;
    if (empty) {
        place_unlink(place);
    }
    pthread_mutex_unlock(&follow->lock);
    hand_out(dropped, &nothing, STREAM_BREAK);
    if (empty) {
        place_free(place);
    } else {
        callers_submit(follow->pool, &place->work);
    }
}

static void
place_finish(struct place *place, const struct client_log *log, enum stream_next next)
{
    pthread_mutex_lock(&place->follow->lock);
    place_unlink(place);
    pthread_mutex_unlock(&place->follow->lock);
    hand_out(place->readers, log, next); // nobody can join any more
    place_free(place);
}

static bool may_get_better(const struct error *err)
{
    return error_code_retryable(err->code);
}

static void place_fail(struct place *place, const struct error *err)
{
    static const struct client_log nothing = {0};
    const struct timespec pause = {.tv_nsec = RETRY_PAUSE_MS * 1000000L};

    if (may_get_better(err) &&
        clock_monotonic_ms() - place->answered_ms < PATIENCE_MS) {
        (void)nanosleep(&pause, NULL);
        place_go_on(place);
    } else {
        place_finish(place, &nothing, STREAM_BREAK);
    }
}

static void place_read(struct callers_work *work, struct client_api *api)
{
    struct place *place = (struct place *)work; // its first member
    struct client_log log;
    struct error err;

    client_api_set_timeout(api, CALL_TIMEOUT_MS);
    // For whoever reads it: each was let in when he asked for this api's log.
    if (client_api_act_for(api, KEY_ROLE_READ, place->api_name, &err) != 0 ||
        client_api_read_log(api,
                            place->api_name,
                            place->job_id,
                            place->offset,
                            wait_ms(place->follow, place),
                            &log,
                            &err) != 0) {
        place_fail(place, &err);
        return;
    }
    place->answered_ms = clock_monotonic_ms();
    if (log.end || (log.size == 0 && !place->live)) {
        place_finish(place, &log, STREAM_END);
    } else if (log.size > 0) {
        place_finish(place, &log, STREAM_MORE);
    } else {
        place_go_on(place);
    }
}

int follow_open(struct follow *follow,
                const char *api_name,
                uint64_t job_id,
                uint64_t offset,
                bool live,
                struct stream **out_stream,
                struct error *err)
{
    pthread_mutex_lock(&follow->lock);
    bool full = follow->reader_count >= FOLLOW_READERS_MAX;
    follow->reader_count += full ? 0 : 1;
    pthread_mutex_unlock(&follow->lock);
    if (full) {
        return error_set(err,
                         ERROR_RESOURCE_EXHAUSTED,
                         "%d logs are being read through this bridge, which is the most"
                         " it sends at a time: try again later",
                         FOLLOW_READERS_MAX);
    }
    struct reader *reader = memory_zalloc(sizeof(*reader));
    reader->follow = follow;
    reader->api_name = memory_strdup(api_name);
    reader->job_id = job_id;
    reader->offset = offset;
    reader->live = live;
    *out_stream = stream_create(&reader_source, reader);
    return 0;
}
