/* SPDX-License-Identifier: Apache-2.0 */
/* reexec.c - a daemon begins anew as the same process */
#include "common/reexec.h"

#include <limits.h>
#include <unistd.h>

#include <linux/close_range.h>

#define SELF "/proc/self/exe"

void reexec(char **argv)
{
    char path[PATH_MAX];
    ssize_t size = readlink(SELF, path, sizeof(path) - 1);

    // A kernel before 5.11 cannot: then what libraries left open stays open.
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (size > 0) {
        path[size] = '\0';
        (void)execv(path, argv);
    }
    (void)execv(SELF, argv); // the file is gone or replaced; ps shows "exe"
}
