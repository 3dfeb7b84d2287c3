/* SPDX-License-Identifier: Apache-2.0 */
/* blobs.c - where project archives are kept */
#include "master/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "common/fs.h"
#include "common/id.h"

struct blobs {
    struct object_store *store;
    char *prefix_url;
    char *incoming;
};

struct blobs *blobs_create(struct object_store *store,
                           const char *prefix_url,
                           const char *incoming_folder)
{
    struct blobs *blobs = memory_zalloc(sizeof(*blobs));

    blobs->store = store;
    blobs->prefix_url = memory_strdup(prefix_url);
    blobs->incoming = memory_strdup(incoming_folder);
    return blobs;
}

void blobs_destroy(struct blobs *blobs)
{
    if (blobs) {
        free(blobs->prefix_url);
        free(blobs->incoming);
        free(blobs);
    }
}

bool blobs_valid_id(const char *project_id)
{
    return strlen(project_id) == ID_PROJECT_TEXT_SIZE - 1 &&
           strspn(project_id, "0123456789abcdef") == ID_PROJECT_TEXT_SIZE - 1;
}

static int check_id(const char *project_id, struct error *err)
{
    return blobs_valid_id(project_id)
               ? 0
               : error_set(err,
                           ERROR_INVALID_ARGUMENT,
                           "project_id: got \"%s\", expected 64 hex digits",
                           project_id);
}

static char *url_of(const struct blobs *blobs, const char *project_id)
{
    return memory_format("%s/%s.tar.gz", blobs->prefix_url, project_id);
}

static int is_stored(struct blobs *blobs,
                     const char *project_id,
                     bool *out_stored,
                     struct error *err)
{
    struct object_info info;
    struct error failure = {0};
    char *url = url_of(blobs, project_id);
    int result = object_stat(blobs->store, url, &info, &failure);

    free(url);
    if (result != 0 && failure.code != ERROR_NOT_FOUND) {
        return error_copy(err, &failure);
    }
    *out_stored = result == 0;
    return 0;
}

static int write_piece(const char *path,
                       uint64_t offset,
                       const void *piece,
                       size_t size,
                       struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int result = 0;

    if (fd < 0 || lseek(fd, (off_t)offset, SEEK_SET) < 0) {
        result = error_set_errno(err, ERROR_DATA_LOSS, "cannot write %s", path);
    } else {
        result = fs_write_all(fd, piece, size, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return result;
}

// The archive is whole: checks it and puts it where it is kept.
static int
keep(struct blobs *blobs, const char *project_id, const char *path, struct error *err)
{
    struct buffer archive = BUFFER_INIT;
    char hash[ID_PROJECT_TEXT_SIZE];
    char *url = url_of(blobs, project_id);
    int result = fs_read(path, BLOBS_ARCHIVE_SIZE_MAX, &archive, err);

    if (result == 0) {
        id_hash_of(archive.data, archive.size, hash);
        if (strcmp(hash, project_id) != 0) {
            result = error_set(err,
                               ERROR_DATA_LOSS,
                               "the project archive arrived damaged: its SHA-256 is "
                               "%s, expected %s",
                               hash,
                               project_id);
        } else {
            result = object_put(
                blobs->store, url, archive.data, archive.size, "application/gzip", err);
        }
    }
    (void)fs_remove(path, NULL); // a leftover is overwritten the next time
    buffer_fini(&archive);
    free(url);
    return result;
}

static uint64_t have_so_far(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static int take_piece(struct blobs *blobs,
                      const char *project_id,
                      uint64_t offset,
                      uint64_t total,
                      const void *piece,
                      size_t size,
                      bool *out_complete,
                      uint64_t *out_next,
                      struct error *err)
{
    char *path = memory_format("%s/%s.part", blobs->incoming, project_id);
    uint64_t have = have_so_far(path);
    int result = 0;

    // A repeated piece is written again; one that would leave a hole is not.
    if (size > 0 && offset <= have) {
        result = write_piece(path, offset, piece, size, err);
        have = have_so_far(path);
    }
    if (result == 0 && size > 0 && have >= total) {
        result = keep(blobs, project_id, path, err);
        *out_complete = result == 0;
    }
    *out_next = have;
    free(path);
    return result;
}

int blobs_put(struct blobs *blobs,
              const char *project_id,
              uint64_t offset,
              uint64_t total,
              const void *piece,
              size_t size,
              bool *out_complete,
              uint64_t *out_next,
              struct error *err)
{
    if (check_id(project_id, err) != 0) {
        return -1;
    }
    if (total > BLOBS_ARCHIVE_SIZE_MAX || size > BLOBS_PIECE_SIZE_MAX ||
        offset > total || size > total - offset) {
        return error_set(err,
                         ERROR_OUT_OF_RANGE,
                         "the project archive has %" PRIu64 " bytes and a piece of %zu "
                         "at %" PRIu64 "; the limits are %" PRIu64 " and %u",
                         total,
                         size,
                         offset,
                         BLOBS_ARCHIVE_SIZE_MAX,
                         BLOBS_PIECE_SIZE_MAX);
    }
    if (is_stored(blobs, project_id, out_complete, err) != 0) {
        return -1;
    }
    *out_next = total;
    return *out_complete ? 0
                         : take_piece(blobs,
                                      project_id,
                                      offset,
                                      total,
                                      piece,
                                      size,
                                      out_complete,
                                      out_next,
                                      err);
}

int blobs_read(struct blobs *blobs,
               const char *project_id,
               uint64_t offset,
               struct buffer *out,
               uint64_t *out_total,
               struct error *err)
{
    struct object_info info;

    if (check_id(project_id, err) != 0) {
        return -1;
    }
    char *url = url_of(blobs, project_id);
    int result = object_get(blobs->store,
                            url,
                            offset,
                            BLOBS_PIECE_SIZE_MAX,
                            BLOBS_PIECE_SIZE_MAX,
                            NULL,
                            out,
                            &info,
                            err);
    if (result == 0) {
        *out_total = info.size;
    }
    free(url);
    return result;
}

static int list_entries(struct archive *reader, struct buffer *out, struct error *err)
{
    struct archive_entry *entry;
    uint64_t size = 0; // said before it is skipped, which a bomb would make slow

    for (size_t seen = 0; seen < BLOBS_ENTRIES_MAX; seen++) {
        int result = archive_read_next_header(reader, &entry);
        if (result == ARCHIVE_EOF) {
            return 0;
        }
        if (result != ARCHIVE_OK) {
            return error_set(err,
                             ERROR_INVALID_ARGUMENT,
                             "the project is not a readable archive: %s",
                             archive_error_string(reader));
        }
        size += (uint64_t)archive_entry_size(entry);
        if (size > BLOBS_UNPACKED_SIZE_MAX) {
            return error_set(err,
                             ERROR_OUT_OF_RANGE,
                             "the project's files have more than %u MiB, which is the "
                             "most a project may have",
                             BLOBS_UNPACKED_SIZE_MAX >> 20);
        }
        const char *path = archive_entry_pathname(entry);
        if (path && archive_entry_filetype(entry) == AE_IFREG) {
            buffer_add(out, path, strlen(path) + 1);
        }
    }
    return error_set(err,
                     ERROR_OUT_OF_RANGE,
                     "the project has more than %d files",
                     BLOBS_ENTRIES_MAX);
}

int blobs_list(struct blobs *blobs,
               const char *project_id,
               struct buffer *out,
               struct error *err)
{
    struct buffer bytes = BUFFER_INIT;

    if (check_id(project_id, err) != 0) {
        return -1;
    }
    char *url = url_of(blobs, project_id);
    int result = object_get(blobs->store,
                            url,
                            0,
                            UINT64_MAX,
                            BLOBS_ARCHIVE_SIZE_MAX,
                            NULL,
                            &bytes,
                            NULL,
                            err);
    free(url);
    if (result == 0) {
        struct archive *reader = archive_read_new();
        archive_read_support_filter_gzip(reader);
        archive_read_support_format_tar(reader);
        if (archive_read_open_memory(reader, bytes.data, bytes.size) != ARCHIVE_OK) {
            result = error_set(err,
                               ERROR_INVALID_ARGUMENT,
                               "the project is not a readable archive: %s",
                               archive_error_string(reader));
        } else {
            result = list_entries(reader, out, err);
        }
        archive_read_free(reader);
    }
    buffer_fini(&bytes);
    return result;
}
