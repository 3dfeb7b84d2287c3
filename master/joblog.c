/* SPDX-License-Identifier: Apache-2.0 */
/* joblog.c - where a job's log is kept, and who reads along */
#include "master/joblog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/fs.h"

enum task_type { TASK_APPEND, TASK_READ, TASK_CLOSE, TASK_FORGET, TASK_RELEASE };

/* What is asked of the thread; a reader that waits is kept as one. */
struct task {
    struct task *next;
    enum task_type type;
    uint64_t job_id;
    char *data;
    size_t size;
    joblog_done_fn appended;
    joblog_read_fn read;
    void *arg;
    uint64_t offset;
    int64_t until_ms;
    bool closed;
};

struct joblog {
    char *folder;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct task *first;
    struct task **last;
    bool ending;
    /* The thread's own. */
    struct task *waiting;
    bool released;     /* nobody waits any more */
    uint64_t open_job; /* of the file that is open for appending */
    uint64_t open_chunk;
    uint64_t open_size; /* of the whole log */
    int open_fd;
};

static char *chunk_path(const struct joblog *log, uint64_t job_id, uint64_t chunk)
{
    return memory_format(
        "%s/%016" PRIx64 "/log.%08" PRIu64, log->folder, job_id, chunk);
}

static int64_t chunk_size(const struct joblog *log, uint64_t job_id, uint64_t chunk)
{
    char *path = chunk_path(log, job_id, chunk);
    struct stat status;
    int64_t size = stat(path, &status) == 0 ? (int64_t)status.st_size : -1;

    free(path);
    return size;
}

// The number of the newest chunk, 0 if there is none. There may be a gap behind the
// first, of any width.
static uint64_t newest_chunk(const struct joblog *log, uint64_t job_id)
{
    char *path = memory_format("%s/%016" PRIx64, log->folder, job_id);
    DIR *folder = opendir(path);
    struct dirent *entry;
    uint64_t newest = 0;

    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, "log.", 4) == 0) {
            uint64_t chunk = strtoull(entry->d_name + 4, NULL, 10);
            newest = chunk > newest ? chunk : newest;
        }
    }
    if (folder) {
        (void)closedir(folder);
    }
    free(path);
    return newest;
}

// A log's chunks are all full but the last.
static uint64_t log_size(const struct joblog *log, uint64_t job_id)
{
    if (job_id == log->open_job && log->open_fd >= 0) {
        return log->open_size;
    }
    uint64_t newest = newest_chunk(log, job_id);
    int64_t size = chunk_size(log, job_id, newest);
    return newest * JOBLOG_CHUNK_SIZE + (size > 0 ? (uint64_t)size : 0);
}

static void close_open(struct joblog *log)
{
    if (log->open_fd >= 0) {
        (void)close(log->open_fd);
        log->open_fd = -1;
    }
}

static int open_for_append(struct joblog *log, uint64_t job_id, struct error *err)
{
    uint64_t size = log_size(log, job_id);
    uint64_t chunk = size / JOBLOG_CHUNK_SIZE;

    if (log->open_fd >= 0 && log->open_job == job_id && log->open_chunk == chunk) {
        return 0;
    }
    close_open(log);
    char *folder = memory_format("%s/%016" PRIx64, log->folder, job_id);
    char *path = chunk_path(log, job_id, chunk);
    int result = fs_make_folder(folder, 0700, err);
    if (result == 0) {
        log->open_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log->open_fd < 0) {
            result = error_set_errno(err, ERROR_DATA_LOSS, "cannot open %s", path);
        }
        log->open_job = job_id;
        log->open_chunk = chunk;
        log->open_size = size;
    }
    free(folder);
    free(path);
    return result;
}

// A new chunk pushes an old one out, but never the first.
static void drop_old(struct joblog *log)
{
    if (log->open_chunk > JOBLOG_CHUNKS_MAX) {
        char *path =
            chunk_path(log, log->open_job, log->open_chunk - JOBLOG_CHUNKS_MAX);
        (void)fs_remove(path, NULL); // it stays a chunk longer then
        free(path);
    }
}

static int append(struct joblog *log, const struct task *task, struct error *err)
{
    size_t done = 0;

    while (done < task->size) {
        if (open_for_append(log, task->job_id, err) != 0) {
            return -1;
        }
        drop_old(log);
        size_t room = JOBLOG_CHUNK_SIZE - log->open_size % JOBLOG_CHUNK_SIZE;
        size_t part = task->size - done < room ? task->size - done : room;
        if (fs_write_all(log->open_fd, task->data + done, part, err) != 0) {
            close_open(log); // how much of it is there, the file says
            return error_wrap(err, "the log of job %016" PRIx64, task->job_id);
        }
        log->open_size += part;
        done += part;
    }
    return 0;
}

// The first offset from `offset` on that is still there.
static uint64_t
skip_dropped(const struct joblog *log, uint64_t job_id, uint64_t offset, uint64_t size)
{
    uint64_t last = size / JOBLOG_CHUNK_SIZE;

    for (uint64_t chunk = offset / JOBLOG_CHUNK_SIZE; chunk < last; chunk++) {
        if (chunk_size(log, job_id, chunk) >= 0) {
            break;
        }
        uint64_t kept_from = last > JOBLOG_CHUNKS_MAX ? last - JOBLOG_CHUNKS_MAX : 0;
        chunk = chunk + 1 < kept_from ? kept_from - 1 : chunk;
        offset = (chunk + 1) * JOBLOG_CHUNK_SIZE;
    }
    return offset;
}

static int read_at(const struct joblog *log,
                   uint64_t job_id,
                   uint64_t offset,
                   char *out,
                   size_t *inout_size,
                   struct error *err)
{
    char *path = chunk_path(log, job_id, offset / JOBLOG_CHUNK_SIZE);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = 0;

    if (fd < 0) {
        result = error_set_errno(err, ERROR_INTERNAL, "cannot open %s", path);
    } else {
        ssize_t got = pread(fd, out, *inout_size, (off_t)(offset % JOBLOG_CHUNK_SIZE));
        if (got < 0) {
            result = error_set_errno(err, ERROR_INTERNAL, "cannot read %s", path);
        } else {
            *inout_size = (size_t)got;
        }
        (void)close(fd);
    }
    free(path);
    return result;
}

// Answers the reader if there is something to say. False: it has to wait.
static bool try_answer(struct joblog *log, const struct task *task, bool at_once)
{
    uint64_t size = log_size(log, task->job_id);
    struct error err = {0};

    if (task->offset >= size) {
        if (task->closed || at_once) {
            task->read(
                task->arg, "", 0, task->offset, task->offset, task->closed, NULL);
        }
        return task->closed || at_once;
    }
    uint64_t offset = skip_dropped(log, task->job_id, task->offset, size);
    size_t part = JOBLOG_CHUNK_SIZE - offset % JOBLOG_CHUNK_SIZE;
    part = part < JOBLOG_READ_SIZE_MAX ? part : JOBLOG_READ_SIZE_MAX;
    part = part < size - offset ? part : size - offset;
    char *data = memory_zalloc(part);
    if (read_at(log, task->job_id, offset, data, &part, &err) != 0) {
        task->read(task->arg, "", 0, offset, offset, false, &err);
    } else {
        bool end = task->closed && offset + part >= size;
        task->read(task->arg, data, part, offset, offset + part, end, NULL);
    }
    free(data);
    return true;
}

static void task_free(struct task *task)
{
    free(task->data);
    free(task);
}

// Those who wait for this job (0: for any) and can be answered now.
static void look_at_waiting(struct joblog *log, uint64_t job_id, bool closed, bool all)
{
    struct task **link = &log->waiting;
    int64_t now_ms = clock_monotonic_ms();

    while (*link) {
        struct task *task = *link;
        bool meant = job_id == 0 || task->job_id == job_id;
        task->closed = task->closed || (closed && meant);
        bool due = all || task->until_ms <= now_ms;
        if ((meant || due) && try_answer(log, task, due)) {
            *link = task->next;
            task_free(task);
        } else {
            link = &task->next;
        }
    }
}

static void forget(struct joblog *log, uint64_t job_id)
{
    char *folder = memory_format("%s/%016" PRIx64, log->folder, job_id);

    if (log->open_job == job_id) {
        close_open(log);
    }
    (void)fs_remove_tree(folder, NULL); // what is left is removed at the next start
    free(folder);
}

static void do_task(struct joblog *log, struct task *task)
{
    struct error err = {0};

    if (task->type == TASK_APPEND) {
        int result = append(log, task, &err);
        if (task->appended) {
            task->appended(task->arg, result == 0 ? NULL : &err);
        }
        look_at_waiting(log, task->job_id, false, false);
    } else if (task->type == TASK_CLOSE) {
        look_at_waiting(log, task->job_id, true, false);
    } else if (task->type == TASK_RELEASE) {
        log->released = true;
        look_at_waiting(log, UINT64_MAX, false, true);
    } else if (task->type == TASK_FORGET) {
        forget(log, task->job_id);
        look_at_waiting(log, task->job_id, true, false);
    } else if (!try_answer(log,
                           task,
                           log->released || task->until_ms <= clock_monotonic_ms())) {
        task->next = log->waiting;
        log->waiting = task;
        return;
    }
    task_free(task);
}

static int64_t next_wake(const struct joblog *log)
{
    int64_t wake_ms = INT64_MAX;

    for (const struct task *task = log->waiting; task; task = task->next) {
        wake_ms = task->until_ms < wake_ms ? task->until_ms : wake_ms;
    }
    return wake_ms;
}

static void wait_for_task(struct joblog *log, int64_t wake_ms)
{
    int64_t left_ms = wake_ms == INT64_MAX ? 3600000 : wake_ms - clock_monotonic_ms();
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    left_ms = left_ms > 0 ? left_ms : 0;
    int64_t ns = until.tv_nsec + left_ms % 1000 * 1000000;
    until.tv_sec += left_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    (void)pthread_cond_timedwait(&log->changed, &log->lock, &until);
}

static void *work(void *arg)
{
    struct joblog *log = arg;
    bool going_on = true;

    while (going_on) {
        int64_t wake_ms = next_wake(log);
        pthread_mutex_lock(&log->lock);
        if (!log->first && !log->ending) {
            wait_for_task(log, wake_ms);
        }
        struct task *task = log->first;
        if (task) {
            log->first = task->next;
            log->last = log->first ? log->last : &log->first;
        }
        going_on = task || !log->ending;
        pthread_mutex_unlock(&log->lock);
        if (task) {
            do_task(log, task);
        }
        look_at_waiting(log, UINT64_MAX, false, !going_on);
    }
    close_open(log);
    return NULL;
}

int joblog_create(const char *folder, struct joblog **out_log, struct error *err)
{
    struct joblog *log = memory_zalloc(sizeof(*log));
    pthread_condattr_t monotonic;

    log->folder = memory_strdup(folder);
    log->last = &log->first;
    log->open_fd = -1;
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&log->thread, NULL, work, log) != 0) {
        free(log->folder);
        free(log);
        return error_set(err, ERROR_INTERNAL, "cannot start a thread for logs");
    }
    *out_log = log;
    return 0;
}

void joblog_destroy(struct joblog *log)
{
    if (!log) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    log->ending = true;
    pthread_cond_signal(&log->changed);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    free(log->folder);
    free(log);
}

static void post(struct joblog *log, struct task *task)
{
    pthread_mutex_lock(&log->lock);
    *log->last = task;
    log->last = &task->next;
    pthread_cond_signal(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

void joblog_append(struct joblog *log,
                   uint64_t job_id,
                   const void *data,
                   size_t size,
                   joblog_done_fn done,
                   void *arg)
{
    struct task *task = memory_zalloc(sizeof(*task));

    task->type = TASK_APPEND;
    task->job_id = job_id;
    task->data = memory_strndup(data, size);
    task->size = size;
    task->appended = done;
    task->arg = arg;
    post(log, task);
}

void joblog_read(struct joblog *log,
                 uint64_t job_id,
                 uint64_t offset,
                 uint32_t wait_ms,
                 bool closed,
                 joblog_read_fn done,
                 void *arg)
{
    struct task *task = memory_zalloc(sizeof(*task));

    task->type = TASK_READ;
    task->job_id = job_id;
    task->offset = offset;
    task->until_ms = clock_monotonic_ms() + wait_ms;
    task->closed = closed;
    task->read = done;
    task->arg = arg;
    post(log, task);
}

static void post_plain(struct joblog *log, enum task_type type, uint64_t job_id)
{
    struct task *task = memory_zalloc(sizeof(*task));

    task->type = type;
    task->job_id = job_id;
    post(log, task);
}

void joblog_close(struct joblog *log, uint64_t job_id)
{
    post_plain(log, TASK_CLOSE, job_id);
}

void joblog_release(struct joblog *log)
{
    post_plain(log, TASK_RELEASE, 0);
}

void joblog_forget(struct joblog *log, uint64_t job_id)
{
    post_plain(log, TASK_FORGET, job_id);
}
