/* SPDX-License-Identifier: Apache-2.0 */
/* faulty_disk.c - a disk for SQLite on which writes fail and the power is cut */
#include "tests/support/faulty_disk.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/buffer.h"

#define FILES_MAX 8
#define SECTOR    512

// A change that has not been synced: bytes, or (data NULL) a truncation to `at`.
struct change {
    size_t at;
    size_t size;
    char *data;
};

struct content {
    char *data;
    size_t size;
    size_t capacity;
};

struct file {
    char name[256];
    bool exists; // as the process sees it
    bool lasts;  // after a power cut, whatever the seed
    bool unsure; // it was created or deleted without a sync since
    struct content now;
    struct content synced;
    struct change *changes;
    size_t change_count;
};

struct handle {
    sqlite3_file base;
    struct file *file;
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    struct file files[FILES_MAX];
    enum disk_fault fault;
    uint64_t at;
    uint64_t operations;
} disk;

static void
content_write(struct content *content, const void *data, size_t size, size_t at)
{
    if (at + size > content->capacity) {
        content->capacity = 2 * (at + size);
        content->data = memory_realloc(content->data, content->capacity);
    }
    if (at + size > content->size) {
        memset(content->data + content->size, 0, at + size - content->size);
        content->size = at + size;
    }
    memcpy(content->data + at, data, size);
}

static void content_cut(struct content *content, size_t size)
{
    content->size = size < content->size ? size : content->size;
}

static void content_copy(struct content *to, const struct content *from)
{
    content_cut(to, 0);
    if (from->size > 0) {
        content_write(to, from->data, from->size, 0);
    }
}

static void forget_changes(struct file *file)
{
    for (size_t i = 0; i < file->change_count; i++) {
        free(file->changes[i].data);
    }
    free(file->changes);
    file->changes = NULL;
    file->change_count = 0;
}

static void note(struct file *file, const void *data, size_t size, size_t at)
{
    file->changes = memory_realloc(file->changes,
                                   (file->change_count + 1) * sizeof(file->changes[0]));
    struct change *change = &file->changes[file->change_count++];
    *change = (struct change){.at = at, .size = size};
    if (data) {
        change->data = memory_realloc(NULL, size);
        memcpy(change->data, data, size);
    }
}

// What becomes of an operation that changes something.
static int operate(void)
{
    uint64_t number = ++disk.operations;

    if (disk.fault == DISK_WELL || number < disk.at) {
        return SQLITE_OK;
    }
    if (disk.fault == DISK_FULL) {
        return number < disk.at + DISK_FULL_OPERATIONS ? SQLITE_FULL : SQLITE_OK;
    }
    return disk.fault == DISK_CUT || number == disk.at ? SQLITE_IOERR : SQLITE_OK;
}

/* --- a file ----------------------------------------------------------------------- */

static struct file *file_of(sqlite3_file *handle)
{
    return ((struct handle *)handle)->file;
}

static int disk_close(sqlite3_file *handle)
{
    (void)handle;
    return SQLITE_OK;
}

static int disk_read(sqlite3_file *handle, void *out, int size, sqlite3_int64 at)
{
    const struct content *content = &file_of(handle)->now;
    size_t from = (size_t)at;
    size_t there = from < content->size ? content->size - from : 0;

    there = there < (size_t)size ? there : (size_t)size;
    if (there > 0) {
        memcpy(out, content->data + from, there);
    }
    memset((char *)out + there, 0, (size_t)size - there);
    return there == (size_t)size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int
disk_write(sqlite3_file *handle, const void *data, int size, sqlite3_int64 at)
{
    struct file *file = file_of(handle);
    int result = operate();

    if (result == SQLITE_OK) {
        content_write(&file->now, data, (size_t)size, (size_t)at);
        note(file, data, (size_t)size, (size_t)at);
    }
    return result == SQLITE_IOERR ? SQLITE_IOERR_WRITE : result;
}

static int disk_truncate(sqlite3_file *handle, sqlite3_int64 size)
{
    struct file *file = file_of(handle);

    if (operate() != SQLITE_OK) {
        return SQLITE_IOERR_TRUNCATE;
    }
    content_cut(&file->now, (size_t)size);
    note(file, NULL, 0, (size_t)size);
    return SQLITE_OK;
}

// Who was created or deleted is so for good.
static void sync_folder_now(void)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        if (file->unsure && !file->exists) {
            content_cut(&file->synced, 0);
            forget_changes(file);
        }
        file->lasts = file->exists;
        file->unsure = false;
    }
}

static int disk_sync(sqlite3_file *handle, int flags)
{
    struct file *file = file_of(handle);

    (void)flags;
    if (operate() != SQLITE_OK) {
        // Linux reports it once and takes the pages for clean: they are never written.
        forget_changes(file);
        return SQLITE_IOERR_FSYNC;
    }
    for (size_t i = 0; i < file->change_count; i++) {
        const struct change *change = &file->changes[i];
        if (change->data) {
            content_write(&file->synced, change->data, change->size, change->at);
        } else {
            content_cut(&file->synced, change->at);
        }
    }
    forget_changes(file);
    if (file->unsure) { // SQLite's own VFS syncs the folder with a file's first sync
        sync_folder_now();
    }
    return SQLITE_OK;
}

static int disk_size(sqlite3_file *handle, sqlite3_int64 *out_size)
{
    *out_size = (sqlite3_int64)file_of(handle)->now.size;
    return SQLITE_OK;
}

static int disk_lock(sqlite3_file *handle, int level)
{
    (void)handle;
    (void)level;
    return SQLITE_OK;
}

static int disk_reserved(sqlite3_file *handle, int *out_is)
{
    (void)handle;
    *out_is = 0;
    return SQLITE_OK;
}

static int disk_control(sqlite3_file *handle, int what, void *arg)
{
    (void)handle;
    (void)what;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int disk_sector(sqlite3_file *handle)
{
    (void)handle;
    return SECTOR;
}

static int disk_kind(sqlite3_file *handle)
{
    (void)handle;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; // as SQLite's own VFS says of any disk
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_lock,
    .xCheckReservedLock = disk_reserved,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_kind,
};

/* --- the folder ------------------------------------------------------------------- */

static struct file *find(const char *name)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (strcmp(disk.files[i].name, name) == 0) {
            return &disk.files[i];
        }
    }
    return NULL;
}

static struct file *find_or_add(const char *name)
{
    struct file *file = find(name);

    for (size_t i = 0; !file && i < FILES_MAX; i++) {
        if (!disk.files[i].name[0]) {
            file = &disk.files[i];
            (void)strncpy(file->name, name, sizeof(file->name) - 1);
        }
    }
    return file;
}

static int disk_open(
    sqlite3_vfs *vfs, const char *name, sqlite3_file *handle, int flags, int *out_flags)
{
    struct file *file = name ? find_or_add(name) : NULL;

    (void)vfs;
    handle->pMethods = NULL;
    if (!file || (!file->exists && !(flags & SQLITE_OPEN_CREATE))) {
        return SQLITE_CANTOPEN;
    }
    if (!file->exists) {
        file->exists = true;
        file->unsure = true;
    }
    ((struct handle *)handle)->file = file;
    handle->pMethods = &methods;
    if (out_flags) {
        *out_flags = flags;
    }
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    struct file *file = find(name);

    (void)vfs;
    if (!file || !file->exists) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    if (operate() != SQLITE_OK) {
        return SQLITE_IOERR_DELETE;
    }
    file->exists = false;
    file->unsure = true;
    content_cut(&file->now, 0);
    if (sync_folder) {
        sync_folder_now();
    }
    return SQLITE_OK;
}

static int disk_access(sqlite3_vfs *vfs, const char *name, int flags, int *out_is)
{
    const struct file *file = find(name);

    (void)vfs;
    (void)flags;
    *out_is = file && file->exists;
    return SQLITE_OK;
}

static int disk_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    (void)strncpy(out, name, (size_t)size);
    return SQLITE_OK;
}

static int disk_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    return disk.real->xRandomness(disk.real, size, out);
}

static int disk_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int disk_time(sqlite3_vfs *vfs, double *out_days)
{
    (void)vfs;
    return disk.real->xCurrentTime(disk.real, out_days);
}

void disk_create(void)
{
    disk.real = sqlite3_vfs_find("unix");
    disk.vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 255,
        .zName = "faulty-disk",
        .xOpen = disk_open,
        .xDelete = disk_delete,
        .xAccess = disk_access,
        .xFullPathname = disk_full_path,
        .xRandomness = disk_randomness,
        .xSleep = disk_sleep,
        .xCurrentTime = disk_time,
    };
    (void)sqlite3_vfs_register(&disk.vfs, 1);
}

void disk_wipe(void)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        forget_changes(&disk.files[i]);
        free(disk.files[i].now.data);
        free(disk.files[i].synced.data);
        disk.files[i] = (struct file){0};
    }
}

void disk_destroy(void)
{
    disk_wipe();
    (void)sqlite3_vfs_unregister(&disk.vfs);
}

void disk_plan(enum disk_fault fault, uint64_t at)
{
    disk.fault = fault;
    disk.at = at;
    disk.operations = 0;
}

uint64_t disk_operations(void)
{
    return disk.operations;
}

/* --- the power cut ---------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed)
{
    // Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
    uint64_t mixed = *seed += UINT64_C(0x9E3779B97F4A7C15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

// A third arrives, a third is torn behind a sector, a third is lost.
static void settle(struct file *file, const struct change *change, uint64_t *seed)
{
    uint64_t fate = next_random(seed) % 3;
    size_t size = change->size;

    if (fate == 2) {
        return;
    }
    if (!change->data) {
        content_cut(&file->synced, change->at);
        return;
    }
    if (fate == 1) {
        size = next_random(seed) % (change->size / SECTOR + 1) * SECTOR;
    }
    content_write(&file->synced, change->data, size, change->at);
}

void disk_power_cut(uint64_t seed)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        bool stays = file->unsure ? next_random(&seed) % 2 : file->lasts;
        for (size_t j = 0; j < file->change_count; j++) {
            settle(file, &file->changes[j], &seed);
        }
        forget_changes(file);
        if (!stays) {
            content_cut(&file->synced, 0);
        }
        content_copy(&file->now, &file->synced);
        file->exists = stays;
        file->lasts = stays;
        file->unsure = false;
    }
    disk_plan(DISK_WELL, 0);
}
