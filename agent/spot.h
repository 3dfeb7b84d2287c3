/* SPDX-License-Identifier: Apache-2.0 */
/* spot.h - whether this machine is about to be taken away
 *
 * EC2 tells a spot instance about two minutes before it interrupts it. A thread asks
 * the instance metadata service every five seconds; elsewhere than on EC2 nobody
 * answers, and it asks ever less often, down to every five minutes. Nothing is asked if
 * AWS_EC2_METADATA_DISABLED is true.
 *
 * Source: Amazon EC2 User Guide, "Spot Instance interruption notices". */
#ifndef CORTEX_AGENT_SPOT_H
#define CORTEX_AGENT_SPOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define SPOT_ASK_MS     5000
#define SPOT_ASK_MAX_MS 300000

struct spot_notice {
    char action[16]; /* "terminate", "stop" or "hibernate" */
    int64_t wall_ms; /* when */
};

/* What instance-action says. INVALID_ARGUMENT for anything else. */
int spot_parse(const char *text,
               size_t size,
               struct spot_notice *out,
               struct error *err);

struct spot;

/* Starts to ask. `notify` is called, once, on the thread that asks. Lives as long as
 * the process. INTERNAL if there can be no thread. */
int spot_start(void (*notify)(void *arg),
               void *arg,
               struct spot **out_spot,
               struct error *err);

/* Whether there is a notice. Any thread; never blocks. */
bool spot_noticed(struct spot *spot, struct spot_notice *out);

#endif
