/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - whether an address of this machine is free to listen on, and who has it
 *
 * Answers for the moment it is asked; whoever listens later says so itself. May ask the
 * resolver for a host's name. Single-threaded. */
#ifndef CORTEX_CLIENT_CLI_PORT_H
#define CORTEX_CLIENT_CLI_PORT_H

#include "common/error.h"

/* place is "HOST:PORT" or "[IPv6]:PORT", PORT 1 to 65535. INVALID_ARGUMENT if it is not
 * or HOST is unknown, ALREADY_EXISTS if it is taken, with the name and pid of who
 * listens there as far as this user may know. option ("--bridge-listen") is for the
 * sentence. Other reasons why nobody could listen there are left to who tries. */
int port_check_free(const char *place, const char *option, struct error *err);

#endif
