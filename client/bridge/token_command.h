/* SPDX-License-Identifier: Apache-2.0 */
/* token_command.h - how tokens are made, shown and taken back
 *
 *   tokens add --role ROLE [--api PATTERNS] [--expires WHEN] [COMMENT]
 *   tokens list
 *   tokens revoke ID       (ID: the first 12 digits of the token's hash, as listed)
 *
 * on the file of --tokens FILE or --state-dir DIR. Bridges that use the file see the
 * change within seconds.
 */
#ifndef CORTEX_CLIENT_BRIDGE_TOKEN_COMMAND_H
#define CORTEX_CLIENT_BRIDGE_TOKEN_COMMAND_H

/* argv[0] is "tokens". Returns the process's exit status. */
int token_command(int argc, char **argv);

#endif
