/* SPDX-License-Identifier: Apache-2.0 */
/* reexec.h - a daemon begins anew as the same process */
#ifndef CORTEX_COMMON_REEXEC_H
#define CORTEX_COMMON_REEXEC_H

/* Executes this program again with argv. The pid, the name in ps, standard input,
 * output and error stay; every other descriptor is closed, those too that a library
 * opened without O_CLOEXEC (libcurl 7.88: two for each multi handle). Ends all threads.
 * Returns only if that failed. */
void reexec(char **argv);

#endif
