/* SPDX-License-Identifier: Apache-2.0 */
/* object_file_list.c - how files are walked as if their paths were keys */
#include "common/object_file_list.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "common/object_file.h"

/* A folder being walked. A folder's name ends in "/" here: that is its place in the
 * order of all paths. */
struct level {
    struct level *up;
    size_t path_size; // of the folder's path with its "/" in list->path
    char **names;     // sorted, up to OBJECT_FILE_LIST_NAMES at rest
    size_t count;
    size_t at;
    size_t capacity;
    bool more; // behind these there are others
    dev_t device;
    ino_t inode;
};

struct file_list {
    struct object_list base;
    struct buffer url;   // "file://" and the path of the folder or the file at hand
    char *prefix;        // a path
    char *after;         // a path, or ""
    struct level *level; // the deepest; NULL: the end
    bool started;
    struct object_info info;
};

static const char *path_of(const struct file_list *list)
{
    return object_file_path(list->url.data);
}

static void cut_path(struct file_list *list, size_t path_size)
{
    list->url.size = strlen("file://") + path_size;
    list->url.data[list->url.size] = '\0';
}

static int compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// Keeps the first OBJECT_FILE_LIST_NAMES names in order.
static void sort(struct level *level)
{
    if (level->count > 1) {
        qsort(level->names, level->count, sizeof(*level->names), compare);
    }
    while (level->count > OBJECT_FILE_LIST_NAMES) {
        free(level->names[--level->count]);
        level->more = true;
    }
}

static void add_name(struct level *level, char *name)
{
    if (level->count == level->capacity) {
        level->capacity = level->capacity ? level->capacity * 2 : 16;
        level->names =
            memory_realloc(level->names, level->capacity * sizeof(*level->names));
    }
    level->names[level->count++] = name;
    if (level->count == 2 * OBJECT_FILE_LIST_NAMES) {
        sort(level);
    }
}

// Whether text and prefix agree as far as both go.
static bool agree(const char *text, const char *prefix)
{
    size_t size = strlen(text) < strlen(prefix) ? strlen(text) : strlen(prefix);

    return strncmp(text, prefix, size) == 0;
}

// Whether there may be something to list at the path, of a folder if it ends in "/".
static bool wanted(const struct file_list *list, const char *path)
{
    size_t size = strlen(path);
    bool folder = path[size - 1] == '/';

    if (!agree(path, list->prefix) || (!folder && size < strlen(list->prefix))) {
        return false;
    }
    return strcmp(path, list->after) > 0 || (folder && agree(path, list->after));
}

// DT_REG, DT_DIR or anything else, of what a link leads to.
static int type_of(const char *path, int type)
{
    struct stat status;

    if (type == DT_REG || type == DT_DIR) {
        return type;
    }
    if ((type != DT_LNK && type != DT_UNKNOWN) || stat(path, &status) != 0) {
        return DT_UNKNOWN;
    }
    return S_ISREG(status.st_mode)   ? DT_REG
           : S_ISDIR(status.st_mode) ? DT_DIR
                                     : DT_UNKNOWN;
}

// Adds the entry unless it is not wanted or comes before `last`, a name or NULL.
static void take_entry(struct file_list *list,
                       struct level *level,
                       const struct dirent *entry,
                       const char *last)
{
    const char *name = entry->d_name;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return;
    }
    buffer_add_text(&list->url, name);
    int type = type_of(path_of(list), entry->d_type);
    if (type == DT_DIR) {
        buffer_add_char(&list->url, '/');
    }
    const char *whole = path_of(list) + level->path_size;
    if ((type == DT_DIR || type == DT_REG) && wanted(list, path_of(list)) &&
        (!last || strcmp(whole, last) > 0)) {
        add_name(level, memory_strdup(whole));
    }
    cut_path(list, level->path_size);
}

static int broken(const struct file_list *list, struct error *err)
{
    if (errno == ENOENT || errno == ENOTDIR) {
        return 0;
    }
    return object_file_error(list->url.data, "list", err);
}

// Reads the names behind `last` of the folder that is list->path.
static int read_folder(struct file_list *list,
                       struct level *level,
                       const char *last,
                       struct error *err)
{
    DIR *folder = opendir(path_of(list));
    const struct dirent *entry;
    int result = 0;

    level->count = 0;
    level->at = 0;
    level->more = false;
    if (!folder) {
        return broken(list, err);
    }
    // errno is how readdir tells an error from the end.
    while (errno = 0, (entry = readdir(folder))) {
        take_entry(list, level, entry, last);
    }
    if (errno) {
        result = broken(list, err);
    }
    (void)closedir(folder);
    sort(level);
    return result;
}

static void leave(struct file_list *list)
{
    struct level *level = list->level;

    list->level = level->up;
    for (size_t i = level->at; i < level->count; i++) {
        free(level->names[i]);
    }
    free(level->names);
    free(level);
}

// Goes into the folder that is list->path, unless we are in it already.
static int enter(struct file_list *list, struct error *err)
{
    struct stat status;

    if (stat(path_of(list), &status) != 0) {
        return errno == ELOOP ? 0 : broken(list, err);
    }
    for (const struct level *up = list->level; up; up = up->up) {
        if (up->device == status.st_dev && up->inode == status.st_ino) {
            return 0;
        }
    }
    struct level *level = memory_zalloc(sizeof(*level));
    *level = (struct level){.up = list->level,
                            .path_size = strlen(path_of(list)),
                            .device = status.st_dev,
                            .inode = status.st_ino};
    list->level = level;
    return read_folder(list, level, NULL, err);
}

// The folder that the prefix is in.
static int start(struct file_list *list, struct error *err)
{
    list->started = true;
    buffer_add_text(&list->url, "file://");
    buffer_add(&list->url,
               list->prefix,
               (size_t)(strrchr(list->prefix, '/') + 1 - list->prefix));
    return enter(list, err);
}

// Puts the next name of the deepest folder behind its path and frees it; with none left
// that folder is read on or left, and *out is NUL.
static int step(struct file_list *list, char *out_kind, struct error *err)
{
    struct level *level = list->level;

    cut_path(list, level->path_size);
    *out_kind = '\0';
    if (level->at == level->count) {
        leave(list);
        return 0;
    }
    char *name = level->names[level->at++];
    size_t size = strlen(name);
    int result = 0;
    if (level->at == level->count && level->more) {
        result = read_folder(list, level, name, err);
    }
    buffer_add(&list->url, name, size);
    *out_kind = name[size - 1];
    free(name);
    return result;
}

// 1 if the path is a file still.
static int take_file(struct file_list *list, struct object_entry *out)
{
    struct stat status;

    if (stat(path_of(list), &status) != 0 || !S_ISREG(status.st_mode)) {
        return 0;
    }
    object_file_info(&status, &list->info);
    *out = (struct object_entry){list->url.data, list->info.size, list->info.etag};
    return 1;
}

static int next(struct object_list *base, struct object_entry *out, struct error *err)
{
    struct file_list *list = (struct file_list *)base;
    char kind;

    if (!list->started && start(list, err) != 0) {
        return -1;
    }
    while (list->level) {
        if (step(list, &kind, err) != 0) {
            return -1;
        }
        if (kind == '/' ? enter(list, err) != 0 : kind && take_file(list, out)) {
            return kind == '/' ? -1 : 1;
        }
    }
    return 0;
}

static void close_list(struct object_list *base)
{
    struct file_list *list = (struct file_list *)base;

    while (list->level) {
        leave(list);
    }
    buffer_fini(&list->url);
    free(list->prefix);
    free(list->after);
    free(list);
}

int object_file_list_open(const char *prefix_url,
                          const char *start_after,
                          struct object_list **out_list,
                          struct error *err)
{
    struct file_list *list = memory_zalloc(sizeof(*list));

    (void)err;
    list->base = (struct object_list){next, close_list};
    list->prefix = memory_strdup(object_file_path(prefix_url));
    list->after = memory_strdup(*start_after ? object_file_path(start_after) : "");
    *out_list = &list->base;
    return 0;
}
