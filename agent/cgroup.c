/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup.c - the kernel's own bounds around a worker, where this machine gives us any
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "common/fs.h"

#define FILE_MAX       (1u << 20)
#define REMOVE_TRIES   100 /* 10 ms apart: until what was killed has ended */
#define CPU_WEIGHT     100 /* of one core; the kernel's default */
#define CPU_WEIGHT_MAX 10000

/* --- files ------------------------------------------------------------------------ */

/* The agent's files here exist already: the kernel makes them with the folder. */
static int write_file(const char *folder, const char *name, const char *text)
{
    char *path = fs_join(folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fs_write_all(fd, text, strlen(text), NULL);
    int saved = errno;

    if (fd >= 0) {
        (void)close(fd);
    }
    free(path);
    errno = saved;
    return result;
}

static int write_number(const char *folder, const char *name, uint64_t number)
{
    char *text = memory_format("%llu", (unsigned long long)number);
    int result = write_file(folder, name, text);

    free(text);
    return result;
}

static bool read_file(const char *folder, const char *name, struct buffer *out)
{
    char *path = fs_join(folder, name);
    bool read = fs_read(path, FILE_MAX, out, NULL) == 0;

    free(path);
    return read;
}

/* Whether a controller is in the list of that file. */
static bool lists(const char *folder, const char *name, const char *controller)
{
    struct buffer text = BUFFER_INIT;
    size_t size = strlen(controller);
    bool found = false;
    const char *at;

    if (read_file(folder, name, &text)) {
        for (at = text.data; !found && (at = strstr(at, controller)) != NULL;
             at += size) {
            found = (at == text.data || at[-1] == ' ') &&
                    strchr(" \n", at[size]) != NULL; // its end, too
        }
    }
    buffer_fini(&text);
    return found;
}

/* --- where ------------------------------------------------------------------------ */

/* The next word of a line, which it ends; NULL at the end. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " ");
    size_t size = strcspn(word, " ");

    if (size == 0) {
        return NULL;
    }
    *at = word + size + (word[size] != '\0');
    word[size] = '\0';
    return word;
}

/* The mount point in a line of mountinfo, if it is cgroup v2's; else NULL. */
static char *mount_of(char *line)
{
    bool v2 = strstr(line, " - cgroup2 ") != NULL;
    char *word = NULL;

    for (int i = 0; v2 && i < 5; i++) {
        word = next_word(&line);
    }
    return word;
}

/* The caller frees; NULL: no such hierarchy. */
static char *find_mount(void)
{
    struct buffer text = BUFFER_INIT;
    char *found = NULL;
    char *line;
    char *end;

    if (fs_read("/proc/self/mountinfo", FILE_MAX, &text, NULL) == 0 && text.size > 0) {
        for (line = text.data; found == NULL && *line != '\0'; line = end) {
            end = line + strcspn(line, "\n");
            if (*end == '\n') {
                *end++ = '\0';
            }
            found = memory_strdup(mount_of(line));
        }
    }
    buffer_fini(&text);
    return found;
}

/* The agent's group; the caller frees. */
static char *find_own(struct error *err)
{
    char *mount = find_mount();
    struct buffer text = BUFFER_INIT;
    char *own = NULL;
    char *at;

    if (mount != NULL && fs_read("/proc/self/cgroup", FILE_MAX, &text, NULL) == 0) {
        at = strncmp(buffer_text(&text), "0::", 3) == 0
                 ? text.data
                 : strstr(buffer_text(&text), "\n0::");
        if (at != NULL) {
            at = strstr(at, "0::") + 3;
            at[strcspn(at, "\n")] = '\0';
            own = strstr(at, "/..") == NULL ? fs_join(mount, at)
                                            : NULL; // beyond the mount
        }
    }
    if (own == NULL) {
        (void)error_set(
            err, ERROR_FAILED_PRECONDITION, "there is no cgroup v2 hierarchy");
    }
    buffer_fini(&text);
    free(mount);
    return own;
}

/* --- the workers' folder ---------------------------------------------------------- */

/* Hands the agent's controllers on to the groups below. A group with processes cannot,
 * so the agent goes into one of its own below it, if it was the only one there. */
static void enable(const char *own, const char *name, const char *controllers)
{
    char *inner = memory_format("%s/cortex-%s-agent", own, name);

    if (write_file(own, "cgroup.subtree_control", controllers) == 0 || errno != EBUSY) {
        free(inner);
        return;
    }
    if ((mkdir(inner, 0755) == 0 || errno == EEXIST) &&
        write_file(inner, "cgroup.procs", "0") == 0 &&
        write_file(own, "cgroup.subtree_control", controllers) != 0) {
        (void)write_file(own, "cgroup.procs", "0"); // others are there: back
        (void)rmdir(inner);
    }
    free(inner);
}

static void enable_all(const char *own, const char *name, struct cgroups *cgroups)
{
    const struct {
        const char *name;
        const char *order;
        bool *has;
    } rows[] = {{"memory", "+memory", &cgroups->memory},
                {"pids", "+pids", &cgroups->pids},
                {"cpu", "+cpu", &cgroups->cpu}};

    for (int i = 0; i < 3; i++) {
        if (lists(own, "cgroup.controllers", rows[i].name)) {
            enable(own, name, rows[i].order);
            *rows[i].has =
                write_file(cgroups->folder, "cgroup.subtree_control", rows[i].order) ==
                0;
        }
    }
}

static void remove_left(const char *folder)
{
    DIR *groups = opendir(folder);
    struct dirent *entry;

    while (groups != NULL && (entry = readdir(groups)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            char *path = fs_join(folder, entry->d_name);

            cgroup_remove(path);
            free(path);
        }
    }
    if (groups != NULL) {
        (void)closedir(groups);
    }
}

int cgroups_open(const char *name, struct cgroups *out, struct error *err)
{
    struct cgroups cgroups = {0};
    char *own = find_own(err);
    char *folder;

    if (own == NULL) {
        return -1;
    }
    folder = memory_format("cortex-%s", name);
    cgroups.folder = fs_join(own, folder); // which drops the slash of a root
    free(folder);
    if (mkdir(cgroups.folder, 0755) != 0 && errno != EEXIST) {
        (void)error_set_errno(
            err, ERROR_FAILED_PRECONDITION, "cannot make %s", cgroups.folder);
        free(cgroups.folder);
        free(own);
        return -1;
    }
    remove_left(cgroups.folder);
    enable_all(own, name, &cgroups);
    free(own);
    *out = cgroups;
    return 0;
}

void cgroups_close(struct cgroups *cgroups)
{
    if (cgroups->folder != NULL) {
        remove_left(cgroups->folder);
        (void)rmdir(cgroups->folder);
    }
    free(cgroups->folder);
    *cgroups = (struct cgroups){0};
}

/* --- one worker's ----------------------------------------------------------------- */

static uint64_t weight_of(uint32_t cpu_millis)
{
    uint64_t weight = (uint64_t)cpu_millis * CPU_WEIGHT / 1000;

    weight = weight < 1 ? 1 : weight;
    return weight > CPU_WEIGHT_MAX ? CPU_WEIGHT_MAX : weight;
}

int cgroup_make(const struct cgroups *cgroups,
                uint64_t worker_id,
                const struct cgroup_limits *limits,
                char **out_path,
                struct error *err)
{
    char *path =
        memory_format("%s/%016llx", cgroups->folder, (unsigned long long)worker_id);
    int result = mkdir(path, 0755);

    if (result == 0 && cgroups->memory && limits->memory_bytes > 0) {
        result = write_number(path, "memory.max", limits->memory_bytes);
        (void)write_file(path, "memory.swap.max", "0"); // there may be no swap
        (void)write_file(path, "memory.oom.group", "1");
    }
    if (result == 0 && cgroups->pids && limits->processes > 0) {
        result = write_number(path, "pids.max", limits->processes);
    }
    if (result == 0 && cgroups->cpu) {
        result = write_number(path, "cpu.weight", weight_of(limits->cpu_millis));
    }
    if (result != 0) {
        (void)error_set_errno(err, ERROR_INTERNAL, "cannot set up the cgroup %s", path);
        (void)rmdir(path);
        free(path);
        return -1;
    }
    *out_path = path;
    return 0;
}

int cgroup_open_procs(const char *path)
{
    char *procs = fs_join(path, "cgroup.procs");
    int fd = open(procs, O_WRONLY | O_CLOEXEC);

    free(procs);
    return fd;
}

void cgroup_kill(const char *path)
{
    (void)write_file(
        path, "cgroup.kill", "1"); // Linux 5.14; else the group is what is killed
}

bool cgroup_ran_out_of_memory(const char *path)
{
    struct buffer text = BUFFER_INIT;
    const char *key = "oom_kill ";
    const char *at = NULL;
    bool ran_out;

    if (read_file(path, "memory.events", &text)) {
        at = strstr(buffer_text(&text), key);
    }
    ran_out = at != NULL && strtoull(at + strlen(key), NULL, 10) > 0;
    buffer_fini(&text);
    return ran_out;
}

void cgroup_remove(const char *path)
{
    const struct timespec pause = {.tv_nsec = 10000000};

    for (int i = 0; i < REMOVE_TRIES && rmdir(path) != 0 && errno == EBUSY; i++) {
        cgroup_kill(path);
        (void)nanosleep(&pause, NULL);
    }
}
