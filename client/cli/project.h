/* SPDX-License-Identifier: Apache-2.0 */
/* project.h - what `cortex deploy` sends, and how it is named
 *
 * A project is the regular files below the folder of the configuration file, less that
 * file, names that begin with a dot, what Python compiled, and what .cortexignore
 * leaves out; a `.env` at its root is part of it. A link to a regular file inside the
 * project is taken as that file; other links and special files are left out with a
 * warning. It travels as a gzipped tar whose bytes depend on nothing but the files'
 * paths, contents and executable bits, and is named by its SHA-256.
 *
 * All block on the disk. */
#ifndef CORTEX_CLIENT_CLI_PROJECT_H
#define CORTEX_CLIENT_CLI_PROJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/id.h"

#define PROJECT_SIZE_MAX  (UINT64_C(512) << 20) /* bytes of all files, and of one */
#define PROJECT_FILES_MAX 100000

struct project_file {
    char *path;   /* relative to the root */
    char *source; /* what a link leads to, an absolute path; NULL if it is none */
    uint64_t size;
    bool executable;
    bool left_out; /* set by the caller who asked the user; not packed then */
};

struct project {
    char *root;                 /* absolute, links resolved */
    struct project_file *files; /* by path, in byte order */
    size_t file_count;
    char **warnings; /* sentences */
    size_t warning_count;
};

/* Looks for the files. config_name, the file in root that is not part of it. */
int project_open(const char *root,
                 const char *config_name,
                 struct project *out,
                 struct error *err);
void project_close(struct project *project);

/* The archive and its name. A file that changes meanwhile is ABORTED. */
int project_pack(const struct project *project,
                 struct buffer *out_archive,
                 char out_id[ID_PROJECT_TEXT_SIZE],
                 struct error *err);

#endif
