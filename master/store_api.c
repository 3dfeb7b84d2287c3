/* SPDX-License-Identifier: Apache-2.0 */
/* store_api.c - what the master remembers of apis and their versions */
#include <stdlib.h>

#include "common/buffer.h"
#include "master/store_sql.h"

#define VERSION_COLUMNS                                                                \
    "v.api_id, v.name, v.endpoint, v.spec_id, v.predictor_id, v.project_id, v.spec,"   \
    " v.predictor_path, v.python_path, v.log_level, v.config, v.env, v.cpu_millis,"    \
    " v.memory_bytes, v.gpus, v.deployed_ns"

static struct api_version *read_version(sqlite3_stmt *row)
{
    struct api_version *version = api_version_create();
    char **const texts[] = {&version->api_id,
                            &version->name,
                            &version->endpoint,
                            &version->spec_id,
                            &version->predictor_id,
                            &version->project_id,
                            &version->spec,
                            &version->predictor_path,
                            &version->python_path,
                            &version->log_level,
                            &version->config};
    int column = 0;

    for (; column < (int)(sizeof(texts) / sizeof(texts[0])); column++) {
        api_version_set(texts[column], store_text(row, column));
    }
    const void *env = sqlite3_column_blob(row, column);
    free(version->env);
    version->env_size = (size_t)sqlite3_column_bytes(row, column);
    version->env = memory_strndup(env, version->env_size);
    version->cpu_millis = (uint32_t)sqlite3_column_int64(row, column + 1);
    version->memory_bytes = (uint64_t)sqlite3_column_int64(row, column + 2);
    version->gpus = (uint32_t)sqlite3_column_int64(row, column + 3);
    version->deployed_ns = sqlite3_column_int64(row, column + 4);
    return version;
}

static int
put_version(struct store *store, const struct api_version *version, struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT INTO api_version VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
                     " ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                     "tttttttttttbiiii",
                     version->api_id,
                     version->name,
                     version->endpoint,
                     version->spec_id,
                     version->predictor_id,
                     version->project_id,
                     version->spec,
                     version->predictor_path,
                     version->python_path,
                     version->log_level,
                     version->config,
                     version->env,
                     version->env_size,
                     (int64_t)version->cpu_millis,
                     (int64_t)version->memory_bytes,
                     (int64_t)version->gpus,
                     version->deployed_ns);
}

int store_api_put(struct store *store,
                  const struct api_version *version,
                  struct error *err)
{
    if (put_version(store, version, err) != 0) {
        return -1;
    }
    return store_run(store,
                     err,
                     "INSERT INTO api (name, endpoint, api_id) VALUES (?1, ?2, ?3)"
                     " ON CONFLICT (name) DO UPDATE SET endpoint = ?2, api_id = ?3",
                     "ttt",
                     version->name,
                     version->endpoint,
                     version->api_id);
}

int store_api_free_endpoint(struct store *store, const char *name, struct error *err)
{
    // Endpoints begin with a slash, names do not.
    return store_run(
        store, err, "UPDATE api SET endpoint = name WHERE name = ?1", "t", name);
}

int store_api_delete(struct store *store, const char *name, struct error *err)
{
    if (store_run(store, err, "DELETE FROM api WHERE name = ?1", "t", name) != 0) {
        return -1;
    }
    return store_run(store, err, "DELETE FROM api_version WHERE name = ?1", "t", name);
}

static int each_version(struct store *store,
                        sqlite3_stmt *rows,
                        store_api_fn each,
                        void *arg,
                        struct error *err)
{
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        struct api_version *version = read_version(rows);
        got = each(arg, version, err) == 0 ? 1 : -1;
        api_version_unref(version);
    }
    store_done(rows);
    return got;
}

int store_api_each(struct store *store, store_api_fn each, void *arg, struct error *err)
{
    return each_version(store,
                        store_query(store,
                                    err,
                                    "SELECT " VERSION_COLUMNS
                                    " FROM api a JOIN api_version v USING (api_id)"
                                    " ORDER BY a.name",
                                    ""),
                        each,
                        arg,
                        err);
}

int store_api_versions(struct store *store,
                       const char *name,
                       size_t limit,
                       store_api_fn each,
                       void *arg,
                       struct error *err)
{
    return each_version(store,
                        store_query(store,
                                    err,
                                    "SELECT " VERSION_COLUMNS
                                    " FROM api_version v WHERE v.name = ?1"
                                    " ORDER BY v.deployed_ns DESC LIMIT ?2",
                                    "ti",
                                    name,
                                    (int64_t)limit),
                        each,
                        arg,
                        err);
}

int store_api_version_get(struct store *store,
                          const char *api_id,
                          struct api_version **out_version,
                          struct error *err)
{
    sqlite3_stmt *row =
        store_query(store,
                    err,
                    "SELECT " VERSION_COLUMNS " FROM api_version v WHERE v.api_id = ?1",
                    "t",
                    api_id);
    int got = row ? store_step(store, row, err) : -1;

    if (got >= 0) {
        *out_version = got ? read_version(row) : NULL;
    }
    store_done(row);
    return got < 0 ? -1 : 0;
}
