/* SPDX-License-Identifier: Apache-2.0 */
/* python_env.c - which interpreter a project's worker runs in */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/python_env.h"
#include "common/fs.h"
#include "common/id.h"

#define READY "ready"
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
                     char out[ID_PROJECT_TEXT_SIZE])
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

/* Most interpreters see a pip through the system's packages; one that does not gets
 * the one it carries. */
static int
ensure_pip(const struct command *command, const char *python, struct error *err)
{
    const char *look[] = {python, "-c", "import pip", NULL};
    const char *make[] = {python, "-m", "ensurepip", "--default-pip", NULL};
    struct command silent = *command;
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int result;

    silent.output_fd = null_fd >= 0 ? null_fd : command->output_fd;
    silent.quiet_fd = -1;
    result = command_run(&silent, "looking for pip", look, NULL);
    if (result != 0) {
        result = command_run(command, "installing pip", make, err);
    }
    if (null_fd >= 0) {
        (void)close(null_fd);
    }
    return result;
}

static int build(const struct command *command,
                 const char *folder,
                 const char *python,
                 const char *env_python,
                 struct error *err)
{
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
    char *marker = fs_join(folder, READY);
    int result = -1;

    // A folder without its marker is what a crash left.
    if (fs_remove_tree(folder, err) == 0 &&
        command_run(command, "making a virtual environment", venv, err) == 0 &&
        ensure_pip(command, env_python, err) == 0 &&
        command_run(command, "pip install -r requirements.txt", pip, err) == 0) {
        result = fs_write_durable(marker, "", 0, 0600, err);
    }
    if (result != 0) {
        (void)fs_remove_tree(folder, NULL);
    }
    free(marker);
    return result;
}

/* Makes "<envs>/<name>" under its lock, unless it is there. */
static int make_locked(const struct command *command,
                       const char *envs,
                       const char *name,
                       const char *python,
                       char **out_python,
                       struct error *err)
{
    char *folder = fs_join(envs, name);
    char *lock = memory_format("%s.lock", folder);
    char *marker = fs_join(folder, READY);
    char *env_python = fs_join(folder, "bin/python");
    int result = -1;
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        (void)error_set_errno(err, ERROR_INTERNAL, "cannot lock %s", lock);
        goto out;
    }
    result = fs_exists(marker) ? 0 : build(command, folder, python, env_python, err);
    if (result == 0) {
        *out_python = env_python;
        env_python = NULL;
    }
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    free(env_python);
    free(marker);
    free(lock);
    free(folder);
    return result;
}

int python_env_make(const struct command *command,
                    const char *envs,
                    const char *python,
                    const char *project_id,
                    char **out_python,
                    struct error *err)
{
    char *path = fs_join(command->folder, "requirements.txt");
    struct buffer text = BUFFER_INIT;
    char name[ID_PROJECT_TEXT_SIZE];
    bool any = false;
    bool local = false;
    int result = 0;

    if (fs_exists(path)) {
        result = fs_read(path, PYTHON_ENV_REQUIREMENTS_MAX, &text, err);
    }
    if (result == 0) {
        look_at(buffer_text(&text), &any, &local);
    }
    if (result == 0 && !any) {
        *out_python = memory_strdup(python);
    } else if (result == 0) {
        name_env(buffer_text(&text), python, project_id, local, name);
        result = fs_make_folder(envs, 0700, err);
        if (result == 0) {
            result = make_locked(command, envs, name, python, out_python, err);
        }
    }
    buffer_fini(&text);
    free(path);
    return result;
}
