/* SPDX-License-Identifier: Apache-2.0 */
/* custody.c - whose the files are that user code sees */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/custody.h"
#include "common/fs.h"

/* What becomes of a tree. */
struct change {
    uid_t from; /* root's and this user's files are changed, no others */
    uid_t uid;
    gid_t gid;
    mode_t shared; /* of 0055: who besides the owner gets its reading rights */
};

static mode_t mode_for(const struct change *change, mode_t mode)
{
    mode_t owner = mode & 0700;
    mode_t reading = (owner & 0500) >> 3 | (owner & 0500) >> 6;

    return owner | (reading & change->shared);
}

/* Not what root has elsewhere, too. */
static bool is_ours(const struct change *change, const struct stat *info)
{
    return info->st_uid == change->from ||
           (info->st_uid == 0 && (S_ISDIR(info->st_mode) || info->st_nlink == 1));
}

static int change_folder(const struct change *change, int fd, unsigned depth);

static int
change_entry(const struct change *change, int parent, const char *name, unsigned depth)
{
    struct stat info;
    int result;
    int fd;

    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) { // links and the like
        return info.st_uid == change->from
                   ? fchownat(
                         parent, name, change->uid, change->gid, AT_SYMLINK_NOFOLLOW)
                   : 0;
    }
    fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        return -1;
    }
    if (!is_ours(change, &info)) {
        (void)close(fd);
        return 0;
    }
    result = fchown(fd, change->uid, change->gid);
    if (result == 0) {
        result = fchmod(fd, mode_for(change, info.st_mode));
    }
    if (result == 0 && S_ISDIR(info.st_mode)) {
        return change_folder(change, fd, depth + 1);
    }
    (void)close(fd);
    return result;
}

/* Changes what is in the folder; closes fd. */
static int change_folder(const struct change *change, int fd, unsigned depth)
{
    DIR *folder = fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    if (folder == NULL || depth > CUSTODY_DEPTH_MAX) {
        errno = folder == NULL ? errno : ELOOP;
        result = -1;
    }
    while (result == 0 && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = change_entry(change, fd, entry->d_name, depth);
        }
    }
    if (folder == NULL) {
        (void)close(fd);
    } else {
        (void)closedir(folder);
    }
    return result;
}

static int change_tree(const struct change *change, const char *path, struct error *err)
{
    if (change_entry(change, AT_FDCWD, path, 0) != 0) {
        return error_set_errno(
            err, fs_error_code(errno), "cannot change the owner of all in %s", path);
    }
    return 0;
}

static int
make_folder(const char *path, uid_t uid, gid_t gid, mode_t mode, struct error *err)
{
    if (mkdir(path, 0700) != 0 || (gid != 0 && chown(path, uid, gid) != 0) ||
        chmod(path, mode) != 0) {
        return error_set_errno(
            err, fs_error_code(errno), "cannot make the folder %s", path);
    }
    return 0;
}

int custody_make_folder(const struct sandbox_user *user,
                        const char *path,
                        struct error *err)
{
    return make_folder(path, user->uid, user->gid, 0700, err);
}

int custody_make_passage(const struct sandbox_user *user,
                         const char *path,
                         struct error *err)
{
    return make_folder(path, 0, user->gid, user->uid == 0 ? 0700 : 0710, err);
}

int custody_hand_over(const struct sandbox_user *user,
                      const char *path,
                      struct error *err)
{
    struct change change = {.uid = user->uid, .gid = user->gid};

    return user->uid == 0 ? 0 : change_tree(&change, path, err);
}

int custody_seal_project(const struct sandbox_user *user,
                         const char *path,
                         struct error *err)
{
    struct change change = {.from = user->uid, .gid = user->gid, .shared = 0050};

    if (user->uid == 0) {
        return 0;
    }
    if (change_tree(&change, path, err) != 0) {
        return -1;
    }
    if (chmod(path, 01770) != 0) {
        return error_set_errno(err, fs_error_code(errno), "cannot open %s", path);
    }
    return 0;
}

int custody_seal_shared(const struct sandbox_user *user,
                        const char *path,
                        struct error *err)
{
    struct change change = {.from = user->uid, .shared = 0055};

    return user->uid == 0 ? 0 : change_tree(&change, path, err);
}

static void sweep_folder(const char *path, uid_t uid)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    struct stat info;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            info.st_uid == uid) {
            char *left = fs_join(path, entry->d_name);

            (void)fs_remove_tree(left, NULL); // a courtesy to the next user
            free(left);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

void custody_sweep(const struct sandbox_user *user)
{
    if (user->sole) {
        sweep_folder("/tmp", user->uid);
        sweep_folder("/var/tmp", user->uid);
        sweep_folder("/dev/shm", user->uid);
    }
}
