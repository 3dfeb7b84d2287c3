/* SPDX-License-Identifier: Apache-2.0 */
/* unsynced.h - what a machine would lose whose power is cut now
 *
 * What was written to a file since it was synced, and names given by rename() since
 * their folder was: of both it is lost all that may be. Thread-safe; up to
 * UNSYNCED_MAX files and names, beyond which the program ends. */
#ifndef CORTEX_TESTS_UNSYNCED_H
#define CORTEX_TESTS_UNSYNCED_H

#define UNSYNCED_MAX 256

/* Is about to be written to. */
void unsynced_write(int fd);

/* A file, or a folder, has been synced. */
void unsynced_sync(int fd);

/* A file is about to get this name. */
void unsynced_rename(const char *to);

/* The power is cut: the disk is made what it would be. */
void unsynced_lose(void);

#endif
