/* SPDX-License-Identifier: Apache-2.0 */
/* resources.h - how much of cpu, memory and accelerators this machine gives us
 *
 * What the process may use: cores by its affinity and the cgroup's quota, memory by the
 * machine's and the cgroup's limit, NVIDIA devices by their device files. Reads /proc,
 * /sys and /dev; what cannot be read sets no limit. */
#ifndef CORTEX_AGENT_RESOURCES_H
#define CORTEX_AGENT_RESOURCES_H

#include <stdbool.h>

#include "agent/agent.h"

void resources_measure(struct agent_capacity *out);

/* "2", "1.5", "500m" as thousandths of a core; false for anything else, 0 included. */
bool resources_read_cpu(const char *text, uint32_t *out_millis);

#endif
