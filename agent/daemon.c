/* SPDX-License-Identifier: Apache-2.0 */
/* daemon.c - what wakes the agent, and in which order it then does things */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/crew.h"
#include "agent/daemon.h"
#include "agent/home.h"
#include "agent/own_key.h"
#include "agent/process.h"
#include "agent/spot.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/log.h"
#include "common/object.h"
#include "common/reexec.h"
#include "common/seal.h"

#define EVENTS_MAX 64
#define RETRY_MS   100 /* before a call that failed at once is made again */
/* While batches flow, rounds are this far apart: a round then moves many of them, and
 * every worker has far more than that ahead. */
#define ROUND_NS 500000
#define DUMP_MS  500 /* before the grace ends, stacks are written to the logs */

/* SERVING -> DRAINING (SIGTERM, or a spot notice) -> STOPPING (grace over, or again) ->
 * LEFT */
enum stage { SERVING, DRAINING, STOPPING, LEFT };

struct daemon {
    const struct daemon_options *options;
    struct sandbox sandbox;
    struct cgroups cgroups;
    struct home home;
    struct seal seal;
    struct session *session;
    struct spot *spot;
    struct object_store *store;
    struct output *output;
    struct crew *crew;
    struct agent *agent;
    int epoll_fd;
    int wake_fd; /* written by other threads */
    int signal_fd;
    enum stage stage;
    int64_t deadline_ms; /* of the stage; 0: none */
    bool dumped;
    bool said_ready;
    bool said_away;
    bool said_refused;              /* and why the master does not let it in */
    struct agent_work_request work; /* unanswered */
    bool work_pending;
    bool work_refused;     /* Sync first, then the same again */
    int64_t sync_after_ms; /* pauses after failures */
    int64_t work_after_ms;
};

static void wake(void *arg)
{
    struct daemon *daemon = arg;

    (void)eventfd_write(daemon->wake_fd, 1);
}

static const char *master_url(const struct daemon *daemon)
{
    if (daemon->options->master_url) {
        return daemon->options->master_url;
    }
    return daemon->seal.sealed ? daemon->seal.join.address : DAEMON_MASTER_URL;
}

/* --- replies ---------------------------------------------------------------------- */

static void note_away(struct daemon *daemon, const struct error *err)
{
    bool refused =
        err->code == ERROR_UNAUTHENTICATED || err->code == ERROR_PERMISSION_DENIED;

    if (refused && !daemon->said_refused) {
        daemon->said_away = true;
        daemon->said_refused = true;
        log_error("the master does not let this agent in: %s", err->message);
    } else if (!daemon->said_away && err->code != ERROR_CANCELLED) {
        daemon->said_away = true;
        log_warning("the master does not answer: %s", err->message);
    }
}

static void note_here(struct daemon *daemon)
{
    if (daemon->said_away) {
        daemon->said_away = false;
        daemon->said_refused = false;
        log_info("the master answers again");
    }
    if (!daemon->said_ready) {
        daemon->said_ready = true;
        log_info("registered with %s", master_url(daemon));
        if (daemon->options->ready_fd >= 0) {
            (void)fs_write_all(daemon->options->ready_fd, "ready\n", 6, NULL);
            (void)close(daemon->options->ready_fd);
        }
    }
}

static void take_sync(struct daemon *daemon,
                      const struct session_outcome *outcome,
                      int64_t *after_ms,
                      int64_t now_ms)
{
    if (outcome->error.code == ERROR_OK) {
        note_here(daemon);
        agent_sync_apply(daemon->agent, outcome->sync_number, &outcome->sync, now_ms);
        daemon->work_refused = false;
    } else {
        note_away(daemon, &outcome->error);
        agent_sync_failed(daemon->agent);
        *after_ms = now_ms + RETRY_MS;
    }
}

static void
take_work(struct daemon *daemon, const struct session_outcome *outcome, int64_t now_ms)
{
    if (outcome->error.code == ERROR_OK) {
        agent_work_apply(daemon->agent, &outcome->work, now_ms);
        agent_work_request_fini(&daemon->work);
        daemon->work_pending = false;
        return;
    }
    if (outcome->error.code == ERROR_FAILED_PRECONDITION) {
        agent_work_refused(daemon->agent);
        daemon->work_refused = true;
    } else {
        note_away(daemon, &outcome->error);
        daemon->work_after_ms = now_ms + RETRY_MS;
    }
}

static void take_replies(struct daemon *daemon, int64_t now_ms)
{
    const struct session_outcome *outcome;

    if (session_phase(daemon->session, SESSION_SYNC) == SESSION_OVER) {
        take_sync(daemon,
                  session_outcome(daemon->session, SESSION_SYNC),
                  &daemon->sync_after_ms,
                  now_ms);
        session_finish(daemon->session, SESSION_SYNC);
    }
    if (session_phase(daemon->session, SESSION_WORK) == SESSION_OVER) {
        outcome = session_outcome(daemon->session, SESSION_WORK);
        if (outcome->is_work) {
            take_work(daemon, outcome, now_ms);
        } else {
            take_sync(daemon, outcome, &daemon->work_after_ms, now_ms);
        }
        session_finish(daemon->session, SESSION_WORK);
    }
    if (session_phase(daemon->session, SESSION_FILES) == SESSION_OVER) {
        outcome = session_outcome(daemon->session, SESSION_FILES);
        crew_shipped(daemon->crew,
                     outcome->error.code == ERROR_OK ? NULL : &outcome->error,
                     now_ms);
        session_finish(daemon->session, SESSION_FILES);
    }
}

/* --- calls ------------------------------------------------------------------------ */

static void lower(int64_t *wake_ms, int64_t to_ms)
{
    *wake_ms = to_ms < *wake_ms ? to_ms : *wake_ms;
}

static void call_sync(struct daemon *daemon, int64_t now_ms, int64_t *out_wake_ms)
{
    struct agent_sync_request request;

    if (session_phase(daemon->session, SESSION_SYNC) != SESSION_IDLE) {
        return;
    }
    if (now_ms < daemon->sync_after_ms) {
        lower(out_wake_ms, daemon->sync_after_ms);
        return;
    }
    agent_sync_build(daemon->agent, AGENT_PARK_MS, &request);
    session_sync_start(daemon->session, SESSION_SYNC, &request);
}

static void call_work(struct daemon *daemon, int64_t now_ms, int64_t *out_wake_ms)
{
    struct agent_sync_request request;
    enum agent_call call;

    if (session_phase(daemon->session, SESSION_WORK) != SESSION_IDLE) {
        return;
    }
    if (now_ms < daemon->work_after_ms) {
        lower(out_wake_ms, daemon->work_after_ms);
        return;
    }
    call = agent_next_call(daemon->agent, now_ms, out_wake_ms);
    if (call == AGENT_CALL_SYNC) {
        agent_sync_build(daemon->agent, 0, &request);
        session_sync_start(daemon->session, SESSION_WORK, &request);
    } else if (daemon->work_pending && !daemon->work_refused) {
        session_work_start(daemon->session, &daemon->work); // the same again
    } else if (call == AGENT_CALL_WORK) {
        agent_work_build(daemon->agent, now_ms, &daemon->work);
        daemon->work_pending = true;
        session_work_start(daemon->session, &daemon->work);
    }
}

/* --- leaving ---------------------------------------------------------------------- */

static void enter(struct daemon *daemon, enum stage stage, int64_t now_ms)
{
    daemon->stage = stage;
    if (stage == DRAINING) {
        log_info("draining: workers may end what they do within %lld ms",
                 (long long)daemon->options->grace_ms);
        daemon->deadline_ms = now_ms + daemon->options->grace_ms;
        agent_drain(daemon->agent);
    } else if (stage == STOPPING) {
        daemon->deadline_ms = now_ms + DAEMON_FLUSH_MS;
        agent_stop(daemon->agent);
    }
}

/* The machine is going to be taken away: what has not begun moves at once, and the rest
 * has until shortly before that. */
static void take_notice(struct daemon *daemon, int64_t now_ms)
{
    struct spot_notice notice;

    if (daemon->stage != SERVING || !spot_noticed(daemon->spot, &notice)) {
        return;
    }
    int64_t left_ms = notice.wall_ms - clock_wall_ms();
    int64_t end_ms =
        now_ms + (left_ms > DAEMON_FLUSH_MS ? left_ms - DAEMON_FLUSH_MS : 0);
    log_warning("EC2 is going to %s this spot instance in %lld s",
                notice.action,
                (long long)(left_ms > 0 ? left_ms / 1000 : 0));
    enter(daemon, DRAINING, now_ms);
    lower(&daemon->deadline_ms, end_ms);
}

static void take_signal(struct daemon *daemon, int64_t now_ms)
{
    struct signalfd_siginfo info;

    while (read(daemon->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (daemon->stage == SERVING) {
            enter(daemon, DRAINING, now_ms);
        } else {
            log_warning("told again to leave: leaving at once");
            agent_stop(daemon->agent);
            daemon->stage = LEFT;
        }
    }
}

static void advance_stage(struct daemon *daemon, int64_t now_ms, int64_t *out_wake_ms)
{
    bool over = daemon->deadline_ms != 0 && now_ms >= daemon->deadline_ms;

    if (daemon->stage == SERVING || daemon->stage == LEFT) {
        return;
    }
    // A master that never knew us, or is away, need not be told: leases end.
    if (agent_finished(daemon->agent) && crew_finished(daemon->crew) &&
        session_phase(daemon->session, SESSION_WORK) == SESSION_IDLE) {
        daemon->stage = LEFT;
        return;
    }
    if (daemon->stage == DRAINING && !daemon->dumped &&
        now_ms >= daemon->deadline_ms - DUMP_MS) {
        daemon->dumped = true;
        crew_dump(daemon->crew);
    }
    if (over && daemon->stage == DRAINING) {
        enter(daemon, STOPPING, now_ms);
    } else if (over) {
        log_warning("leaving with results or log lines that the master has not taken");
        daemon->stage = LEFT;
    }
    lower(out_wake_ms,
          daemon->stage == DRAINING && !daemon->dumped ? daemon->deadline_ms - DUMP_MS
                                                       : daemon->deadline_ms);
}

/* What nng keeps open because it is stuck is given back by executing the agent anew,
 * which nobody notices while it has no worker and nothing to tell. */
static void run_anew_if_stuck(struct daemon *daemon)
{
    if (daemon->stage != SERVING || !session_was_stuck(daemon->session) ||
        !agent_finished(daemon->agent) || !crew_finished(daemon->crew) ||
        session_phase(daemon->session, SESSION_WORK) != SESSION_IDLE) {
        return;
    }
    log_warning("nng did not connect by itself: executing the agent anew");
    cgroups_close(&daemon->cgroups);
    reexec(daemon->options->argv);
    log_error("cannot execute the agent anew: it leaves");
    _exit(EXIT_FAILURE); // whoever watches over it starts it again
}

/* --- the loop --------------------------------------------------------------------- */

static void take_events(struct daemon *daemon, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(daemon->epoll_fd, events, EVENTS_MAX, timeout_ms);
    int64_t now_ms = clock_monotonic_ms();
    eventfd_t count;

    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &daemon->wake_fd) {
            (void)eventfd_read(daemon->wake_fd, &count);
        } else if (events[i].data.ptr == &daemon->signal_fd) {
            take_signal(daemon, now_ms);
        } else {
            crew_event(daemon->crew, events[i].data.ptr, events[i].events, now_ms);
        }
    }
}

static int timeout_until(int64_t wake_ms, int64_t now_ms)
{
    if (wake_ms == INT64_MAX) {
        return -1;
    }
    return wake_ms <= now_ms
               ? 0
               : (int)(wake_ms - now_ms < 60000 ? wake_ms - now_ms : 60000);
}

static void run_loop(struct daemon *daemon)
{
    const struct timespec pause = {.tv_nsec = ROUND_NS};

    while (daemon->stage != LEFT) {
        int64_t now_ms = clock_monotonic_ms();
        int64_t wake_ms = INT64_MAX;

        take_notice(daemon, now_ms);
        take_replies(daemon, now_ms);
        crew_turn(daemon->crew, now_ms, &wake_ms);
        advance_stage(daemon, now_ms, &wake_ms);
        call_work(daemon, now_ms, &wake_ms);
        call_sync(daemon, now_ms, &wake_ms);
        crew_ship(daemon->crew, now_ms, &wake_ms);
        run_anew_if_stuck(daemon);
        if (daemon->stage == LEFT) {
            break;
        }
        if (crew_was_busy(daemon->crew)) {
            (void)nanosleep(&pause, NULL);
        }
        take_events(daemon, timeout_until(wake_ms, clock_monotonic_ms()));
    }
    crew_turn(daemon->crew, clock_monotonic_ms(), &(int64_t){0});
}

static int watch(struct daemon *daemon, int fd, void *data, struct error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};

    if (fd < 0 || epoll_ctl(daemon->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return error_set_errno(err, ERROR_RESOURCE_EXHAUSTED, "cannot wait for events");
    }
    return 0;
}

/* Signals come by a descriptor; blocked before there is any other thread. */
static int open_descriptors(struct daemon *daemon, struct error *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    daemon->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    daemon->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    daemon->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watch(daemon, daemon->wake_fd, &daemon->wake_fd, err) != 0) {
        return -1;
    }
    return watch(daemon, daemon->signal_fd, &daemon->signal_fd, err);
}

static void tell(const char *news)
{
    log_info("%s", news);
}

/* With keys the agent is whom its key says it is, and nobody else may be. */
static int open_seal(struct daemon *daemon, struct error *err)
{
    const struct seal_request request = {.folder = daemon->home.folder,
                                         .join = daemon->options->join,
                                         .key_file = daemon->options->key_file,
                                         .tell = tell};

    if (seal_open(&request, &daemon->seal, err) != 0) {
        return -1;
    }
    return daemon->seal.sealed ? own_key_name(daemon->seal.key_file,
                                              &daemon->seal.key,
                                              daemon->home.agent_id,
                                              err)
                               : 0;
}

/* The first start with a join token: the key is made known to the master. */
static int join(struct daemon *daemon, struct error *err)
{
    const struct key_join *to = &daemon->seal.join;
    struct session_client_options options;
    char token[KEY_TOKEN_ID_SIZE];

    key_token_id(to->token, token);
    seal_options(&daemon->seal, KEY_ROLE_AGENT, NULL, &options);
    options.trust = NULL; // nothing is kept before it has joined
    options.token = token;
    memcpy(options.token_secret, to->token, sizeof(options.token_secret));
    int result = session_join(master_url(daemon), &options, daemon->options->name, err);
    key_wipe(&options, sizeof(options));
    if (result != 0) {
        return error_wrap(err,
                          "cannot join with this token, which may be used up, expired "
                          "or revoked (`cortex-master keys token` makes another)");
    }
    log_info("joined %s", master_url(daemon));
    return seal_remember(daemon->home.folder, &daemon->seal, err);
}

static int open_session(struct daemon *daemon, struct error *err)
{
    struct session_client_options seal;
    struct session_options session = {.master_url = master_url(daemon),
                                      .incarnation = id_random_number(),
                                      .name = daemon->options->name,
                                      .notify = wake,
                                      .arg = daemon};

    if (daemon->seal.join.has_token && join(daemon, err) != 0) {
        return -1;
    }
    memcpy(session.agent_id, daemon->home.agent_id, sizeof(session.agent_id));
    if (daemon->seal.sealed) {
        seal_options(&daemon->seal, KEY_ROLE_AGENT, NULL, &seal);
        session.seal = &seal;
    }
    return session_create(&session, &daemon->session, err);
}

static int build(struct daemon *daemon, struct error *err)
{
    const struct daemon_options *options = daemon->options;
    struct object_options object = {.allow_file = options->allow_file};
    struct crew_options crew = {.python = options->python,
                                .sandbox = &daemon->sandbox,
                                .cgroups = &daemon->cgroups,
                                .root_dependencies = options->root_dependencies,
                                .env_size_max = (uint64_t)options->env_size_max,
                                .gpus = options->capacity.gpus,
                                .epoll_fd = daemon->epoll_fd,
                                .notify = wake,
                                .arg = daemon};

    if (object_store_create(&object, &daemon->store, err) != 0 ||
        open_session(daemon, err) != 0) {
        return -1;
    }
    daemon->output = output_create(daemon->store, wake, daemon);
    crew.session = daemon->session;
    crew.output = daemon->output;
    crew.state_dir = daemon->home.folder;
    if (crew_create(&crew, &daemon->crew, err) != 0) {
        return -1;
    }
    daemon->agent = agent_create(&options->capacity, &crew_effects, daemon->crew);
    crew_set_agent(daemon->crew, daemon->agent);
    return 0;
}

static void say_who(const struct sandbox *sandbox)
{
    if (!sandbox->active && geteuid() == 0) {
        log_warning("user code runs as root (--user none)");
    } else if (!sandbox->active) {
        log_info("user code runs as user %u, as the agent does", geteuid());
    } else if (sandbox->named) {
        log_info("user code runs as user %u", sandbox->first);
    } else {
        log_info("user code runs as users %u to %u, one per worker",
                 sandbox->first,
                 sandbox->last);
    }
}

/* An interpreter in a closed folder would fail every job: better to fail at the start.
 */
static int check_python(const struct daemon *daemon, struct error *err)
{
    char *python = process_find(daemon->options->python, environ);
    int result =
        python == NULL ? 0 : sandbox_check_readable(&daemon->sandbox, python, err);

    free(python);
    return result;
}

/* Says once what the kernel does not bound here. */
static void open_cgroups(struct daemon *daemon)
{
    char name[KEY_NAME_TEXT_SIZE];
    struct error err = {0};

    key_name_format(daemon->home.agent_id, name);
    name[16] = '\0'; // half of it tells agents of a machine apart
    if (cgroups_open(name, &daemon->cgroups, &err) != 0 || !daemon->cgroups.memory) {
        log_info("workers' memory is looked after every %d ms: %s",
                 CREW_MEMORY_MS,
                 err.code == ERROR_OK ? "cgroup v2 has no memory controller here"
                                      : err.message);
    }
}

int daemon_run(const struct daemon_options *options, struct error *err)
{
    // Not freed: other threads may look at it until the process has ended.
    struct daemon *daemon = memory_zalloc(sizeof(*daemon));

    daemon->options = options;
    if (sandbox_parse(options->user, &daemon->sandbox, err) != 0) {
        return -1;
    }
    if (daemon->sandbox.active) {
        (void)umask(022); // else what workers must read may be closed to them
    }
    if (home_open(options->state_dir, &daemon->sandbox, &daemon->home, err) != 0 ||
        open_seal(daemon, err) != 0 || check_python(daemon, err) != 0 ||
        open_descriptors(daemon, err) != 0 || build(daemon, err) != 0 ||
        spot_start(wake, daemon, &daemon->spot, err) != 0) {
        return -1;
    }
    say_who(&daemon->sandbox);
    open_cgroups(daemon);
    run_loop(daemon);
    session_cancel(daemon->session);
    cgroups_close(&daemon->cgroups);
    log_info("left");
    return 0;
}
