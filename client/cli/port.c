/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - whether an address of this machine is free to listen on, and who has it */
#include "client/cli/port.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/options.h"

#define PORT_MAX      65535
#define TABLE_MAX     (16u << 20) // bytes of /proc/net/tcp
#define STATE_LISTEN  "0A"
#define FIELD_ADDRESS 1 // of a line there, from 0
#define FIELD_STATE   3
#define FIELD_INODE   9
#define FIELDS        10

/* --- who listens ------------------------------------------------------------------ */

// Whether a line of /proc/net/tcp is of a socket that listens on the port.
static bool line_listens(char *line, unsigned port, char out_inode[32])
{
    char *fields[FIELDS];
    char *rest = line;
    char wanted[16];
    size_t count = 0;

    while (count < FIELDS && rest) {
        char *field = strsep(&rest, " ");
        if (*field) {
            fields[count++] = field;
        }
    }
    if (count < FIELDS || strcmp(fields[FIELD_STATE], STATE_LISTEN) != 0) {
        return false;
    }
    const char *colon = strrchr(fields[FIELD_ADDRESS], ':');
    (void)snprintf(wanted, sizeof(wanted), ":%04X", port);
    if (!colon || strcmp(colon, wanted) != 0) {
        return false;
    }
    (void)snprintf(out_inode, 32, "%s", fields[FIELD_INODE]);
    return true;
}

static bool find_socket(const char *table, unsigned port, char out_inode[32])
{
    struct buffer text = BUFFER_INIT;
    bool found = false;

    if (fs_read(table, TABLE_MAX, &text, NULL) == 0) {
        char *rest = text.data;
        for (char *line = strsep(&rest, "\n"); line && !found;
             line = strsep(&rest, "\n")) {
            found = line_listens(line, port, out_inode);
        }
    }
    buffer_fini(&text);
    return found;
}

static bool holds_socket(const char *pid, const char *wanted)
{
    char *folder = memory_format("/proc/%s/fd", pid);
    DIR *dir = opendir(folder); // fails for another user's process
    bool found = false;

    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry && !found;
         entry = readdir(dir)) {
        char target[64];
        ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));
        found = size > 0 && (size_t)size == strlen(wanted) &&
                memcmp(target, wanted, (size_t)size) == 0;
    }
    if (dir) {
        (void)closedir(dir);
    }
    free(folder);
    return found;
}

// "nginx (pid 12)"; the caller frees.
static char *describe(const char *pid)
{
    struct buffer name = BUFFER_INIT;
    char *path = memory_format("/proc/%s/comm", pid);

    (void)fs_read(path, 256, &name, NULL);
    const char *text = buffer_text(&name);
    char *words = memory_format("%.*s (pid %s)", (int)strcspn(text, "\n"), text, pid);
    free(path);
    buffer_fini(&name);
    return words;
}

static char *find_holder(unsigned port)
{
    char inode[32];
    char *words = NULL;
    DIR *dir = NULL;

    if (find_socket("/proc/net/tcp", port, inode) ||
        find_socket("/proc/net/tcp6", port, inode)) {
        dir = opendir("/proc");
    }
    if (dir) {
        char *wanted = memory_format("socket:[%s]", inode);
        for (struct dirent *entry = readdir(dir); entry && !words;
             entry = readdir(dir)) {
            bool is_pid = entry->d_name[strspn(entry->d_name, "0123456789")] == '\0';
            if (is_pid && holds_socket(entry->d_name, wanted)) {
                words = describe(entry->d_name);
            }
        }
        free(wanted);
        (void)closedir(dir);
    }
    return words ? words : memory_strdup("another program");
}

/* --- whether it is free ----------------------------------------------------------- */

static bool taken(const struct addrinfo *address)
{
    int on = 1;
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_taken =
        (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 1) != 0) &&
        errno == EADDRINUSE;
    (void)close(fd);
    return is_taken;
}

// The host without brackets, for the caller to free; NULL if it is no HOST:PORT.
static char *split(const char *place, const char **out_port, unsigned *out_number)
{
    const char *colon = strrchr(place, ':');
    int64_t number;

    if (!colon || colon == place || !options_read_number(colon + 1, &number) ||
        number < 1 || number > PORT_MAX) {
        return NULL;
    }
    *out_port = colon + 1;
    *out_number = (unsigned)number;
    return place[0] == '[' && colon[-1] == ']'
               ? memory_strndup(place + 1, (size_t)(colon - place) - 2)
               : memory_strndup(place, (size_t)(colon - place));
}

int port_check_free(const char *place, const char *option, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    const char *port = NULL;
    unsigned number = 0;
    int result = 0;
    char *host = split(place, &port, &number);

    if (!host) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "%s: got \"%s\", expected HOST:PORT, the port from 1 to %d",
                         option,
                         place,
                         PORT_MAX);
    }
    int failed = getaddrinfo(host, port, &hints, &address);
    if (failed) {
        result = error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "%s: got \"%s\": %s",
                           option,
                           place,
                           gai_strerror(failed));
    } else if (taken(address)) {
        char *holder = find_holder(number);
        result = error_set(err,
                           ERROR_ALREADY_EXISTS,
                           "%s is taken by %s: stop that, or choose another with %s",
                           place,
                           holder,
                           option);
        free(holder);
    }
    if (address) {
        freeaddrinfo(address);
    }
    free(host);
    return result;
}
