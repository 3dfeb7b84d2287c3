/* SPDX-License-Identifier: Apache-2.0 */
/* object_file_list.h - how files are walked as if their paths were keys
 *
 * A prefix is a prefix of the path's text, whatever folders it cuts, and paths come in
 * the byte order of the whole text: "a.b" before "a/b" before "a0". Per folder of depth
 * at most twice OBJECT_FILE_LIST_NAMES names are held; a folder with more is read
 * again. Links to files and folders are followed, those that lead back up are not; what
 * is neither, or vanishes meanwhile, is left out. A folder that is missing is empty.
 */
#ifndef CORTEX_COMMON_OBJECT_FILE_LIST_H
#define CORTEX_COMMON_OBJECT_FILE_LIST_H

#include "common/object_kind.h"

#define OBJECT_FILE_LIST_NAMES 50000

int object_file_list_open(const char *prefix_url,
                          const char *start_after,
                          struct object_list **out_list,
                          struct error *err);

#endif
