/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_peers.h - who is connected to a server, and who may be
 *
 * The server's half that knows addresses: which it may listen on, how a peer is written
 * in a log, how many connections there may be, and whether nng still closes those that
 * ended. Sockets and pipes are given by nng's ids, so that no other file needs its
 * headers. Thread-safe; nothing blocks but rpc_peers_hung_up, which reads /proc. */
#ifndef CORTEX_COMMON_RPC_PEERS_H
#define CORTEX_COMMON_RPC_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define RPC_PEER_TEXT_SIZE 64

struct rpc_peers;

struct rpc_peers_limits {
    unsigned connections_max;
    unsigned connections_per_address_max; /* 0: none; Unix sockets have no address */
};

/* Where a server may listen: a TCP address or a Unix socket, and if its frames are not
 * sealed, only on loopback. 0, else INVALID_ARGUMENT. */
int rpc_peers_check_url(const char *url, bool sealed, struct error *err);

/* Counts the connections of a socket that does not listen yet, and closes those over a
 * limit before they can say anything. Lives as long as the socket. */
int rpc_peers_watch(uint32_t socket_id,
                    const struct rpc_peers_limits *limits,
                    struct rpc_peers **out_peers,
                    struct error *err);

unsigned rpc_peers_count(struct rpc_peers *peers);

/* "127.0.0.1:40312", "[::1]:40312", "pid 4711" on a Unix socket, "unknown" for one that
 * has left. */
void rpc_peers_describe(int pipe_id, char out[RPC_PEER_TEXT_SIZE]);

/* The same without the port, for telling apart where peers are: "127.0.0.1", "::1",
 * "local" on a Unix socket, "unknown". */
#define RPC_PEER_HOST_SIZE 64
void rpc_peers_host(int pipe_id, char out[RPC_PEER_HOST_SIZE]);

/* How many of this process's descriptors are connections to the listening URL whose
 * other side, or nng itself, has hung up. nng closes such a descriptor within
 * milliseconds unless its reaper is stuck, and then tells nobody: the kernel is the one
 * to ask. */
int rpc_peers_hung_up(const char *url);

#endif
