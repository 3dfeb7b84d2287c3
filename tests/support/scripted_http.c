/* SPDX-License-Identifier: Apache-2.0 */
/* scripted_http.c - an HTTP server for a test, which misbehaves on demand */
#include "tests/support/scripted_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRIPTED_CONNECTIONS 256

struct connection {
    struct scripted_http *server;
    pthread_t thread;
    int fd;
    struct buffer in;
};

struct scripted_http {
    scripted_fn handle;
    void *arg;
    int listener;
    int ends[2]; // a pipe that is closed to end all
    char url[64];
    pthread_t thread;
    struct connection connections[SCRIPTED_CONNECTIONS];
    size_t count;
    pthread_mutex_t lock; // of the handler and what follows
    unsigned busy;
    unsigned peak;
};

// False when the server is to end or the time is over.
static bool wait_readable(struct scripted_http *server, int fd, int timeout_ms)
{
    struct pollfd waits[] = {{.fd = server->ends[0], .events = POLLIN},
                             {.fd = fd, .events = POLLIN}};

    return poll(waits, fd < 0 ? 1 : 2, timeout_ms) > 0 && waits[0].revents == 0;
}

// Reads until there are so many bytes; false if the other side ends first.
static bool fill(struct connection *connection, size_t size)
{
    while (connection->in.size < size) {
        if (!wait_readable(connection->server, connection->fd, -1)) {
            return false;
        }
        ssize_t got =
            recv(connection->fd, buffer_reserve(&connection->in, 65536), 65536, 0);
        if (got <= 0) {
            return false;
        }
        connection->in.size += (size_t)got;
        connection->in.data[connection->in.size] = '\0';
    }
    return true;
}

const char *scripted_header(const struct scripted_request *request,
                            const char *name,
                            char *out,
                            size_t out_size)
{
    size_t length = strlen(name);
    const char *line = request->head;

    out[0] = '\0';
    while ((line = strstr(line, "\r\n"))) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1 + strspn(line + length + 1, " ");
            (void)snprintf(out, out_size, "%.*s", (int)strcspn(value, "\r"), value);
            break;
        }
    }
    return out;
}

static void send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        data += sent;
        size -= (size_t)sent;
    }
}

// Returns whether the connection lives on.
static bool answer(struct connection *connection, struct scripted_reply *reply)
{
    struct buffer head = BUFFER_INIT;
    size_t size = reply->no_body ? 0 : reply->body.size;

    if (reply->stall_ms) {
        (void)wait_readable(connection->server, -1, (int)reply->stall_ms);
    }
    if (reply->reset) {
        struct linger linger = {.l_onoff = 1};
        (void)setsockopt(
            connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        return false;
    }
    buffer_add_format(&head,
                      "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n%s\r\n",
                      reply->status,
                      reply->body.size,
                      buffer_text(&reply->headers));
    send_all(connection->fd, head.data, head.size);
    buffer_fini(&head);
    size = reply->cut_bytes ? reply->cut_bytes : size;
    send_all(connection->fd, buffer_text(&reply->body), size);
    return reply->cut_bytes == 0;
}

static bool handle(struct connection *connection, struct scripted_request *request)
{
    struct scripted_http *server = connection->server;
    struct scripted_reply reply = {.status = 200};

    pthread_mutex_lock(&server->lock);
    server->busy++;
    server->peak = server->busy > server->peak ? server->busy : server->peak;
    server->handle(server->arg, request, &reply);
    pthread_mutex_unlock(&server->lock);
    bool lives = answer(connection, &reply);
    pthread_mutex_lock(&server->lock);
    server->busy--;
    pthread_mutex_unlock(&server->lock);
    buffer_fini(&reply.headers);
    buffer_fini(&reply.body);
    return lives;
}

// Reads and answers one request; false when the connection is over.
static bool serve_one(struct connection *connection)
{
    struct scripted_request request = {0};
    char text[64];
    const char *end;

    while (!(end = strstr(buffer_text(&connection->in), "\r\n\r\n"))) {
        if (!fill(connection, connection->in.size + 1)) {
            return false;
        }
    }
    size_t head_size = (size_t)(end - connection->in.data) + 4;
    char *head = memory_strndup(connection->in.data, head_size);
    request.head = head;
    if (*scripted_header(&request, "expect", text, sizeof(text))) {
        send_all(connection->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    request.body_size = strtoull(
        scripted_header(&request, "content-length", text, sizeof(text)), NULL, 10);
    bool lives = fill(connection, head_size + request.body_size);
    if (lives) {
        char *line = memory_strndup(head, strcspn(head, "\r"));
        char *rest = line;
        request.method = strsep(&rest, " ");
        request.target = strsep(&rest, " ");
        request.body = connection->in.data + head_size;
        lives = handle(connection, &request);
        free(line);
        buffer_drop_front(&connection->in, head_size + request.body_size);
    }
    free(head);
    return lives;
}

static void *serve(void *arg)
{
    struct connection *connection = arg;

    while (serve_one(connection)) {
    }
    (void)close(connection->fd);
    buffer_fini(&connection->in);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct scripted_http *server = arg;

    while (server->count < SCRIPTED_CONNECTIONS &&
           wait_readable(server, server->listener, -1)) {
        struct connection *connection = &server->connections[server->count];
        connection->server = server;
        connection->fd = accept(server->listener, NULL, NULL);
        if (connection->fd >= 0 &&
            pthread_create(&connection->thread, NULL, serve, connection) == 0) {
            server->count++;
        }
    }
    return NULL;
}

struct scripted_http *scripted_http_start(scripted_fn handler, void *arg)
{
    struct scripted_http *server = memory_zalloc(sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    server->handle = handler;
    server->arg = arg;
    (void)pthread_mutex_init(&server->lock, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pipe(server->ends) != 0 ||
        bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, SCRIPTED_CONNECTIONS) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&server->thread, NULL, accept_all, server) != 0) {
        perror("scripted_http");
        abort();
    }
    (void)snprintf(server->url,
                   sizeof(server->url),
                   "http://127.0.0.1:%d",
                   ntohs(address.sin_port));
    return server;
}

void scripted_http_stop(struct scripted_http *server)
{
    (void)close(server->ends[1]);
    (void)pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->count; i++) {
        (void)pthread_join(server->connections[i].thread, NULL);
    }
    (void)close(server->ends[0]);
    (void)close(server->listener);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *scripted_http_url(const struct scripted_http *server)
{
    return server->url;
}

unsigned scripted_http_peak(const struct scripted_http *server)
{
    return server->peak;
}
