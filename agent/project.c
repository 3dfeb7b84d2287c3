/* SPDX-License-Identifier: Apache-2.0 */
/* project.c - how a project's files get onto this machine */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "agent/project.h"
#include "common/fs.h"
#include "common/id.h"

#define READ_SIZE 65536
#define PATH_SIZE 1024 /* of an entry */
/* The paths given to libarchive are absolute: check_entry has seen the relative ones.
 */
#define DISK_FLAGS                                                                     \
    (ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_SYMLINKS |               \
     ARCHIVE_EXTRACT_NO_OVERWRITE | ARCHIVE_EXTRACT_PERM)

/* Several workers of a job start at once: one of them downloads. */
static pthread_mutex_t fetch_mutex = PTHREAD_MUTEX_INITIALIZER;

static int check_id(const char *project_id, struct error *err)
{
    if (strspn(project_id, "0123456789abcdef") != ID_PROJECT_TEXT_SIZE - 1 ||
        strlen(project_id) != ID_PROJECT_TEXT_SIZE - 1) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "project id \"%.80s\": expected %d lower-case hex digits",
                         project_id,
                         ID_PROJECT_TEXT_SIZE - 1);
    }
    return 0;
}

static int check_size(uint64_t size, uint64_t offset, struct error *err)
{
    if (size > PROJECT_ARCHIVE_MAX) {
        return error_set(err,
                         ERROR_OUT_OF_RANGE,
                         "project archive: %llu bytes, expected at most %u",
                         (unsigned long long)size,
                         PROJECT_ARCHIVE_MAX);
    }
    if (offset > size) {
        return error_set(err,
                         ERROR_FAILED_PRECONDITION,
                         "project archive: %llu bytes came, expected %llu",
                         (unsigned long long)offset,
                         (unsigned long long)size);
    }
    return 0;
}

/* Writes all pieces to fd and sets out to the hash of what came. */
static int download(int fd,
                    const char *project_id,
                    project_piece_fn piece,
                    void *arg,
                    char out[ID_PROJECT_TEXT_SIZE],
                    struct error *err)
{
    struct id_hash *hash = id_hash_create();
    struct buffer bytes = BUFFER_INIT;
    uint64_t offset = 0;
    uint64_t size = 1;
    int result = 0;

    while (result == 0 && offset < size) {
        buffer_clear(&bytes);
        result = piece(arg, project_id, offset, &bytes, &size, err);
        if (result == 0 && bytes.size == 0 && offset < size) {
            result = error_set(
                err, ERROR_FAILED_PRECONDITION, "project archive: an empty piece");
        }
        if (result == 0) {
            offset += bytes.size;
            result = check_size(size, offset, err);
        }
        if (result == 0) {
            id_hash_add(hash, bytes.data, bytes.size);
            result = fs_write_all(fd, bytes.data, bytes.size, err);
        }
    }
    buffer_fini(&bytes);
    id_hash_finish(hash, out);
    return result;
}

static int fetch_new(const char *path,
                     const char *project_id,
                     project_piece_fn piece,
                     void *arg,
                     struct error *err)
{
    char *partial = memory_format("%s.part", path);
    char found[ID_PROJECT_TEXT_SIZE] = "";
    int result = -1;
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        (void)error_set_errno(err, ERROR_DATA_LOSS, "cannot create %s", partial);
        goto out;
    }
    result = download(fd, project_id, piece, arg, found, err);
    (void)close(fd);
    if (result == 0 && strcmp(found, project_id) != 0) {
        result = error_set(err,
                           ERROR_FAILED_PRECONDITION,
                           "project archive: its SHA-256 is %s, expected %s",
                           found,
                           project_id);
    }
    if (result == 0 && rename(partial, path) != 0) {
        result = error_set_errno(err, ERROR_DATA_LOSS, "cannot rename %s", partial);
    }
    if (result != 0) {
        (void)unlink(partial);
    }
out:
    free(partial);
    return result;
}

int project_fetch(const char *cache,
                  const char *project_id,
                  project_piece_fn piece,
                  void *arg,
                  char **out_path,
                  struct error *err)
{
    char *path;
    int result;

    if (check_id(project_id, err) != 0 || fs_make_folder(cache, 0700, err) != 0) {
        return -1;
    }
    path = fs_join(cache, project_id);
    pthread_mutex_lock(&fetch_mutex);
    result = fs_exists(path) ? 0 : fetch_new(path, project_id, piece, arg, err);
    pthread_mutex_unlock(&fetch_mutex);
    if (result == 0) {
        *out_path = path;
    } else {
        free(path);
    }
    return result;
}

/* --- unpacking -------------------------------------------------------------------- */

struct unpacking {
    struct archive *in;
    struct archive *out;
    const char *folder;
    uint64_t entries;
    uint64_t stated; /* bytes of the entries, as their headers say */
    uint64_t bytes;  /* that came */
};

static int refuse(struct error *err, const char *path, const char *why)
{
    return error_set(
        err, ERROR_INVALID_ARGUMENT, "project archive: \"%.200s\" %s", path, why);
}

static int too_large(struct error *err)
{
    return error_set(err,
                     ERROR_OUT_OF_RANGE,
                     "project archive: more than %u bytes unpacked",
                     PROJECT_UNPACKED_MAX);
}

static int
check_entry(struct unpacking *u, struct archive_entry *entry, struct error *err)
{
    const char *path = archive_entry_pathname(entry);
    mode_t type = archive_entry_filetype(entry);

    if (path == NULL || path[0] == '\0' || strlen(path) >= PATH_SIZE) {
        return refuse(err, path == NULL ? "" : path, "is no usable path");
    }
    if (path[0] == '/' || strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 ||
        strstr(path, "/../") != NULL ||
        (strlen(path) > 3 && strcmp(path + strlen(path) - 3, "/..") == 0)) {
        return refuse(err, path, "leads outside the project");
    }
    if (archive_entry_hardlink(entry) != NULL ||
        (type != AE_IFREG && type != AE_IFDIR)) {
        return refuse(err, path, "is neither a regular file nor a folder");
    }
    // What it says it is made of, since a sparse file's holes never come as data.
    uint64_t size = (uint64_t)archive_entry_size(entry);
    if (size > PROJECT_UNPACKED_MAX - u->stated) {
        return too_large(err);
    }
    u->stated += size;
    if (++u->entries > PROJECT_ENTRIES_MAX) {
        return error_set(err,
                         ERROR_OUT_OF_RANGE,
                         "project archive: more than %d entries",
                         PROJECT_ENTRIES_MAX);
    }
    return 0;
}

// The disk is to blame, or the archive.
static int refuse_write(struct archive *out, const char *path, struct error *err)
{
    const char *why = archive_error_string(out);
    int number = archive_errno(out);

    if (number == ENOSPC || number == EDQUOT || number == EROFS || number == EIO) {
        errno = number;
        return error_set_errno(err, ERROR_DATA_LOSS, "cannot write %.200s", path);
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "project archive: cannot unpack \"%.200s\": %s",
                     path,
                     why == NULL ? "refused" : why);
}

static int copy_data(struct unpacking *u, const char *path, struct error *err)
{
    const void *data;
    size_t size;
    la_int64_t offset;
    int got;

    while ((got = archive_read_data_block(u->in, &data, &size, &offset)) ==
           ARCHIVE_OK) {
        if (size > PROJECT_UNPACKED_MAX - u->bytes ||
            (uint64_t)offset > PROJECT_UNPACKED_MAX) { // a sparse file's hole, too
            return too_large(err);
        }
        u->bytes += size;
        if (archive_write_data_block(u->out, data, size, offset) != ARCHIVE_OK) {
            return refuse_write(u->out, path, err);
        }
    }
    if (got != ARCHIVE_EOF) {
        return refuse(err, path, "is broken");
    }
    return 0;
}

/* Only rwx for the owner and what the archive says for others to read. */
static void tame_entry(const struct unpacking *u, struct archive_entry *entry)
{
    char *full = fs_join(u->folder, archive_entry_pathname(entry));
    bool folder = archive_entry_filetype(entry) == AE_IFDIR;
    mode_t mode = (archive_entry_perm(entry) & 0755) | (folder ? 0700 : 0600);

    archive_entry_set_perm(entry, mode);
    archive_entry_copy_pathname(entry, full);
    free(full);
}

/* Whether another entry has the place already; a folder may come again. */
static bool is_taken(struct archive_entry *entry)
{
    struct stat info;

    if (lstat(archive_entry_pathname(entry), &info) != 0) {
        return errno == ENOTDIR;
    }
    return archive_entry_filetype(entry) != AE_IFDIR || !S_ISDIR(info.st_mode);
}

static int
unpack_entry(struct unpacking *u, struct archive_entry *entry, struct error *err)
{
    char *path;
    int result = -1;

    if (check_entry(u, entry, err) != 0) {
        return -1;
    }
    path = memory_strdup(archive_entry_pathname(entry));
    tame_entry(u, entry);
    if (is_taken(entry)) {
        (void)refuse(err, path, "comes twice, or below a file");
        goto out;
    }
    if (archive_write_header(u->out, entry) != ARCHIVE_OK) {
        (void)refuse_write(u->out, path, err);
        goto out;
    }
    result = copy_data(u, path, err);
    if (result == 0 && archive_write_finish_entry(u->out) != ARCHIVE_OK) {
        result = refuse(err, path, "cannot be written");
    }
out:
    free(path);
    return result;
}

static int unpack_all(struct unpacking *u, struct error *err)
{
    struct archive_entry *entry;
    int got;

    while ((got = archive_read_next_header(u->in, &entry)) == ARCHIVE_OK) {
        if (unpack_entry(u, entry, err) != 0) {
            return -1;
        }
    }
    if (got != ARCHIVE_EOF) {
        const char *why = archive_error_string(u->in);

        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "project archive: broken: %s",
                         why == NULL ? "no tar in gzip" : why);
    }
    return 0;
}

int project_unpack(const char *archive, const char *folder, struct error *err)
{
    struct unpacking u = {.in = archive_read_new(), .out = archive_write_disk_new()};
    char *real = NULL;
    int result = -1;

    if (u.in == NULL || u.out == NULL) {
        (void)error_set(err, ERROR_RESOURCE_EXHAUSTED, "no memory for an archive");
        goto out;
    }
    (void)archive_read_support_format_tar(u.in);
    (void)archive_read_support_filter_gzip(u.in);
    (void)archive_write_disk_set_options(u.out, DISK_FLAGS);
    if (mkdir(folder, 0700) != 0) {
        (void)error_set_errno(err, ERROR_DATA_LOSS, "cannot create %s", folder);
        goto out;
    }
    // The folder itself may be reached through links; nothing in it may be.
    real = realpath(folder, NULL);
    u.folder = real == NULL ? folder : real;
    if (archive_read_open_filename(u.in, archive, READ_SIZE) != ARCHIVE_OK) {
        (void)error_set(err,
                        ERROR_INVALID_ARGUMENT,
                        "project archive: %s",
                        archive_error_string(u.in));
    } else {
        result = unpack_all(&u, err);
    }
    if (result != 0) {
        (void)fs_remove_tree(folder, NULL);
    }
out:
    (void)archive_read_free(u.in);
    (void)archive_write_free(u.out);
    free(real);
    return result;
}
