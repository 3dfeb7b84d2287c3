/* SPDX-License-Identifier: Apache-2.0 */
/* embed.h - which files of the source tree are carried inside a program
 *
 * cmake/Embed.cmake turns a folder into a table of its files, named after the
 * folder (`embed_schema`, `embed_runner`) and ended by a row whose name is NULL.
 * The module that uses a table declares it. */
#ifndef CORTEX_COMMON_EMBED_H
#define CORTEX_COMMON_EMBED_H

#include <stddef.h>

struct embed_file {
    const char *name; /* base name, such as "001_first.sql" */
    const char *text; /* the bytes, with a NUL behind them */
    size_t size;      /* without that NUL */
};

#endif
