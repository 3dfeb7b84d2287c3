/* SPDX-License-Identifier: Apache-2.0 */
/* sim_invariants.h - what must hold after every step
 *
 * Each is a function with a sentence; the first that does not hold ends the run. */
#ifndef CORTEX_TESTS_SIM_INVARIANTS_H
#define CORTEX_TESTS_SIM_INVARIANTS_H

#include <protobuf-c/protobuf-c.h>

#include "tests/sim/sim_ledger.h"

/* The master is about to handle these; noted for what follows the turn. */
void sim_note_report(struct sim *sim, const struct sim_report *report);
void sim_note_request(struct sim *sim, const ProtobufCMessage *message);

/* After a turn that was committed (or, `restarted`, after its recovery). */
void sim_check_master(struct sim *sim, bool restarted);

/* Agents that the master has heard of since its start. */
size_t sim_agents_present(const struct sim *sim);

/* After every step. */
void sim_check_step(struct sim *sim);

/* While it is quiet: true once all there was to do is done. */
bool sim_check_quiet(struct sim *sim);

/* At the end of a run. */
void sim_check_end(struct sim *sim);

/* From agents and their workers. */
void sim_grant_taken(struct sim *sim,
                     uint64_t job_id,
                     uint64_t index,
                     uint64_t attempt,
                     uint64_t worker_id);
void sim_predict_begins(struct sim *sim,
                        struct sim_job *job,
                        uint64_t index,
                        uint64_t worker_id);
/* An attempt's result is where it belongs. */
void sim_result_stored(struct sim_job *job, uint64_t index, uint64_t attempt);
void sim_callback_begins(struct sim *sim, struct sim_job *job);
struct sim_agent;
/* From the dead letter queue and who carries letters to it. */
void sim_letter_arrives(struct sim *sim, struct sim_job *job, uint64_t index);
void sim_letter_settled(struct sim_job *job, uint64_t index);
void sim_worker_stopped(struct sim *sim,
                        const struct sim_agent *agent,
                        uint64_t worker_id);

#endif
