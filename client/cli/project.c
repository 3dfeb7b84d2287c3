/* SPDX-License-Identifier: Apache-2.0 */
/* project.c - what `cortex deploy` sends, and how it is named */
#include "client/cli/project.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "client/cli/ignore.h"
#include "common/fs.h"

#define PIECE_SIZE  (256u << 10) // bytes read from a file at a time
#define ROW_GROWTH  64
#define IGNORE_NAME ".cortexignore"
#define ENV_NAME    ".env"

struct walk {
    struct project *project;
    const char *config_name;
    struct ignore *ignore;
    uint64_t size;
    struct error *err;
};

// --- looking for the files ---

static void warn(struct project *project, const char *format, const char *path)
{
    size_t count = project->warning_count;

    if (count % ROW_GROWTH == 0) {
        project->warnings = memory_realloc(
            project->warnings, (count + ROW_GROWTH) * sizeof(*project->warnings));
    }
    project->warnings[project->warning_count++] = memory_format("%s: %s", path, format);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

// What is never part of a project, whatever .cortexignore says.
static bool
never_packed(const struct walk *walk, const char *path, const char *name, bool folder)
{
    bool at_root = path == name || strcmp(path, name) == 0;

    if (at_root && !folder && strcmp(name, ENV_NAME) == 0) {
        return false;
    }
    return name[0] == '.' || strcmp(name, "__pycache__") == 0 ||
           ends_with(name, ".pyc") || ends_with(name, ".pyo") ||
           ends_with(name, ".pyd") || strncmp(name, "cortex-debug-", 13) == 0 ||
           (at_root && strcmp(name, walk->config_name) == 0);
}

static int add_file(struct walk *walk,
                    const char *path,
                    const struct stat *status,
                    const char *source)
{
    struct project *project = walk->project;
    uint64_t size = (uint64_t)status->st_size;

    if (size > PROJECT_SIZE_MAX || walk->size + size > PROJECT_SIZE_MAX) {
        return error_set_kind(walk->err,
                              ERROR_OUT_OF_RANGE,
                              "cli.project_too_large",
                              "with %s (%" PRIu64
                              " bytes) the project is larger than the limit of "
                              "%" PRIu64 " MiB: name what it does not need in %s",
                              path,
                              size,
                              PROJECT_SIZE_MAX >> 20,
                              IGNORE_NAME);
    }
    if (project->file_count == PROJECT_FILES_MAX) {
        return error_set_kind(walk->err,
                              ERROR_OUT_OF_RANGE,
                              "cli.too_many_files",
                              "%s has more than %d files: name what the project does "
                              "not need in %s",
                              project->root,
                              PROJECT_FILES_MAX,
                              IGNORE_NAME);
    }
    if (project->file_count % ROW_GROWTH == 0) {
        project->files = memory_realloc(project->files,
                                        (project->file_count + ROW_GROWTH) *
                                            sizeof(*project->files));
    }
    project->files[project->file_count++] = (struct project_file){
        .path = memory_strdup(path),
        .source = memory_strdup(source),
        .size = size,
        .executable = (status->st_mode & S_IXUSR) != 0,
    };
    walk->size += size;
    return 0;
}

static int add_link(struct walk *walk, const char *path, const char *link)
{
    struct stat status;
    size_t root_length = strlen(walk->project->root);
    char *target = realpath(link, NULL);
    int result = 0;

    if (!target || stat(target, &status) != 0) {
        warn(walk->project, "left out, the link leads nowhere", path);
    } else if (strncmp(target, walk->project->root, root_length) != 0 ||
               target[root_length] != '/') {
        warn(walk->project, "left out, the link leads out of the project", path);
    } else if (!S_ISREG(status.st_mode)) {
        warn(walk->project, "left out, the link does not lead to a file", path);
    } else {
        result = add_file(walk, path, &status, target);
    }
    free(target);
    return result;
}

// One entry of the tree; *out_skip: not to be looked into.
static int take_entry(struct walk *walk, const FTSENT *entry, bool *out_skip)
{
    const char *path = entry->fts_path + strlen(walk->project->root) + 1;
    bool folder = entry->fts_info == FTS_D;

    if (entry->fts_info == FTS_DP) {
        return 0;
    }
    if (never_packed(walk, path, entry->fts_name, folder) ||
        ignore_match(walk->ignore, path, folder)) {
        *out_skip = folder;
        return 0;
    }
    switch (entry->fts_info) {
    case FTS_D:
        return 0;
    case FTS_F:
        return add_file(walk, path, entry->fts_statp, NULL);
    case FTS_SL:
    case FTS_SLNONE:
        return add_link(walk, path, entry->fts_path);
    case FTS_DEFAULT:
        warn(walk->project, "left out, it is neither a file nor a folder", path);
        return 0;
    default:
        errno = entry->fts_errno;
        return error_set_errno(
            walk->err, ERROR_PERMISSION_DENIED, "cannot read %s", entry->fts_path);
    }
}

static int walk_tree(struct walk *walk)
{
    char *roots[] = {walk->project->root, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int result = 0;
    FTSENT *entry = NULL;

    if (!tree) {
        return error_set_errno(
            walk->err, ERROR_INTERNAL, "cannot read %s", walk->project->root);
    }
    while (result == 0 && (errno = 0, entry = fts_read(tree)) != NULL) {
        bool skip = false;
        if (entry->fts_level > 0) {
            result = take_entry(walk, entry, &skip);
        } else if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP) {
            errno = entry->fts_errno ? entry->fts_errno : ENOTDIR;
            result = error_set_errno(walk->err,
                                     ERROR_NOT_FOUND,
                                     "cannot read the folder %s",
                                     entry->fts_path);
        }
        if (skip) {
            (void)fts_set(tree, entry, FTS_SKIP);
        }
    }
    if (result == 0 && errno != 0) {
        result = error_set_errno(
            walk->err, ERROR_INTERNAL, "cannot read %s", walk->project->root);
    }
    (void)fts_close(tree);
    return result;
}

static int read_ignore(const char *root, struct ignore **out, struct error *err)
{
    char *path = fs_join(root, IGNORE_NAME);
    struct buffer text = BUFFER_INIT;
    int result = 0;

    if (fs_exists(path)) {
        result = fs_read(path, IGNORE_SIZE_MAX, &text, err);
        if (result == 0) {
            result = ignore_create(buffer_text(&text), text.size, out, err);
        }
        if (result != 0) {
            (void)error_wrap(err, "%s", IGNORE_NAME);
        }
    }
    buffer_fini(&text);
    free(path);
    return result;
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct project_file *)left)->path,
                  ((const struct project_file *)right)->path);
}

int project_open(const char *root,
                 const char *config_name,
                 struct project *out,
                 struct error *err)
{
    struct project project = {.root = realpath(root, NULL)};
    struct walk walk = {.project = &project, .config_name = config_name, .err = err};
    int result = -1;

    if (!project.root) {
        return error_set_errno(err, ERROR_NOT_FOUND, "cannot find the folder %s", root);
    }
    if (read_ignore(project.root, &walk.ignore, err) == 0) {
        result = walk_tree(&walk);
    }
    ignore_destroy(walk.ignore);
    if (result != 0) {
        project_close(&project);
        return -1;
    }
    if (project.file_count > 0) {
        qsort(project.files, project.file_count, sizeof(*project.files), by_path);
    }
    *out = project;
    return 0;
}

void project_close(struct project *project)
{
    for (size_t i = 0; i < project->file_count; i++) {
        free(project->files[i].path);
        free(project->files[i].source);
    }
    for (size_t i = 0; i < project->warning_count; i++) {
        free(project->warnings[i]);
    }
    free(project->files);
    free(project->warnings);
    free(project->root);
    *project = (struct project){NULL};
}

// --- the archive ---

static int archive_error(struct archive *archive, struct error *err)
{
    return error_set(
        err, ERROR_INTERNAL, "cannot pack: %s", archive_error_string(archive));
}

static la_ssize_t
take_bytes(struct archive *archive, void *arg, const void *data, size_t size)
{
    (void)archive;
    buffer_add(arg, data, size);
    return (la_ssize_t)size;
}

static int write_header(struct archive *archive,
                        const struct project_file *file,
                        struct error *err)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, file->path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, file->executable ? 0755 : 0644);
    archive_entry_set_size(entry, (la_int64_t)file->size);
    archive_entry_set_mtime(entry, 0, 0);
    int result = archive_write_header(archive, entry);
    archive_entry_free(entry);
    return result == ARCHIVE_OK ? 0 : archive_error(archive, err);
}

static int copy_file(struct archive *archive,
                     int fd,
                     const struct project_file *file,
                     struct error *err)
{
    char *piece = memory_zalloc(PIECE_SIZE);
    uint64_t left = file->size;
    int result = 0;

    while (left > 0 && result == 0) {
        ssize_t got = read(fd, piece, left < PIECE_SIZE ? left : PIECE_SIZE);
        if (got < 0 && errno != EINTR) {
            result = error_set_errno(err, ERROR_INTERNAL, "cannot read %s", file->path);
        } else if (got == 0) {
            result = error_set(
                err, ERROR_ABORTED, "%s changed while it was read", file->path);
        } else if (got > 0 && archive_write_data(archive, piece, (size_t)got) != got) {
            result = archive_error(archive, err);
        } else if (got > 0) {
            left -= (uint64_t)got;
        }
    }
    free(piece);
    return result;
}

static int pack_file(struct archive *archive,
                     const struct project *project,
                     const struct project_file *file,
                     struct error *err)
{
    char *path =
        file->source ? memory_strdup(file->source) : fs_join(project->root, file->path);
    // never blocks on a fifo nor follows a link that took the file's place
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;
    int result = -1;

    if (fd < 0) {
        error_set_errno(err, ERROR_PERMISSION_DENIED, "cannot read %s", path);
    } else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
               (uint64_t)status.st_size != file->size) {
        error_set(err, ERROR_ABORTED, "%s changed while it was read", file->path);
    } else if (write_header(archive, file, err) == 0) {
        result = copy_file(archive, fd, file, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(path);
    return result;
}

static int open_archive(struct archive *archive, struct buffer *out, struct error *err)
{
    // gnutar stores names as the bytes they are, in whatever locale
    if (archive_write_set_format_gnutar(archive) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(archive) != ARCHIVE_OK ||
        archive_write_set_filter_option(archive, "gzip", "timestamp", NULL) !=
            ARCHIVE_OK ||
        archive_write_set_bytes_per_block(archive, 0) != ARCHIVE_OK ||
        archive_write_open2(archive, out, NULL, take_bytes, NULL, NULL) != ARCHIVE_OK) {
        return archive_error(archive, err);
    }
    return 0;
}

int project_pack(const struct project *project,
                 struct buffer *out_archive,
                 char out_id[ID_PROJECT_TEXT_SIZE],
                 struct error *err)
{
    struct archive *archive = archive_write_new();
    struct buffer bytes = BUFFER_INIT;
    int result = archive ? open_archive(archive, &bytes, err)
                         : error_set(err, ERROR_RESOURCE_EXHAUSTED, "no memory");

    for (size_t i = 0; i < project->file_count && result == 0; i++) {
        if (!project->files[i].left_out) {
            result = pack_file(archive, project, &project->files[i], err);
        }
    }
    if (result == 0 && archive_write_close(archive) != ARCHIVE_OK) {
        result = archive_error(archive, err);
    }
    (void)archive_write_free(archive);
    if (result != 0) {
        buffer_fini(&bytes);
        return -1;
    }
    id_hash_of(bytes.data, bytes.size, out_id);
    buffer_fini(out_archive);
    *out_archive = bytes;
    return 0;
}
