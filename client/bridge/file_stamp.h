/* SPDX-License-Identifier: Apache-2.0 */
/* file_stamp.h - whether a file is another than when it was last read
 *
 * Seen by its device, inode, size, time of change and mode, so that a rename over it,
 * an edit in place and a link that points elsewhere all count. Blocks on the disk.
 */
#ifndef CORTEX_CLIENT_BRIDGE_FILE_STAMP_H
#define CORTEX_CLIENT_BRIDGE_FILE_STAMP_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

struct file_stamp { /* all zero: there is no file */
    dev_t device;
    ino_t inode;
    off_t size;
    mode_t mode;
    struct timespec changed;
};

/* Looks at the file, before it is read; true if *inout is different then, which becomes
 * what was seen. */
bool file_stamp_changed(const char *path, struct file_stamp *inout);

#endif
