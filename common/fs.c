/* SPDX-License-Identifier: Apache-2.0 */
/* fs.c - files that are there whole or not at all */
#include "common/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FS_TREE_DEPTH  64      /* folders below it are moved up: one descriptor each */
#define FS_TREE_ROUNDS 10000   /* over a folder until it is empty */
#define UNFINISHED     ".tmp." /* in a name, behind the one that it is to have */

enum error_code fs_error_code(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERROR_PERMISSION_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EIO:
        return ERROR_DATA_LOSS;
    default:
        return ERROR_INTERNAL;
    }
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int fs_make_folder(const char *path, mode_t mode, struct error *err)
{
    char *part = memory_strdup(path[0] ? path : ".");
    int result = 0;

    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash) {
            *slash = '\0';
        }
        if (mkdir(part, mode) != 0 && !(errno == EEXIST && is_folder(part))) {
            result = error_set_errno(
                err, fs_error_code(errno), "cannot make the folder %s", part);
            break;
        }
        if (!slash) {
            break;
        }
        *slash = '/';
    }
    free(part);
    return result;
}

static int read_open(
    int fd, const char *path, size_t size_max, struct buffer *out, struct error *err)
{
    size_t total = 0;

    for (;;) {
        size_t want = 65536;
        char *end = buffer_reserve(out, want);
        ssize_t got = read(fd, end, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_set_errno(err, fs_error_code(errno), "cannot read %s", path);
        }
        if (got == 0) {
            out->data[out->size] = '\0';
            return 0;
        }
        total += (size_t)got;
        if (total > size_max) {
            return error_set(err,
                             ERROR_OUT_OF_RANGE,
                             "%s is larger than the limit of %zu bytes",
                             path,
                             size_max);
        }
        out->size += (size_t)got;
    }
}

int fs_read(const char *path, size_t size_max, struct buffer *out, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t before = out->size;

    if (fd < 0) {
        return error_set_errno(err, fs_error_code(errno), "cannot open %s", path);
    }
    int result = read_open(fd, path, size_max, out, err);
    if (result != 0) {
        out->size = before;
        out->data[before] = '\0';
    }
    (void)close(fd);
    return result;
}

int fs_write_all(int fd, const void *data, size_t size, struct error *err)
{
    const char *at = data;

    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return error_set_errno(err, fs_error_code(errno), "cannot write");
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

int fs_sync_folder_of(const char *path, struct error *err)
{
    char *folder = memory_strdup(path);
    char *slash = strrchr(folder, '/');
    int result = 0;

    if (!slash) {
        free(folder);
        folder = memory_strdup(".");
    } else if (slash == folder) {
        folder[1] = '\0';
    } else {
        *slash = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        result = error_set_errno(err, fs_error_code(errno), "cannot sync %s", folder);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(folder);
    return result;
}

int fs_write_durable(
    const char *path, const void *data, size_t size, mode_t mode, struct error *err)
{
    static atomic_uint counter;
    char *temporary = memory_format(
        "%s" UNFINISHED "%d.%u", path, (int)getpid(), atomic_fetch_add(&counter, 1));
    bool is_new = !fs_exists(path);
    int result = -1;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0) {
        error_set_errno(err, fs_error_code(errno), "cannot create %s", temporary);
        goto out;
    }
    if (fs_write_all(fd, data, size, err) != 0) {
        error_wrap(err, "while writing %s", path);
        goto out;
    }
    if (fsync(fd) != 0) {
        error_set_errno(err, fs_error_code(errno), "cannot sync %s", temporary);
        goto out;
    }
    if (rename(temporary, path) != 0) {
        error_set_errno(err, fs_error_code(errno), "cannot rename to %s", path);
        goto out;
    }
    result = fs_sync_folder_of(path, err);
    if (result != 0 && is_new) {
        (void)unlink(path); // nobody is to find what was said not to be there
    }
out:
    if (fd >= 0) {
        (void)close(fd);
        if (result != 0) {
            (void)unlink(temporary);
        }
    }
    free(temporary);
    return result;
}

int fs_remove(const char *path, struct error *err)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return error_set_errno(err, fs_error_code(errno), "cannot remove %s", path);
    }
    return 0;
}

static int remove_entry(int top, int parent, const char *name, unsigned depth);

/* Empties the folder, as far as it can, and closes fd. */
static int remove_content(int top, int fd, unsigned depth)
{
    DIR *folder = fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    if (folder == NULL) {
        (void)close(fd);
        return -1;
    }
    while (result == 0 && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = remove_entry(top < 0 ? fd : top, fd, entry->d_name, depth + 1);
        }
    }
    (void)closedir(folder);
    return result;
}

static int move_to_top(int top, int parent, const char *name)
{
    static atomic_uint counter;
    char moved[32];

    do {
        (void)snprintf(moved, sizeof(moved), "moved-%u", atomic_fetch_add(&counter, 1));
        if (renameat2(parent, name, top, moved, RENAME_NOREPLACE) == 0) {
            return 0;
        }
    } while (errno == EEXIST);
    return -1;
}

/* Every step is relative to an open folder and follows no link, so nobody who changes
 * the tree meanwhile can lead it elsewhere. */
static int remove_entry(int top, int parent, const char *name, unsigned depth)
{
    int fd;

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return -1;
    }
    if (depth > FS_TREE_DEPTH) {
        return move_to_top(top, parent, name); // which comes to it again
    }
    for (int i = 0; i < FS_TREE_ROUNDS; i++) {
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || remove_content(top, fd, depth) != 0) {
            return -1;
        }
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            return 0;
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            return -1;
        }
    }
    return -1;
}

int fs_remove_tree(const char *path, struct error *err)
{
    if (remove_entry(-1, AT_FDCWD, path, 0) != 0) {
        return error_set_errno(err, fs_error_code(errno), "cannot remove %s", path);
    }
    return 0;
}

void fs_remove_unfinished(const char *folder)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;

    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        if (strstr(entry->d_name, UNFINISHED) != NULL) {
            (void)unlinkat(dirfd(entries), entry->d_name, 0);
        }
    }
    if (entries != NULL) {
        (void)closedir(entries);
    }
}

bool fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

char *fs_join(const char *left, const char *right)
{
    size_t length = strlen(left);

    while (length > 1 && left[length - 1] == '/') {
        length--;
    }
    while (*right == '/') {
        right++;
    }
    if (length == 1 && left[0] == '/') {
        length = 0;
    }
    return memory_format("%.*s/%s", (int)length, left, right);
}

char *fs_absolute(const char *path)
{
    if (path[0] == '/') {
        return memory_strdup(path);
    }
    char *folder = getcwd(NULL, 0);
    char *whole = folder ? fs_join(folder, path) : memory_strdup(path);
    free(folder);
    return whole;
}

#define DESCRIPTORS_USUAL 1024

size_t fs_allow_descriptors(size_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return DESCRIPTORS_USUAL; // a sandbox forbids to ask
    }
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // up to the hard limit anybody may
    }
    return limit.rlim_cur;
}
