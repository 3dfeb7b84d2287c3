/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - how much memory workers use */
#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/memory.h"
#include "common/fs.h"

#define FILE_MAX 65536
/* Fields of /proc/PID/stat, counted from the one behind the name. */
#define FIELD_SESSION 3
#define FIELD_RSS     21

/* What one process is and holds. */
struct seen {
    pid_t session;
    uid_t uid;
    uint64_t bytes;
};

/* Reads a small file of a process into *out; false if it has ended. */
static bool read_file(const char *pid, const char *name, struct buffer *out)
{
    char *path = memory_format("/proc/%s/%s", pid, name);
    bool read;

    buffer_clear(out);
    read = fs_read(path, FILE_MAX, out, NULL) == 0 && out->size > 0;
    free(path);
    return read;
}

static uid_t owner_of(const char *pid)
{
    char *path = memory_format("/proc/%s", pid);
    struct stat info = {0};

    (void)stat(path, &info);
    free(path);
    return info.st_uid;
}

static bool look(const char *pid, struct buffer *text, struct seen *out)
{
    const char *at;

    if (!read_file(pid, "stat", text)) {
        return false;
    }
    at = strrchr(text->data, ')'); // the name may hold anything
    if (at == NULL) {
        return false;
    }
    at++;
    for (int field = 0; field <= FIELD_RSS && *at == ' '; field++) {
        at++;
        if (field == FIELD_SESSION) {
            out->session = (pid_t)strtol(at, NULL, 10);
        } else if (field == FIELD_RSS) {
            out->bytes = strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
        }
        at += strcspn(at, " ");
    }
    out->uid = owner_of(pid);
    return true;
}

/* The number of kB behind "\n<name>:", as bytes. */
static uint64_t find_kb(const char *text, const char *name)
{
    char *key = memory_format("\n%s:", name);
    const char *at = strstr(text, key);
    uint64_t bytes =
        at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10) * (uint64_t)1024;

    free(key);
    return bytes;
}

/* Replaces the process's bytes by exact ones, if the kernel tells them. */
static void look_closely(const char *pid, struct buffer *text, struct seen *seen)
{
    if (read_file(pid, "smaps_rollup", text) && strstr(text->data, "\nPss_Anon:")) {
        seen->bytes = find_kb(text->data, "Pss_Anon") +
                      find_kb(text->data, "Pss_Shmem") + find_kb(text->data, "SwapPss");
    }
}

static bool belongs(const struct seen *seen, const struct memory_use *use)
{
    return seen->session == use->session || (use->uid != 0 && seen->uid == use->uid);
}

static void add_up(struct memory_use *uses, size_t count, bool exactly)
{
    DIR *folder = opendir("/proc");
    struct buffer text = BUFFER_INIT;
    struct dirent *entry;

    for (size_t i = 0; i < count; i++) {
        uses[i].bytes = 0;
    }
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        struct seen seen = {0};

        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
            !look(entry->d_name, &text, &seen)) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (!belongs(&seen, &uses[i])) {
                continue;
            }
            if (exactly) {
                look_closely(entry->d_name, &text, &seen);
            }
            uses[i].bytes += seen.bytes;
            break;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    buffer_fini(&text);
}

void memory_measure(struct memory_use *uses, size_t count)
{
    add_up(uses, count, false);
    for (size_t i = 0; i < count; i++) {
        if (uses[i].max_bytes != 0 && uses[i].bytes > uses[i].max_bytes) {
            add_up(&uses[i], 1, true);
        }
    }
}

uint64_t memory_kills(void)
{
    struct buffer text = BUFFER_INIT;
    const char *key = "\noom_kill ";
    const char *at = NULL;
    uint64_t kills = 0;

    if (fs_read("/proc/vmstat", FILE_MAX, &text, NULL) == 0) {
        at = strstr(buffer_text(&text), key);
    }
    if (at != NULL) {
        kills = strtoull(at + strlen(key), NULL, 10);
    }
    buffer_fini(&text);
    return kills;
}
