/* SPDX-License-Identifier: Apache-2.0 */
/* master.c - how the master is put together, run and taken apart */
#include "master/master.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/log.h"
#include "common/rpc_server.h"
#include "master/act.h"
#include "master/admission.h"
#include "master/loop.h"
#include "master/recover.h"
#include "master/routes.h"
#include "master/services.h"
#include "master/state.h"
#include "master/sync.h"

#define MASTER_DRAIN_MS 5000 /* for replies under way, when leaving */
#define MASTER_PROBE_S  1    /* between attempts to write, while the disk is not well */
#define MASTER_TICK_S   1    /* between looks at keys and connections */

/* Connections: 5,000 agents', or half of the descriptors if there are so few. */
#define MASTER_CONNECTIONS_MAX 16384
#define MASTER_DESCRIPTORS_MAX 65536

struct master {
    struct store *store;
    struct state state;
    struct loop *loop;
    struct act *act;
    struct rpc_server *server;
    struct admission *admission; // NULL: no keys, frames are clear
    bool read_only;
    bool well; // a write succeeded though it was read_only
    unsigned connections_max;
    atomic_bool wedged; // nng is
};

// Without a seal nobody beyond this machine may call.
static bool is_local(const char *url)
{
    static const char *const allowed[] = {
        "ipc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:"};

    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        if (strncmp(url, allowed[i], strlen(allowed[i])) == 0) {
            return true;
        }
    }
    return false;
}

static int check_url(const struct master *master, const char *url, struct error *err)
{
    return master->admission || is_local(url)
               ? 0
               : error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "--listen: got \"%s\"; without keys, which `cortex-master "
                           "init` makes, the master listens on this machine only, "
                           "such as tcp://127.0.0.1:8790",
                           url);
}

static int open_state(struct master *master,
                      const struct master_options *options,
                      struct error *err)
{
    char *path = fs_join(options->state_folder, "state.db");
    struct state_settings settings = {.lease_ms = options->lease_ms,
                                      .lost_ms = options->lost_ms,
                                      .bridge_url = options->bridge_url,
                                      .read_only = options->read_only};
    int result = -1;

    _Static_assert(JOB_BOOT_SIZE == CLOCK_BOOT_ID_SIZE, "a boot's id is stored");
    clock_boot_id(settings.machine_boot);
    if (fs_make_folder(options->state_folder, 0700, err) == 0 &&
        store_open(path, &master->store, err) == 0 &&
        state_init(&master->state, &settings, master->store, id_random_number(), err) ==
            0) {
        master->state.now_ms = clock_monotonic_ms();
        master->state.wall_ns = clock_wall_ns();
        result = recover_state(&master->state, err);
    }
    free(path);
    return result;
}

// Agents keep what they have and come again; users are told.
static void refuse(struct rpc_call *call)
{
    bool agent = strncmp(rpc_call_method(call), "cortex.v1.Agent", 15) == 0;
    struct error err = {0};

    error_set(&err,
              agent ? ERROR_UNAVAILABLE : ERROR_DATA_LOSS,
              "the master's disk is full or failing: nothing can be changed until it "
              "takes writes again, which is tried every second");
    rpc_call_fail(call, &err, MASTER_PROBE_S * 1000);
}

static void incoming(void *arg, struct rpc_call *call)
{
    struct master *master = arg;
    const struct route *route = route_find(rpc_call_method(call));
    struct error err = {0};

    if (route && master->read_only && !route->reads) {
        refuse(call);
        return;
    }
    if (route) {
        act_request(master->act, route, call);
        return;
    }
    error_set(&err, ERROR_UNIMPLEMENTED, "there is no %s", rpc_call_method(call));
    rpc_call_fail(call, &err, 0);
}

static int lose_refused(struct state *state, void *arg, struct error *err)
{
    struct master *master = arg;

    return sync_lose_refused(state, admission_keys(master->admission), err);
}

static void look_after_own_keys(struct master *master)
{
    struct identity self;

    if (admission_rekeyed(master->admission, &self)) {
        rpc_server_rekey(master->server, &self.key, self.has_next ? &self.next : NULL);
        key_wipe(&self, sizeof(self));
    }
}

// Keys may have expired though nobody changed them.
static void look_after_keys(struct master *master)
{
    if (master->admission) {
        look_after_own_keys(master);
        admission_reload(master->admission);
        loop_post(master->loop, lose_refused, master);
    }
}

/* nng 1.5 stops closing connections for good when a peer leaves at the wrong moment,
 * which a stranger can do on purpose (rpc_server.h). Most of them at once are too many
 * to wait for more. *since_ms: since when there are too many; INT64_MAX: there are not.
 */
static bool is_wedged(struct master *master, int64_t *since_ms)
{
    int drift = rpc_server_descriptor_drift(master->server);
    int64_t now_ms = clock_monotonic_ms();

    if (drift <= RPC_DRIFT_MAX) {
        *since_ms = INT64_MAX;
    } else if (*since_ms == INT64_MAX) {
        *since_ms = now_ms;
    }
    bool wedged = now_ms - *since_ms >= RPC_DRIFT_MS ||
                  drift > (int)(master->connections_max / 2);
    if (wedged) {
        log_warning("%d connections have ended and are not closed", drift);
    }
    return wedged;
}

// Whoever was let in is answered while the loop still runs, which then ends.
static void *leave(void *arg)
{
    struct master *master = arg;

    act_leave(master->act);
    loop_post(master->loop, route_leave, NULL);
    unsigned left = rpc_server_drain(master->server, MASTER_DRAIN_MS);
    if (left > 0) {
        log_warning("leaving: %u calls are not answered", left);
    }
    loop_stop(master->loop);
    return NULL;
}

// Waits for a signal to leave, and looks meanwhile after what nobody else does.
static void *watch(void *arg)
{
    struct master *master = arg;
    struct timespec tick = {.tv_sec = MASTER_TICK_S};
    int64_t since_ms = INT64_MAX;
    sigset_t set;
    int signal_number;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    while ((signal_number = sigtimedwait(&set, NULL, &tick)) < 0) {
        look_after_keys(master);
        if (is_wedged(master, &since_ms)) {
            atomic_store(&master->wedged, true);
            return leave(master);
        }
    }
    log_info("leaving: got %s", strsignal(signal_number));
    return leave(master);
}

static int start_thread(void *(*run)(void *), struct master *master, struct error *err)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, master) != 0) {
        return error_set(err, ERROR_INTERNAL, "cannot start a thread");
    }
    (void)pthread_detach(thread);
    return 0;
}

static int probe(struct state *state, void *arg, struct error *err)
{
    struct master *master = arg;
    uint32_t boot;

    (void)err; // it is still so
    if (master->well) {
        return 0; // it leaves
    }
    if (store_boot(state->store, &boot, NULL) == 0) {
        master->well = start_thread(leave, master, NULL) == 0;
    } else {
        store_rollback(state->store);
    }
    return 0;
}

static void *probe_each_second(void *arg)
{
    struct master *master = arg;

    for (;;) {
        (void)sleep(MASTER_PROBE_S);
        loop_post(master->loop, probe, master);
    }
    return NULL;
}

static void say_ready(const struct master_options *options, const struct master *master)
{
    if (options->ready_fd >= 0) {
        (void)dprintf(options->ready_fd, "%s\n", rpc_server_url(master->server));
        (void)close(options->ready_fd);
    }
    log_info("start %u: listening on %s%s, state in %s",
             master->state.boot,
             rpc_server_url(master->server),
             master->admission ? "" : " without keys",
             options->state_folder);
}

static int
serve(struct master *master, const struct master_options *options, struct error *err)
{
    struct rpc_server_options server = {.url = options->listen_url,
                                        .connections_max = master->connections_max,
                                        .services = services(incoming, master)};
    struct session_server_options seal = {.data = NULL};

    if (master->admission) {
        admission_seal(master->admission, &seal);
        server.seal = &seal;
    }
    if (rpc_server_start(&server, &master->server, err) != 0 ||
        start_thread(watch, master, err) != 0 ||
        (options->read_only && start_thread(probe_each_second, master, err) != 0)) {
        return -1;
    }
    key_wipe(&seal, sizeof(seal));
    say_ready(options, master);
    return loop_run(master->loop, err);
}

// What a start wants done, and when, is left for one that may write.
static void drop_actions(struct state *state)
{
    struct action *action;

    state->wake_ms = INT64_MAX;
    while ((action = outbox_take(&state->outbox))) {
        action_free(action);
    }
}

static unsigned connections_max(void)
{
    size_t half = fs_allow_descriptors(MASTER_DESCRIPTORS_MAX) / 2;

    return half < MASTER_CONNECTIONS_MAX ? (unsigned)half : MASTER_CONNECTIONS_MAX;
}

enum master_end master_run(const struct master_options *options, struct error *err)
{
    struct master *master = memory_zalloc(sizeof(*master));
    struct act_options acting = {.state_folder = options->state_folder,
                                 .allow_file = options->allow_file};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN); // whoever waits for --ready-fd may be gone
    if (admission_open(options->state_folder, &master->admission, err) != 0 ||
        check_url(master, options->listen_url, err) != 0 ||
        open_state(master, options, err) != 0) {
        return MASTER_FAILED;
    }
    acting.admission = master->admission;
    if (act_create(&acting, &master->act, err) != 0) {
        return MASTER_FAILED;
    }
    master->connections_max = connections_max();
    master->read_only = options->read_only;
    if (master->read_only) {
        drop_actions(&master->state);
    }
    master->loop = loop_create(&master->state, act_carry_out, master->act);
    act_set_loop(master->act, master->loop);
    int result = serve(master, options, err);
    // nng's threads may still call in: only what is on disk is brought in order.
    store_close(master->store);
    if (result != 0) {
        return err && err->code == ERROR_DATA_LOSS ? MASTER_AILING : MASTER_FAILED;
    }
    if (master->well) {
        return MASTER_WELL;
    }
    return atomic_load(&master->wedged) ? MASTER_WEDGED : MASTER_LEFT;
}
