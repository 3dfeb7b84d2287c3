/* SPDX-License-Identifier: Apache-2.0 */
/* peers.c - how long a client may take */
#include "client/bridge/peers.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/buffer.h"

#define GIVEN_UP_MS   1000 /* what TLS holds may still be on its way */
#define CUT_READS_MAX 64   /* a client may send faster than we throw away */

// Of IPv6 the network, /64: whoever has one has all of its addresses.
static uint64_t number_of(const struct sockaddr *address)
{
    uint64_t number = 0;

    if (address->sa_family == AF_INET) {
        number = ((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr;
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 =
            (const struct sockaddr_in6 *)(const void *)address;
        memcpy(&number, &v6->sin6_addr, sizeof(number));
    }
    return number;
}

struct peer *
peers_add(struct peers *peers, int fd, const struct sockaddr *address, int64_t now_ms)
{
    struct peer *peer = memory_zalloc(sizeof(*peer));

    peer->fd = fd;
    peer->address = number_of(address);
    peer->next = peers->first;
    peer->link = &peers->first;
    if (peer->next) {
        peer->next->link = &peer->next;
    }
    peers->first = peer;
    peers_enter(peers, peer, PEER_HEADER, now_ms);
    return peer;
}

void peers_remove(struct peer *peer)
{
    *peer->link = peer->next;
    if (peer->next) {
        peer->next->link = peer->link;
    }
    tls_certificate_unref(peer->certificate);
    free(peer);
}

void peers_enter(const struct peers *peers,
                 struct peer *peer,
                 enum peer_phase phase,
                 int64_t now_ms)
{
    const int64_t may_take_ms[] = {
        [PEER_HEADER] = peers->header_ms,
        [PEER_BODY] = peers->body_ms,
        [PEER_ANSWER] = -1,
        [PEER_IDLE] = peers->idle_ms,
    };

    peer->phase = phase;
    peer->deadline_ms =
        may_take_ms[phase] < 0 ? INT64_MAX : now_ms + may_take_ms[phase];
}

// MHD sees the end of the stream and closes. Nothing of an answer has been sent in
// these phases, so ours cannot land in the middle of one.
static void cut(const struct peer *peer)
{
    static const char body[] =
        "{\"kind\":\"request_timeout\",\"message\":\"the request took too long to "
        "arrive\"}\n";
    char text[4096];

    if (peer->phase != PEER_IDLE) {
        struct buffer out = BUFFER_INIT;
        buffer_add_format(&out,
                          "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n"
                          "\r\n%s",
                          sizeof(body) - 1,
                          body);
        if (peer->session) {
            tls_say_last(peer->session, out.data, out.size);
        } else {
            (void)send(peer->fd, out.data, out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        buffer_fini(&out);
    }
    // What has come already is read, or else closing would discard what we just said.
    for (int i = 0; i < CUT_READS_MAX; i++) {
        if (recv(peer->fd, text, sizeof(text), MSG_DONTWAIT) <= 0) {
            break;
        }
    }
    (void)shutdown(peer->fd, SHUT_RDWR);
}

static bool has_hung_up(const struct peer *peer)
{
    struct pollfd poll_fd = {.fd = peer->fd, .events = POLLRDHUP};

    return poll(&poll_fd, 1, 0) > 0 &&
           (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

// A request whose client has closed in the middle of its body, all of which has been
// read, is never going to be whole; MHD waits for it all the same.
static bool has_given_up(const struct peer *peer)
{
    int unread = 0;

    return peer->phase == PEER_BODY && has_hung_up(peer) &&
           ioctl(peer->fd, FIONREAD, &unread) == 0 && unread == 0;
}

void peers_sweep(const struct peers *peers, int64_t now_ms)
{
    for (struct peer *peer = peers->first; peer; peer = peer->next) {
        if (now_ms >= peer->deadline_ms) {
            cut(peer);
            peer->deadline_ms = INT64_MAX;
        } else if (peer->deadline_ms > now_ms + GIVEN_UP_MS && has_given_up(peer)) {
            peer->deadline_ms = now_ms + GIVEN_UP_MS;
        } else if (peer->stream && stream_suspended(peer->stream) &&
                   has_hung_up(peer)) {
            stream_abandon(peer->stream);
        }
    }
}

void peers_abandon_strangers(const struct peers *peers,
                             const struct access *access,
                             int64_t wall_ms)
{
    for (struct peer *peer = peers->first; peer; peer = peer->next) {
        if (peer->stream && !access_holds(access, peer->token, wall_ms)) {
            stream_abandon(peer->stream);
        }
    }
}

void peers_abandon_streams(const struct peers *peers)
{
    for (struct peer *peer = peers->first; peer; peer = peer->next) {
        if (peer->stream) {
            stream_abandon(peer->stream);
        }
    }
}
