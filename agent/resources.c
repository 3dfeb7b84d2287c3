/* SPDX-License-Identifier: Apache-2.0 */
/* resources.c - how much of cpu, memory and accelerators this machine gives us */
#include <glob.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/resources.h"
#include "common/fs.h"

#define FILE_MAX       65536
#define CPU_MILLIS_MAX 100000000u

/* The first number in a small file, or UINT64_MAX ("max", or no such file). */
static uint64_t read_number(const char *path, uint64_t *out_second)
{
    struct buffer text = BUFFER_INIT;
    uint64_t number = UINT64_MAX;
    char *end;

    if (fs_read(path, FILE_MAX, &text, NULL) == 0 && text.size > 0 &&
        text.data[0] >= '0' && text.data[0] <= '9') {
        number = strtoull(text.data, &end, 10);
        if (out_second != NULL) {
            *out_second = strtoull(end, NULL, 10);
        }
    }
    buffer_fini(&text);
    return number;
}

static uint32_t measure_cpu_millis(void)
{
    cpu_set_t set;
    uint64_t millis = 1000;
    uint64_t period = 0;
    uint64_t quota = read_number("/sys/fs/cgroup/cpu.max", &period);

    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        millis = (uint64_t)CPU_COUNT(&set) * 1000;
    }
    if (quota != UINT64_MAX && period > 0 && quota * 1000 / period < millis) {
        millis = quota * 1000 / period;
    }
    return millis == 0 ? 1 : (uint32_t)millis;
}

static uint64_t measure_memory_bytes(void)
{
    uint64_t bytes =
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = read_number("/sys/fs/cgroup/memory.max", NULL);

    return limit < bytes ? limit : bytes;
}

static uint32_t measure_gpus(void)
{
    glob_t found;
    uint32_t n = 0;

    if (glob("/dev/nvidia[0-9]*", GLOB_NOSORT, NULL, &found) == 0) {
        n = (uint32_t)found.gl_pathc;
        globfree(&found);
    }
    return n;
}

void resources_measure(struct agent_capacity *out)
{
    out->cpu_millis = measure_cpu_millis();
    out->memory_bytes = measure_memory_bytes();
    out->gpus = measure_gpus();
}

bool resources_read_cpu(const char *text, uint32_t *out_millis)
{
    uint64_t millis = 0;
    uint64_t unit = 1000;
    const char *at = text;

    if (*at < '0' || *at > '9') {
        return false;
    }
    for (; *at >= '0' && *at <= '9' && millis < CPU_MILLIS_MAX; at++) {
        millis = millis * 10 + (uint64_t)(*at - '0');
    }
    if (strcmp(at, "m") == 0) {
        at++;
    } else {
        millis *= 1000;
        if (*at == '.' && at[1] >= '0' && at[1] <= '9') {
            for (at++; *at >= '0' && *at <= '9' && unit > 1; at++) {
                unit /= 10;
                millis += (uint64_t)(*at - '0') * unit;
            }
        }
    }
    if (*at != '\0' || millis == 0 || millis > CPU_MILLIS_MAX) {
        return false;
    }
    *out_millis = (uint32_t)millis;
    return true;
}
