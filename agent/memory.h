/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - how much memory workers use
 *
 * Of a worker count the processes that run as its user, if that is its alone, and those
 * of its session. First their resident pages are added up, which counts shared ones
 * more than once; who seems to be over its limit is then measured exactly: private
 * pages, its part of shared ones, and what is swapped out, but not pages of files,
 * which the kernel can drop. A process that hides from both ways is not seen. Reads
 * /proc; takes some microseconds a process. Any thread. See also: proc(5). */
#ifndef CORTEX_AGENT_MEMORY_H
#define CORTEX_AGENT_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct memory_use {
    pid_t session;      /* the runner */
    uid_t uid;          /* 0: not its alone */
    uint64_t max_bytes; /* its limit; 0: none */
    uint64_t bytes;     /* set: what it uses, exact only if above max_bytes */
};

void memory_measure(struct memory_use *uses, size_t count);

/* How often the kernel has killed a process for want of memory, since it started. */
uint64_t memory_kills(void);

#endif
