/* SPDX-License-Identifier: Apache-2.0 */
/* home.c - where a user's things are kept: the folder ~/.cortex */
#include "client/cli/home.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/fs.h"

static char *in_home(const char *path, struct error *err)
{
    const char *home = getenv("HOME");

    if (!home || !*home) {
        const struct passwd *user = getpwuid(getuid());
        home = user ? user->pw_dir : NULL;
    }
    if (!home || !*home) {
        error_set(err,
                  ERROR_FAILED_PRECONDITION,
                  "HOME is not set, so there is no place for ~/%s",
                  path);
        return NULL;
    }
    return fs_join(home, path);
}

char *home_settings_folder(struct error *err)
{
    const char *folder = getenv("CORTEX_CLI_CONFIG_DIR");

    return folder && *folder ? fs_absolute(folder) : in_home(".cortex", err);
}

char *home_cluster_folder(struct error *err)
{
    return in_home(".cortex/cluster", err);
}

char *home_master_folder(const unsigned char cluster[KEY_CLUSTER_SIZE],
                         struct error *err)
{
    char *settings = home_settings_folder(err);
    char name[KEY_NAME_TEXT_SIZE];

    if (!settings) {
        return NULL;
    }
    key_name_format(cluster, name);
    char *path = memory_format("%s/masters/%s", settings, name);
    free(settings);
    return path;
}

int home_key(const char *path,
             char **out_path,
             struct key_pair *out_key,
             struct error *err)
{
    char *folder = path ? NULL : home_settings_folder(err);
    char *file = path ? fs_absolute(path) : folder ? fs_join(folder, "key") : NULL;
    int result = -1;

    if (file && (!folder || fs_make_folder(folder, 0700, err) == 0)) {
        result = key_file_ensure(file, out_key, err);
    }
    if (result == 0) {
        *out_path = file;
    } else {
        free(file);
    }
    free(folder);
    return result;
}
