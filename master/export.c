/* SPDX-License-Identifier: Apache-2.0 */
/* export.c - how a master's state is written out for others to read */
#include "master/export.h"

#include <stdlib.h>

#include "common/fs.h"
#include "master/store.h"

static int write_line(void *arg, const char *line, size_t size, struct error *err)
{
    return fwrite(line, 1, size, arg) == size
               ? 0
               : error_set_errno(err, ERROR_DATA_LOSS, "cannot write the export");
}

int export_state(const char *state_folder, FILE *out, struct error *err)
{
    char *path = fs_join(state_folder, "state.db");
    struct store *store = NULL;
    int result = -1;

    if (!fs_exists(path)) {
        (void)error_set(err, ERROR_NOT_FOUND, "there is no state in %s", state_folder);
    } else if (store_open(path, &store, err) == 0) {
        result = store_export(store, write_line, out, err);
        store_close(store);
    }
    if (result == 0 && fflush(out) != 0) {
        result = error_set_errno(err, ERROR_DATA_LOSS, "cannot write the export");
    }
    free(path);
    return result;
}
