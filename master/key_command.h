/* SPDX-License-Identifier: Apache-2.0 */
/* key_command.h - how a master's key and those of its callers are made and changed
 *
 * `cortex-master init` and `cortex-master keys ...`: files in the state folder are
 * changed; a master that runs reads them again by itself. Whole commands: they print,
 * and block on the disk. */
#ifndef CORTEX_MASTER_KEY_COMMAND_H
#define CORTEX_MASTER_KEY_COMMAND_H

/* argv[0] is "init" or "keys". Returns the process's status. */
int key_command(int argc, char **argv);

#endif
