/* SPDX-License-Identifier: Apache-2.0 */
/* object_file.c - file:///absolute/path as a kind of store */
#include "common/object_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/object_file_list.h"

#define FILE_MODE   0666 // less the umask
#define FOLDER_MODE 0777

const char *object_file_path(const char *url)
{
    return url + strlen("file://");
}

static int check(const char *url, bool with_key, struct error *err)
{
    const char *path = object_file_path(url);
    size_t size = strlen(path);

    if (path[0] != '/' || size >= PATH_MAX || (with_key && path[size - 1] == '/')) {
        return error_set_kind(
            err,
            ERROR_INVALID_ARGUMENT,
            "aws.invalid_s3_path",
            "%s: expected the absolute path of a file of less than %d "
            "bytes, such as file:///folder/file",
            url,
            PATH_MAX);
    }
    return 0;
}

int object_file_error(const char *url, const char *what, struct error *err)
{
    enum error_code code = ERROR_INTERNAL;

    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
        code = ERROR_NOT_FOUND;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        code = ERROR_PERMISSION_DENIED;
        break;
    case ENAMETOOLONG:
    case ELOOP:
        code = ERROR_INVALID_ARGUMENT;
        break;
    case ENOSPC:
    case EDQUOT:
    case EIO:
        code = ERROR_DATA_LOSS;
        break;
    default:
        break;
    }
    return error_set_errno(err, code, "%s: cannot %s", url, what);
}

void object_file_info(const struct stat *status, struct object_info *out)
{
    out->size = (uint64_t)status->st_size;
    (void)snprintf(out->etag,
                   sizeof(out->etag),
                   "\"%" PRIx64 "-%" PRIx64 ".%09ld\"",
                   out->size,
                   (uint64_t)status->st_mtim.tv_sec,
                   status->st_mtim.tv_nsec);
}

static int info_of(int fd, const char *url, struct object_info *out, struct error *err)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        (void)object_file_error(url, "read", err);
        return -1;
    }
    if (!S_ISREG(status.st_mode)) {
        error_set(err, ERROR_NOT_FOUND, "%s: it is no file", url);
        return -1;
    }
    object_file_info(&status, out);
    return 0;
}

// The descriptor, or -1.
static int open_file(const char *url, struct object_info *out_info, struct error *err)
{
    // Nonblocking, so that a pipe without a writer holds nobody up.
    int fd = open(object_file_path(url), O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        (void)object_file_error(url, "open", err);
        return -1;
    }
    if (info_of(fd, url, out_info, err) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int
stat_file(void *self, const char *url, struct object_info *out_info, struct error *err)
{
    int fd = open_file(url, out_info, err);

    (void)self;
    if (fd < 0) {
        return -1;
    }
    (void)close(fd);
    return 0;
}

static int same(int fd, const char *url, const char *etag, struct error *err)
{
    struct object_info now;

    if (info_of(fd, url, &now, err) != 0) {
        return -1;
    }
    if (strcmp(now.etag, etag) != 0) {
        return error_set(
            err, ERROR_ABORTED, "%s: the file has changed, it was %s", url, etag);
    }
    return 0;
}

static int read_all(int fd,
                    const char *url,
                    uint64_t offset,
                    size_t size,
                    struct buffer *out,
                    struct error *err)
{
    char *at = buffer_reserve(out, size);
    size_t done = 0;

    while (done < size) {
        ssize_t got = pread(fd, at + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return object_file_error(url, "read", err);
        }
        if (got == 0) {
            return error_set(
                err, ERROR_ABORTED, "%s: the file has changed, it is shorter", url);
        }
        done += (size_t)got;
    }
    out->size += size;
    out->data[out->size] = '\0';
    return 0;
}

static int get(void *self,
               const char *url,
               uint64_t offset,
               uint64_t size,
               uint64_t size_max,
               const char *etag,
               struct buffer *out,
               struct object_info *out_info,
               struct error *err)
{
    struct object_info info;
    int fd = open_file(url, &info, err);
    size_t before = out->size;
    int result = -1;

    (void)self;
    if (fd < 0) {
        return -1;
    }
    uint64_t left = offset < info.size ? info.size - offset : 0;
    left = left < size ? left : size;
    if (left > size_max) {
        error_set(err,
                  ERROR_OUT_OF_RANGE,
                  "%s: it is larger than the limit of %" PRIu64 " bytes",
                  url,
                  size_max);
        goto out;
    }
    if ((*etag && same(fd, url, etag, err) != 0) ||
        read_all(fd, url, offset, (size_t)left, out, err) != 0) {
        goto out;
    }
    result = same(fd, url, info.etag, err);
    if (result != 0) {
        out->size = before;
    } else {
        *out_info = info;
    }
out:
    (void)close(fd);
    return result;
}

// Makes the folder above the path, and those above it, to last through a power cut.
static int make_folder_of(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = memory_strndup(path, (size_t)(slash - path));
    int result = 0;

    if (*folder && mkdir(folder, FOLDER_MODE) != 0) {
        if (errno == ENOENT) {
            result = make_folder_of(folder, err);
            if (result == 0 && mkdir(folder, FOLDER_MODE) != 0 && errno != EEXIST) {
                result = object_file_error(folder, "make the folder", err);
            }
        } else if (errno != EEXIST) {
            result = object_file_error(folder, "make the folder", err);
        }
    }
    if (result == 0 && *folder) {
        result = fs_sync_folder_of(folder, err);
    }
    free(folder);
    return result;
}

static int put(void *self,
               const char *url,
               const void *data,
               size_t size,
               const char *content_type,
               struct error *err)
{
    const char *path = object_file_path(url);
    struct error failure = {0};
    int result = fs_write_durable(path, data, size, FILE_MODE, &failure);

    (void)self;
    (void)content_type;
    if (result != 0 && failure.code == ERROR_NOT_FOUND) {
        error_clear(&failure);
        result = make_folder_of(path, &failure);
        if (result == 0) {
            result = fs_write_durable(path, data, size, FILE_MODE, &failure);
        }
    }
    if (result != 0) {
        error_copy(err, &failure);
        return error_wrap(err, "%s", url);
    }
    return 0;
}

struct put_task {
    struct object_files *files;
    char *url;
    const void *data;
    size_t size;
    object_done_fn done;
    void *arg;
};

static void run_put(void *arg)
{
    struct put_task *task = arg;
    struct error err = {0};
    int result = atomic_load(&task->files->ending)
                     ? error_set(&err,
                                 ERROR_CANCELLED,
                                 "%s: cancelled, since the program is ending",
                                 task->url)
                     : put(task->files, task->url, task->data, task->size, NULL, &err);

    task->done(task->arg, result == 0 ? NULL : &err);
    free(task->url);
    free(task);
}

static void put_start(void *self,
                      const char *url,
                      const void *data,
                      size_t size,
                      const char *content_type,
                      object_done_fn done,
                      void *arg)
{
    struct object_files *files = self;
    struct put_task *task = memory_zalloc(sizeof(*task));

    (void)content_type;
    *task = (struct put_task){files, memory_strdup(url), data, size, done, arg};
    pool_run(files->pool, run_put, task);
}

static int remove_file(void *self, const char *url, struct error *err)
{
    (void)self;
    if (unlink(object_file_path(url)) != 0 && errno != ENOENT && errno != ENOTDIR) {
        return object_file_error(url, "remove", err);
    }
    return 0;
}

struct file_reader {
    struct object_reader base;
    int fd;
    char *url;
};

static ssize_t
read_some(struct object_reader *base, void *out, size_t size, struct error *err)
{
    struct file_reader *reader = (struct file_reader *)base;
    ssize_t got;

    do {
        got = read(reader->fd, out, size);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return object_file_error(reader->url, "read", err);
    }
    return same(reader->fd, reader->url, base->info.etag, err) == 0 ? got : -1;
}

static void close_reader(struct object_reader *base)
{
    struct file_reader *reader = (struct file_reader *)base;

    (void)close(reader->fd);
    free(reader->url);
    free(reader);
}

static int reader_open(void *self,
                       const char *url,
                       uint64_t offset,
                       struct object_reader **out_reader,
                       struct error *err)
{
    struct object_info info;
    int fd = open_file(url, &info, err);

    (void)self;
    if (fd < 0) {
        return -1;
    }
    // Behind the end there is nothing; the largest offset is what lseek takes.
    if (lseek(fd, (off_t)(offset < info.size ? offset : info.size), SEEK_SET) < 0) {
        (void)object_file_error(url, "seek in", err);
        (void)close(fd);
        return -1;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    struct file_reader *reader = memory_zalloc(sizeof(*reader));
    *reader =
        (struct file_reader){{info, read_some, close_reader}, fd, memory_strdup(url)};
    *out_reader = &reader->base;
    return 0;
}

static int list_open(void *self,
                     const char *prefix_url,
                     const char *start_after,
                     struct object_list **out_list,
                     struct error *err)
{
    (void)self;
    return object_file_list_open(prefix_url, start_after, out_list, err);
}

const struct object_kind object_file_kind = {
    .scheme = "file://",
    .check = check,
    .stat = stat_file,
    .get = get,
    .put = put,
    .put_start = put_start,
    .remove = remove_file,
    .list_open = list_open,
    .reader_open = reader_open,
};
