/* SPDX-License-Identifier: Apache-2.0 */
/* unsynced.c - what a machine would lose whose power is cut now */
#include "tests/support/unsynced.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All that is done to files here goes around the calls that nth.c stands in for. */

static struct file {
    int fd; /* of our own */
    dev_t device;
    ino_t inode;
    off_t synced; /* its size then */
} files[UNSYNCED_MAX];
static int file_count;

static struct name {
    char path[512];
    int before; /* what had the name; -1: nothing */
} names[UNSYNCED_MAX];
static int name_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void check_room(int count)
{
    if (count == UNSYNCED_MAX) {
        static const char text[] = "unsynced: too much is not synced\n";
        (void)!syscall(SYS_write, STDERR_FILENO, text, sizeof(text) - 1);
        abort();
    }
}

static struct file *find(const struct stat *status)
{
    for (int i = 0; i < file_count; i++) {
        if (files[i].inode == status->st_ino && files[i].device == status->st_dev) {
            return &files[i];
        }
    }
    return NULL;
}

// Whose last name is gone is nobody's loss.
static void forget_nameless(void)
{
    struct stat status;
    int kept = 0;

    for (int i = 0; i < file_count; i++) {
        if (fstat(files[i].fd, &status) == 0 && status.st_nlink > 0) {
            files[kept++] = files[i];
        } else {
            (void)close(files[i].fd);
        }
    }
    file_count = kept;
}

void unsynced_write(int fd)
{
    struct stat status;

    pthread_mutex_lock(&lock);
    if (fstat(fd, &status) == 0 && !find(&status)) {
        forget_nameless();
        check_room(file_count);
        files[file_count++] = (struct file){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 100),
                                            .device = status.st_dev,
                                            .inode = status.st_ino,
                                            .synced = status.st_size};
    }
    pthread_mutex_unlock(&lock);
}

static void sync_names(const char *folder)
{
    size_t size = strlen(folder);
    int kept = 0;

    for (int i = 0; i < name_count; i++) {
        bool inside = strncmp(names[i].path, folder, size) == 0 &&
                      strrchr(names[i].path, '/') == names[i].path + size;
        if (!inside) {
            names[kept++] = names[i];
        } else if (names[i].before >= 0) {
            (void)close(names[i].before);
        }
    }
    name_count = kept;
}

void unsynced_sync(int fd)
{
    char link[32];
    char path[512];
    struct stat status;

    pthread_mutex_lock(&lock);
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, path, sizeof(path) - 1);
        path[size > 0 ? size : 0] = '\0';
        sync_names(path);
    } else {
        struct file *file = find(&status);
        if (file) {
            (void)close(file->fd);
            *file = files[--file_count];
        }
    }
    pthread_mutex_unlock(&lock);
}

void unsynced_rename(const char *to)
{
    char *folder = strdup(to);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    char *real;

    pthread_mutex_lock(&lock);
    check_room(name_count);
    struct name *name = &names[name_count++];
    if (slash) {
        *slash = '\0';
    }
    real = realpath(slash ? folder : ".", NULL);
    (void)snprintf(name->path,
                   sizeof(name->path),
                   "%s/%s",
                   real ? real : folder,
                   slash ? slash + 1 : to);
    name->before = open(to, O_RDONLY | O_CLOEXEC);
    pthread_mutex_unlock(&lock);
    free(real);
    free(folder);
}

static void put_back(const struct name *name)
{
    struct stat status;

    (void)syscall(SYS_unlink, name->path);
    if (name->before < 0 || fstat(name->before, &status) != 0) {
        return;
    }
    int fd = open(name->path, O_WRONLY | O_CREAT | O_CLOEXEC, status.st_mode & 0777);
    off_t at = 0;
    (void)!sendfile(fd, name->before, &at, (size_t)status.st_size);
}

void unsynced_lose(void)
{
    pthread_mutex_lock(&lock); // for good: the program ends
    for (int i = 0; i < file_count; i++) {
        struct stat status;
        if (fstat(files[i].fd, &status) == 0 && status.st_size > files[i].synced) {
            (void)syscall(SYS_ftruncate, files[i].fd, files[i].synced);
        }
    }
    while (name_count > 0) {
        put_back(&names[--name_count]);
    }
}
