/* SPDX-License-Identifier: Apache-2.0 */
/* python_env.c - how a virtual environment is named, made and looked over */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/custody.h"
#include "agent/python_env.h"
#include "common/fs.h"

#define PIECE_SIZE 4096
/* Raise it when what an environment is made of changes. */
#define RECIPE "1"

/* The next line without blanks around; false at the end. */
static bool next_line(const char **at, const char **out_line, size_t *out_size)
{
    const char *line = *at;
    size_t size = strcspn(line, "\n");

    if (*line == '\0') {
        return false;
    }
    *at = line + size + (line[size] == '\n');
    while (size > 0 && strchr(" \t\r", line[0]) != NULL) {
        line++;
        size--;
    }
    while (size > 0 && strchr(" \t\r", line[size - 1]) != NULL) {
        size--;
    }
    *out_line = line;
    *out_size = size;
    return true;
}

/* Whether anything is asked for, and whether it may name files of the project. */
static void look_at(const char *text, bool *out_any, bool *out_local)
{
    const char *line;
    size_t size;

    *out_any = false;
    *out_local = false;
    while (next_line(&text, &line, &size)) {
        if (size == 0 || line[0] == '#') {
            continue;
        }
        *out_any = true;
        if (line[0] == '.' || line[0] == '-' || memchr(line, '/', size) != NULL) {
            *out_local = true;
        }
    }
}

/* Names the environment. The interpreter counts by its path, size and time. */
static void name_env(const char *text,
                     const char *python,
                     const char *project_id,
                     bool local,
                     char out[PYTHON_ENV_NAME_SIZE])
{
    struct buffer key = BUFFER_INIT;
    char *real = realpath(python, NULL);
    struct stat info = {0};

    (void)stat(python, &info);
    buffer_add_format(&key,
                      "%s\n%s\n%lld %lld\n%s\n",
                      RECIPE,
                      real == NULL ? python : real,
                      (long long)info.st_size,
                      (long long)info.st_mtime,
                      local ? project_id : "");
    buffer_add_text(&key, text);
    id_hash_of(key.data, key.size, out);
    free(real);
    buffer_fini(&key);
}

/* dependencies.sh may have made the file, as anything: it is read only if it is one. */
static int read_requirements(const char *path, struct buffer *out, struct error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char piece[PIECE_SIZE];
    struct stat info;
    ssize_t got = 1;

    if (fd < 0 && errno == ENOENT) {
        return 0;
    }
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return error_set(
            err, ERROR_INVALID_ARGUMENT, "requirements.txt: expected a regular file");
    }
    while (got > 0 && out->size <= PYTHON_ENV_REQUIREMENTS_MAX) {
        got = read(fd, piece, sizeof(piece));
        buffer_add(out, piece, got > 0 ? (size_t)got : 0);
    }
    (void)close(fd);
    if (got < 0) {
        return error_set(err, ERROR_INTERNAL, "requirements.txt: cannot be read");
    }
    if (out->size > PYTHON_ENV_REQUIREMENTS_MAX) {
        return error_set(err,
                         ERROR_OUT_OF_RANGE,
                         "requirements.txt: more than %u bytes",
                         PYTHON_ENV_REQUIREMENTS_MAX);
    }
    return 0;
}

int python_env_name(const struct command *command,
                    const char *python,
                    const char *project_id,
                    bool *out_any,
                    char out_name[PYTHON_ENV_NAME_SIZE],
                    struct error *err)
{
    char *path = fs_join(command->folder, "requirements.txt");
    struct buffer text = BUFFER_INIT;
    bool local = false;
    int result = read_requirements(path, &text, err);

    if (result == 0) {
        look_at(buffer_text(&text), out_any, &local);
        name_env(buffer_text(&text), python, project_id, local, out_name);
    }
    buffer_fini(&text);
    free(path);
    return result;
}

/* Runs a program whose words nobody needs. */
static int run_silently(const struct command *command, const char *const *argv)
{
    struct command silent = *command;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int result;

    silent.output_fd = fd >= 0 ? fd : command->output_fd;
    silent.quiet_fd = -1;
    result = command_run(&silent, argv[0], argv, NULL);
    if (fd >= 0) {
        (void)close(fd);
    }
    return result;
}

bool python_env_works(const struct command *command, const char *folder)
{
    char *python = fs_join(folder, "bin/python");
    char *marker = fs_join(folder, PYTHON_ENV_READY);
    const char *argv[] = {python, "-c", "", NULL};
    bool works = fs_exists(marker) && run_silently(command, argv) == 0;

    free(marker);
    free(python);
    return works;
}

/* Most interpreters see a pip through the system's packages; one that does not gets
 * the one it carries. */
static int
ensure_pip(const struct command *command, const char *python, struct error *err)
{
    const char *look[] = {python, "-c", "import pip", NULL};
    const char *make[] = {python, "-m", "ensurepip", "--default-pip", NULL};

    return run_silently(command, look) == 0
               ? 0
               : command_run(command, "installing pip", make, err);
}

/* Bytes that the folder takes on the disk; closes fd. Links are not followed. */
static uint64_t measure(int fd)
{
    DIR *folder = fdopendir(fd);
    struct dirent *entry;
    struct stat info;
    uint64_t size = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        size += (uint64_t)info.st_blocks * 512;
        if (S_ISDIR(info.st_mode)) {
            int below = openat(
                fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            size += below >= 0 ? measure(below) : 0;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return size;
}

static int finish(const char *folder, struct error *err)
{
    char *marker = fs_join(folder, PYTHON_ENV_READY);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *text =
        memory_format("%llu\n", (unsigned long long)(fd < 0 ? 0 : measure(fd)));
    int result = fs_write_durable(marker, text, strlen(text), 0600, err);

    free(text);
    free(marker);
    return result;
}

int python_env_build(const struct command *command,
                     const char *folder,
                     const char *python,
                     struct error *err)
{
    char *env_python = fs_join(folder, "bin/python");
    const char *venv[] = {
        python, "-m", "venv", "--system-site-packages", "--without-pip", folder, NULL};
    const char *pip[] = {env_python,
                         "-m",
                         "pip",
                         "--disable-pip-version-check",
                         "--no-input",
                         "install",
                         "-r",
                         "requirements.txt",
                         NULL};
    int result = -1;

    if (fs_remove_tree(folder, err) == 0 &&
        custody_make_folder(&command->user, folder, err) == 0 &&
        command_run(command, "making a virtual environment", venv, err) == 0 &&
        ensure_pip(command, env_python, err) == 0 &&
        command_run(command, "pip install -r requirements.txt", pip, err) == 0 &&
        custody_seal_shared(&command->user, folder, err) == 0) {
        result = finish(folder, err);
    }
    if (result != 0) {
        (void)fs_remove_tree(folder, NULL);
    }
    free(env_python);
    return result;
}

bool python_env_look(const char *folder, int64_t *out_used_s, uint64_t *out_size_bytes)
{
    char *marker = fs_join(folder, PYTHON_ENV_READY);
    struct buffer text = BUFFER_INIT;
    struct stat info;
    bool done = stat(marker, &info) == 0 && fs_read(marker, 100, &text, NULL) == 0;

    if (done) {
        *out_used_s = info.st_mtime;
        *out_size_bytes = strtoull(buffer_text(&text), NULL, 10);
    }
    buffer_fini(&text);
    free(marker);
    return done;
}

void python_env_touch(const char *folder)
{
    char *marker = fs_join(folder, PYTHON_ENV_READY);

    (void)utimensat(
        AT_FDCWD, marker, NULL, AT_SYMLINK_NOFOLLOW); // at worst it goes early
    free(marker);
}
