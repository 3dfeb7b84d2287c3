/* SPDX-License-Identifier: Apache-2.0 */
/* faulty_master.c - a master with a mistake in it: does the checker see what it does?
 *
 * The real master, linked anew with some of its functions wrapped (the linker's
 * --wrap). CORTEX_PLANT names a file which, once it is there, says the mistake:
 *
 *   early-reply  replies are sent and the commit is left for later
 *   no-lease     a result counts though its attempt does not hold the batch
 *   no-error     a batch that failed is counted but not recorded */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/batch.h"
#include "master/store.h"

int __real_store_commit(struct store *store, struct error *err);
int __wrap_store_commit(struct store *store, struct error *err);
bool __real_batch_finish(struct batch_book *book,
                         const struct batch_report *report,
                         uint32_t attempts_max,
                         int64_t now_ms,
                         uint64_t random,
                         struct batch_row *out_row);
bool __wrap_batch_finish(struct batch_book *book,
                         const struct batch_report *report,
                         uint32_t attempts_max,
                         int64_t now_ms,
                         uint64_t random,
                         struct batch_row *out_row);
int __real_store_batch_put(struct store *store,
                           uint64_t job_id,
                           const struct batch_row *row,
                           struct error *err);
int __wrap_store_batch_put(struct store *store,
                           uint64_t job_id,
                           const struct batch_row *row,
                           struct error *err);

static bool planted(const char *what)
{
    char chosen[32] = "";
    const char *path = getenv("CORTEX_PLANT");
    FILE *file = path ? fopen(path, "re") : NULL;

    if (file) {
        chosen[fread(chosen, 1, sizeof(chosen) - 1, file)] = '\0';
        (void)fclose(file);
    }
    return strcmp(chosen, what) == 0;
}

int __wrap_store_commit(struct store *store, struct error *err)
{
    return planted("early-reply") ? 0 : __real_store_commit(store, err);
}

bool __wrap_batch_finish(struct batch_book *book,
                         const struct batch_report *report,
                         uint32_t attempts_max,
                         int64_t now_ms,
                         uint64_t random,
                         struct batch_row *out_row)
{
    if (__real_batch_finish(book, report, attempts_max, now_ms, random, out_row)) {
        return true;
    }
    if (!planted("no-lease") || report->outcome != BATCH_OUTCOME_SUCCEEDED) {
        return false;
    }
    book->succeeded++;
    *out_row = (struct batch_row){.index = report->index,
                                  .state = BATCH_SUCCEEDED,
                                  .attempts = 1,
                                  .attempt = report->attempt,
                                  .error = ""};
    return true;
}

int __wrap_store_batch_put(struct store *store,
                           uint64_t job_id,
                           const struct batch_row *row,
                           struct error *err)
{
    if (planted("no-error") && row->state == BATCH_FAILED) {
        return 0;
    }
    return __real_store_batch_put(store, job_id, row, err);
}
