/* SPDX-License-Identifier: Apache-2.0 */
/* roster.c - which agents there are, and which workers they have */
#include "master/roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

// Ids are random, so that their first half tells them apart.
static uint64_t key_of(const unsigned char agent_id[ROSTER_AGENT_ID_SIZE])
{
    uint64_t key;

    memcpy(&key, agent_id, sizeof(key));
    return key;
}

void roster_fini(struct roster *roster)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&roster->agents, &cursor, &key, &entry)) {
        struct roster_agent *agent = entry;
        struct roster_worker *next;
        for (struct roster_worker *worker = agent->workers; worker; worker = next) {
            next = worker->next;
            free(worker);
        }
        free(agent->grants);
        free(agent);
    }
    map_fini(&roster->agents);
    map_fini(&roster->workers);
}

struct roster_agent *
roster_agent_get(const struct roster *roster,
                 const unsigned char agent_id[ROSTER_AGENT_ID_SIZE])
{
    struct roster_agent *agent = map_get(&roster->agents, key_of(agent_id));

    return agent && memcmp(agent->agent_id, agent_id, ROSTER_AGENT_ID_SIZE) == 0 ? agent
                                                                                 : NULL;
}

struct roster_agent *
roster_agent_add(struct roster *roster,
                 const unsigned char agent_id[ROSTER_AGENT_ID_SIZE])
{
    struct roster_agent *agent = memory_zalloc(sizeof(*agent));

    memcpy(agent->agent_id, agent_id, ROSTER_AGENT_ID_SIZE);
    agent->state = ROSTER_EXPECTED;
    agent->desired_version = roster->version_base + 1; // above what it was ever told
    map_put(&roster->agents, key_of(agent_id), agent);
    return agent;
}

// Its place in the order of first words; 0 if it is not known.
static uint64_t start_of(const struct roster *roster, uint64_t incarnation)
{
    uint64_t first = roster->start_count > ROSTER_STARTS_MAX
                         ? roster->start_count - ROSTER_STARTS_MAX
                         : 0;

    for (uint64_t i = first; i < roster->start_count; i++) {
        if (roster->starts[i % ROSTER_STARTS_MAX] == incarnation) {
            return i + 1;
        }
    }
    return 0;
}

void roster_introduce(struct roster *roster, uint64_t incarnation)
{
    if (start_of(roster, incarnation) == 0) {
        roster->starts[roster->start_count++ % ROSTER_STARTS_MAX] = incarnation;
    }
}

bool roster_is_newer(const struct roster *roster, uint64_t incarnation, uint64_t other)
{
    return start_of(roster, incarnation) > start_of(roster, other);
}

void roster_agent_remove(struct roster *roster, struct roster_agent *agent)
{
    assert(!agent->workers && !agent->parked);
    if (agent->desired_version > roster->version_base) {
        roster->version_base = agent->desired_version;
    }
    (void)map_remove(&roster->agents, key_of(agent->agent_id));
    free(agent->grants);
    free(agent);
}

struct roster_worker *roster_worker_get(const struct roster *roster, uint64_t worker_id)
{
    return map_get(&roster->workers, worker_id);
}

struct roster_worker *roster_worker_add(struct roster *roster,
                                        struct roster_agent *agent,
                                        uint64_t worker_id,
                                        uint64_t job_id)
{
    struct roster_worker *worker = memory_zalloc(sizeof(*worker));

    worker->worker_id = worker_id;
    worker->job_id = job_id;
    worker->agent = agent;
    worker->wish = ROSTER_RUN;
    worker->next = agent->workers;
    agent->workers = worker;
    agent->worker_count++;
    agent->desired_version++;
    map_put(&roster->workers, worker_id, worker);
    return worker;
}

void roster_worker_remove(struct roster *roster, struct roster_worker *worker)
{
    struct roster_agent *agent = worker->agent;
    struct roster_worker **link = &agent->workers;

    while (*link != worker) {
        link = &(*link)->next;
    }
    *link = worker->next;
    agent->worker_count--;
    agent->desired_version++;
    (void)map_remove(&roster->workers, worker->worker_id);
    free(worker);
}

void roster_wish(struct roster_worker *worker, enum roster_wish wish, bool closes_job)
{
    if (worker->wish == wish && worker->closes_job == closes_job) {
        return;
    }
    worker->wish = wish;
    worker->closes_job = closes_job;
    worker->wish_version = ++worker->agent->desired_version;
}

bool roster_worker_alive(const struct roster_worker *worker)
{
    return worker->state != ROSTER_EXITED && worker->state != ROSTER_FAILED;
}

size_t roster_count_job(const struct roster *roster, uint64_t job_id)
{
    size_t count = 0;
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&roster->workers, &cursor, &key, &entry)) {
        count += ((const struct roster_worker *)entry)->job_id == job_id;
    }
    return count;
}
