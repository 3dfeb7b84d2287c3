/* SPDX-License-Identifier: Apache-2.0 */
/* sim_client.h - what users ask for, and what they were answered
 *
 * A user makes one call at a time: deploys, submits (with and without a key, the same
 * one again), stops, deletes, asks. What was answered goes into the ledger. */
#ifndef CORTEX_TESTS_SIM_CLIENT_H
#define CORTEX_TESTS_SIM_CLIENT_H

#include "master/deploy.h"
#include "master/submit.h"
#include "tests/sim/sim_ledger.h"
#include "tests/sim/sim_network.h"

/* Versions of an api differ in what a worker takes. */
struct sim_definition {
    char name[16];
    uint32_t version;
    uint32_t cpu_millis;
    uint64_t memory_bytes;
    uint32_t gpus;
};

void sim_clients_create(struct sim *sim);

/* What the master's pool makes of the attachments. */
struct deploy_prepared *sim_prepare_deploy(struct sim *sim,
                                           const struct sim_definition *definition);
struct submit_prepared *sim_prepare_submit(struct sim *sim,
                                           const struct sim_submission *submission);

#endif
