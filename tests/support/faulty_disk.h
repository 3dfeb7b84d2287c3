/* SPDX-License-Identifier: Apache-2.0 */
/* faulty_disk.h - a disk for SQLite on which writes fail and the power is cut
 *
 * A VFS in memory, made SQLite's default. It knows of each file what has been synced,
 * and each write since then. When the power is cut, what was synced stays; of the rest
 * each write arrives, is torn at a sector of 512 bytes, or is lost, as a seed decides;
 * files that were created or deleted without a sync of their folder may have been or
 * not. Operations that change something (write, truncate, sync, delete) are counted.
 *
 * One at a time in a process; one thread. */
#ifndef CORTEX_TESTS_FAULTY_DISK_H
#define CORTEX_TESTS_FAULTY_DISK_H

#include <stdint.h>

enum disk_fault {
    DISK_WELL,
    DISK_CUT,  /* the operation and all behind it fail, until disk_power_cut */
    DISK_EIO,  /* the operation fails; a sync that fails has lost what it was for */
    DISK_FULL, /* that many operations from it on find no room */
};

#define DISK_FULL_OPERATIONS 7

void disk_create(void);
void disk_destroy(void);

/* All files go. */
void disk_wipe(void);

/* The fault comes at that operation from now on, counted from 1. */
void disk_plan(enum disk_fault fault, uint64_t at);

/* Operations since the last disk_plan. */
uint64_t disk_operations(void);

/* What is left afterwards; nothing may be open. The disk is well then. */
void disk_power_cut(uint64_t seed);

#endif
