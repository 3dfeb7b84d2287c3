/* SPDX-License-Identifier: Apache-2.0 */
/* tls_tunnel.h - a socket whose bytes go to a server by TLS
 *
 * So that a test that writes to sockets byte by byte can say the same to a server of
 * HTTPS. Certificates are not checked. */
#ifndef CORTEX_TESTS_SUPPORT_TLS_TUNNEL_H
#define CORTEX_TESTS_SUPPORT_TLS_TUNNEL_H

/* Takes over a connected, blocking TCP socket. A thread shakes hands, carries what is
 * written to the socket that this returns and back what the server says, and closes
 * both when either side hangs up. Fails the test if there is no socket or thread left.
 */
int tls_tunnel_open(int server_fd);

#endif
