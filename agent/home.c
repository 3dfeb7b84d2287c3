/* SPDX-License-Identifier: Apache-2.0 */
/* home.c - what an agent keeps in its state folder */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/custody.h"
#include "agent/home.h"
#include "common/embed.h"
#include "common/fs.h"
#include "common/id.h"
#include "common/key.h"

#define ID_TEXT_SIZE (2 * SESSION_AGENT_ID_SIZE)

extern const struct embed_file embed_runner[];

int home_write_runner(const char *folder, struct error *err)
{
    char *package = fs_join(folder, "runner/cortex_runner");
    int result = fs_make_folder(package, 0755, err);

    for (const struct embed_file *file = embed_runner;
         result == 0 && file->name != NULL;
         file++) {
        char *path = fs_join(package, file->name);

        result = fs_write_durable(path, file->text, file->size, 0644, err);
        free(path);
    }
    free(package);
    return result;
}

// What stands behind the digits, such as the end of the line, is of no concern.
static bool parse_id(const struct buffer *text, unsigned char *out)
{
    char *digits = memory_strndup(buffer_text(text), ID_TEXT_SIZE);
    bool good = key_name_parse(digits, out);

    free(digits);
    return good;
}

static int load_id(const char *folder, unsigned char *out, struct error *err)
{
    char *path = fs_join(folder, "agent_id");
    struct buffer text = BUFFER_INIT;
    char name[KEY_NAME_TEXT_SIZE];
    int result = 0;

    if (fs_exists(path)) {
        result = fs_read(path, 4096, &text, err);
        if (result == 0 && !parse_id(&text, out)) {
            result = error_set(err,
                               ERROR_FAILED_PRECONDITION,
                               "%s: expected %d hex digits; remove it to get a new id",
                               path,
                               ID_TEXT_SIZE);
        }
    } else {
        id_random_bytes(out, SESSION_AGENT_ID_SIZE);
        key_name_format(out, name);
        buffer_add_format(&text, "%s\n", name);
        result = fs_write_durable(path, text.data, text.size, 0600, err);
    }
    buffer_fini(&text);
    free(path);
    return result;
}

static int take_lock(const char *folder, int *out_fd, struct error *err)
{
    char *path = fs_join(folder, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int result = 0;

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (fd >= 0 && errno == EWOULDBLOCK) {
            result = error_set(
                err, ERROR_FAILED_PRECONDITION, "an agent already runs in %s", folder);
        } else {
            result = error_set_errno(err, ERROR_INTERNAL, "cannot lock %s", path);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    } else {
        *out_fd = fd;
    }
    free(path);
    return result;
}

/* Kills what an agent's workers have left: their folders are of their groups. */
static void end_workers(const struct sandbox *sandbox, const char *workers)
{
    DIR *folder = opendir(workers);
    struct dirent *entry;
    struct sandbox_user user;
    struct stat info;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            sandbox_find(sandbox, info.st_gid, &user)) {
            sandbox_kill(&user);
            custody_sweep(&user);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

static int
check_reachable(const char *folder, const struct sandbox *sandbox, struct error *err)
{
    char *main = fs_join(folder, "runner/cortex_runner/main.py");
    int result = sandbox_check_readable(sandbox, main, err);

    free(main);
    return result;
}

static int fill(struct home *home, const struct sandbox *sandbox, struct error *err)
{
    char *workers = fs_join(home->folder, "workers");
    char *envs = fs_join(home->folder, "envs");
    mode_t mode = sandbox->active ? 0711 : 0700;
    int result = -1;

    end_workers(sandbox, workers);
    if (fs_remove_tree(workers, err) == 0 && fs_make_folder(workers, mode, err) == 0 &&
        fs_make_folder(envs, mode, err) == 0 &&
        home_write_runner(home->folder, err) == 0) {
        result = 0;
    }
    if (result == 0 && sandbox->active &&
        (chmod(home->folder, mode) != 0 || chmod(envs, mode) != 0)) {
        result = error_set_errno(
            err, ERROR_INTERNAL, "cannot let workers pass through %s", home->folder);
    }
    if (result == 0) {
        result = check_reachable(home->folder, sandbox, err);
    }
    free(envs);
    free(workers);
    return result == 0 ? load_id(home->folder, home->agent_id, err) : -1;
}

int home_open(const char *folder,
              const struct sandbox *sandbox,
              struct home *out,
              struct error *err)
{
    struct home home = {.lock_fd = -1};

    if (fs_make_folder(folder, sandbox->active ? 0711 : 0700, err) != 0) {
        return -1;
    }
    home.folder = realpath(folder, NULL);
    if (home.folder == NULL) {
        return error_set_errno(err, ERROR_INTERNAL, "cannot resolve %s", folder);
    }
    if (take_lock(home.folder, &home.lock_fd, err) != 0 ||
        fill(&home, sandbox, err) != 0) {
        home_close(&home);
        return -1;
    }
    *out = home;
    return 0;
}

void home_close(struct home *home)
{
    if (home->lock_fd >= 0) {
        (void)close(home->lock_fd);
        home->lock_fd = -1;
    }
    free(home->folder);
    home->folder = NULL;
}
