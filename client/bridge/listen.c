/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - where HTTP is listened for */
#include "client/bridge/listen.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"

#define BACKLOG 4096 /* connections the kernel holds until they are accepted */

// Splits "HOST:PORT", without the brackets of an IPv6 address. The caller frees the
// host; NULL if it is not that.
static char *split(const char *place, const char **out_port)
{
    const char *colon = strrchr(place, ':');
    size_t size = colon ? (size_t)(colon - place) : 0;
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

    if (size == 0 || digits == 0 || digits > 5 || colon[1 + digits]) {
        return NULL;
    }
    *out_port = colon + 1;
    return place[0] == '[' && place[size - 1] == ']'
               ? memory_strndup(place + 1, size - 2)
               : memory_strndup(place, size);
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 =
            (const struct sockaddr_in *)(const void *)address;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int
open_socket(const struct addrinfo *address, const char *place, struct error *err)
{
    int on = 1;
    int fd = socket(address->ai_family,
                    address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);

    if (fd < 0) {
        return error_set_errno(err, ERROR_UNAVAILABLE, "--listen %s", place);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 ||
        listen(fd, BACKLOG) != 0) {
        error_set_errno(err, ERROR_UNAVAILABLE, "--listen %s", place);
        (void)close(fd);
        return -1;
    }
    return fd;
}

// The URL of an open socket: its host as it was given, its port as it came out.
static char *url_of(int fd, const char *host, bool tls)
{
    struct sockaddr_in6 address; // large enough for both kinds; ports stand alike
    socklen_t size = sizeof(address);
    bool is_v6 = strchr(host, ':') != NULL;

    memset(&address, 0, sizeof(address));
    (void)getsockname(fd, (struct sockaddr *)&address, &size);
    return memory_format("http%s://%s%s%s:%u",
                         tls ? "s" : "",
                         is_v6 ? "[" : "",
                         host,
                         is_v6 ? "]" : "",
                         (unsigned)ntohs(address.sin6_port));
}

static int check_guarded(const struct listen_options *options,
                         const struct sockaddr *address,
                         struct error *err)
{
    if (options->insecure || (options->tls && options->tokens) ||
        is_loopback(address)) {
        return 0;
    }
    return error_set(err,
                     ERROR_PERMISSION_DENIED,
                     "--listen: \"%s\" can be reached from other machines, and this "
                     "bridge has %s: give %s, listen on 127.0.0.1, or say --insecure",
                     options->place,
                     options->tls      ? "no tokens"
                     : options->tokens ? "no TLS"
                                       : "neither TLS nor tokens",
                     options->tls      ? "--tokens"
                     : options->tokens ? "--tls-cert and --tls-key"
                                       : "--tls-cert, --tls-key and --tokens");
}

int listen_open(const struct listen_options *options,
                int *out_fd,
                char **out_url,
                struct error *err)
{
    const char *place = options->place;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const char *port = NULL;
    char *host = split(place, &port);
    int result = -1;

    if (!host) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--listen: got \"%s\", expected HOST:PORT such as "
                         "127.0.0.1:8888",
                         place);
    }
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed) {
        error_set(err,
                  ERROR_INVALID_ARGUMENT,
                  "--listen: got \"%s\": %s",
                  place,
                  gai_strerror(failed));
        goto out;
    }
    if (check_guarded(options, found->ai_addr, err) != 0) {
        goto out;
    }
    int fd = open_socket(found, place, err);
    if (fd >= 0) {
        *out_url = url_of(fd, host, options->tls);
        *out_fd = fd;
        result = 0;
    }
out:
    if (found) {
        freeaddrinfo(found);
    }
    free(host);
    return result;
}
