/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_rpc_server.c - does a stranger's connection do a server any harm?
 *
 * A real server on a Unix socket that offers both services of the master; each call
 * that gets through is refused by its handler. The first byte of an input says where
 * its bytes are put: as a frame in a request, behind nng's greeting, or in place of it.
 * Afterwards either an answer or the hang-up must come, and at times an honest request
 * is answered.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/fs.h"
#include "common/rpc_server.h"
#include "master/services.h"
#include "tests/fuzz/fuzz.h"

#define WAIT_MS      4000
#define HONEST_EVERY 64
#define HEAD_SIZE    13 /* nng's: kind, size, request id */

static char *folder;
static char *path;
static struct rpc_server *server;

/* nng 1.5 loses a reply whose connection ends in the moment in which it is sent. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:rpc_frame_reply\n";
}

static void incoming(void *arg, struct rpc_call *call)
{
    struct error err;

    (void)arg;
    (void)error_set(&err, ERROR_UNIMPLEMENTED, "nothing is done here");
    rpc_call_fail(call, &err, 0);
}

static void leave(void)
{
    (void)fs_remove_tree(folder, NULL);
}

static void start(void)
{
    char template[] = "/tmp/cortex-fuzz-XXXXXX";
    struct error err = {0};

    folder = memory_strdup(mkdtemp(template));
    path = fs_join(folder, "socket");
    char *url = memory_format("ipc://%s", path);
    const struct rpc_server_options options = {.url = url,
                                               .services = services(incoming, NULL)};
    (void)atexit(leave);
    fuzz_check(rpc_server_start(&options, &server, &err) == 0, "a server starts");
    free(url);
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, strlen(path) + 1);
    fuzz_check(fd >= 0 &&
                   connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
               "the server accepts connections");
    return fd;
}

static void say(int fd, const void *data, size_t size)
{
    (void)send(fd, data, size, MSG_NOSIGNAL); // it may have hung up
}

/* Connections that end while something is sent wedge nng 1.5 sooner or later, for which
 * a daemon has its watchdog (rpc_server.h): then the run is over, and nothing was
 * found. run.py goes on with another. Connections that are not closed count: in the end
 * no more are taken. */
static void check_served(bool served, const char *promise)
{
    if (!served && rpc_server_descriptor_drift(server) > 0) {
        (void)fprintf(stderr, "nng is wedged\n");
        leave();
        _exit(0);
    }
    fuzz_check(served, promise);
}

/* What comes within the time: its size, 0 for the hang-up. */
static size_t hear(int fd, void *out, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready;

    do {
        ready = poll(&poll_fd, 1, WAIT_MS);
    } while (ready < 0 && errno == EINTR); // libFuzzer has a timer
    check_served(ready == 1, "an answer or a hang-up comes");
    ssize_t got = recv(fd, out, size, 0);
    return got > 0 ? (size_t)got : 0;
}

static void greet(int fd)
{
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 48, 0, 0};
    uint8_t back[8];

    say(fd, greeting, sizeof(greeting));
    (void)hear(fd, back, sizeof(back));
}

static void say_frame(int fd, const void *frame, size_t size)
{
    uint8_t head[HEAD_SIZE] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 1};
    uint64_t total = htobe64(size + 4);

    memcpy(head + 1, &total, sizeof(total));
    say(fd, head, sizeof(head));
    say(fd, frame, size);
}

static void ask_honestly(void)
{
    static const struct codec_request request = {
        .request_id = "0123456789abcde",
        .method = "cortex.v1.Client/Info",
        .timeout_ms = 1500,
        .release = "0.1.0",
    };
    struct buffer frame = BUFFER_INIT;
    uint8_t answer[4096];
    int fd = dial();

    greet(fd);
    codec_pack_request(&request, 1, NULL, NULL, 0, &frame);
    say_frame(fd, frame.data, frame.size);
    check_served(hear(fd, answer, sizeof(answer)) > HEAD_SIZE + CODEC_PREFIX_SIZE,
                 "an honest request is answered");
    buffer_fini(&frame);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned count;
    struct fuzz_input input = {data, size};
    unsigned where = fuzz_take_byte(&input) % 3;
    uint8_t answer[4096];

    if (!folder) {
        start();
    }
    int fd = dial();
    if (where < 2) {
        greet(fd);
    }
    if (where == 0) {
        say_frame(fd, input.data, input.size);
    } else {
        say(fd, input.data, input.size);
        (void)shutdown(fd, SHUT_WR);
    }
    (void)hear(fd, answer, sizeof(answer));
    (void)close(fd);
    if (++count % HONEST_EVERY == 0) {
        ask_honestly();
    }
    return 0;
}
