/* SPDX-License-Identifier: Apache-2.0 */
/* environment.h - which cluster a command speaks to
 *
 * An environment is a name for a cluster. They are kept in ~/.cortex/cli.yaml
 * (CORTEX_CLI_CONFIG_DIR moves the folder), which people may edit; a key in it that is
 * not known is refused with its line. A name like "aws" means nothing special. Blocks
 * on the disk; single-threaded.
 */
#ifndef CORTEX_CLIENT_CLI_ENVIRONMENT_H
#define CORTEX_CLIENT_CLI_ENVIRONMENT_H

#include <stddef.h>

#include "common/error.h"

#define ENVIRONMENT_NAME_MAX 63  /* bytes */
#define ENVIRONMENTS_MAX     256 /* in the file */

struct environment {
    char *name;
    char *master;   /* address: "tcp://127.0.0.1:8790" */
    char *join;     /* the master's join string, "" : it has no key */
    char *key_file; /* the user's own key, with join */
    char *bridge;   /* the bridge's URL, for display; "" if it was not told */
};

struct environments {
    struct environment *rows; /* in the order of the file */
    size_t count;
    char *default_name; /* "" : none */
};

/* A missing file is no environment. */
int environments_load(struct environments *out, struct error *err);
/* Whole or not at all, mode 0600. */
int environments_save(const struct environments *environments, struct error *err);
void environments_fini(struct environments *environments);

/* NULL if there is none. Borrowed. */
struct environment *environments_find(const struct environments *environments,
                                      const char *name);

/* Adds the environment or replaces the one of that name; copies all. The first one
 * becomes the default. INVALID_ARGUMENT for a name or address that cannot be. */
int environments_put(struct environments *environments,
                     const struct environment *environment,
                     struct error *err);

/* The environment of a command: `name`, or if NULL the default, or the only one. Its
 * errors name the environments that there are and say how to add one. Fills *out, for
 * environment_fini. */
int environment_pick(const char *name, struct environment *out, struct error *err);
void environment_fini(struct environment *environment);

#endif
