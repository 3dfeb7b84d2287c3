/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_project.c - does an archive stay in its folder, whatever it says? */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/project.h"
#include "common/fs.h"
#include "tests/fuzz/fuzz.h"

static char *folder; /* of this process; holds `archive` and what is unpacked */

static void check_tree(const char *path)
{
    DIR *entries = opendir(path);
    struct dirent *entry;
    struct stat info;

    fuzz_check(entries != NULL, "a folder can be looked into");
    while ((entry = readdir(entries))) {
        char *below = fs_join(path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            fuzz_check(lstat(below, &info) == 0, "its entries are there");
            fuzz_check(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode),
                       "no links or devices");
            fuzz_check((info.st_mode & 07022) == 0, "no dangerous modes");
            fuzz_check(S_ISDIR(info.st_mode) || info.st_nlink == 1, "one name a file");
            fuzz_check(info.st_size <= (off_t)PROJECT_UNPACKED_MAX,
                       "a size within bounds");
            if (S_ISDIR(info.st_mode)) {
                check_tree(below);
            }
        }
        free(below);
    }
    (void)closedir(entries);
}

static unsigned count_entries(void)
{
    DIR *entries = opendir(folder);
    unsigned count = 0;

    while (readdir(entries)) {
        count++;
    }
    (void)closedir(entries);
    return count;
}

static void leave(void)
{
    (void)fs_remove_tree(folder, NULL);
    free(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};

    if (!folder) {
        char template[] = "/tmp/cortex-fuzz-XXXXXX";
        folder = memory_strdup(mkdtemp(template));
        (void)atexit(leave);
    }
    char *archive = fs_join(folder, "archive");
    char *target = fs_join(folder, "target");
    FILE *file = fopen(archive, "w");
    fuzz_check(file && fwrite(data, 1, size, file) == size && fclose(file) == 0,
               "written");
    if (project_unpack(archive, target, &err) == 0) {
        check_tree(target);
        fuzz_check(count_entries() == 4, "nothing stands beside the folder");
        fuzz_check(fs_remove_tree(target, NULL) == 0, "a project can be removed");
    } else {
        fuzz_check_error(&err);
        fuzz_check(count_entries() == 3, "what was refused leaves nothing");
    }
    free(archive);
    free(target);
    return 0;
}
