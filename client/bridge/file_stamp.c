/* SPDX-License-Identifier: Apache-2.0 */
/* file_stamp.c - whether a file is another than when it was last read */
#include "client/bridge/file_stamp.h"

bool file_stamp_changed(const char *path, struct file_stamp *inout)
{
    struct file_stamp old = *inout;
    struct stat status;

    *inout = (struct file_stamp){0};
    if (stat(path, &status) == 0) {
        *inout = (struct file_stamp){.device = status.st_dev,
                                     .inode = status.st_ino,
                                     .size = status.st_size,
                                     .mode = status.st_mode,
                                     .changed = status.st_ctim};
    }
    return old.device != inout->device || old.inode != inout->inode ||
           old.size != inout->size || old.mode != inout->mode ||
           old.changed.tv_sec != inout->changed.tv_sec ||
           old.changed.tv_nsec != inout->changed.tv_nsec;
}
