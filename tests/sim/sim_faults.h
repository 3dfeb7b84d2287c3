/* SPDX-License-Identifier: Apache-2.0 */
/* sim_faults.h - what goes wrong in a run, and when */
#ifndef CORTEX_TESTS_SIM_FAULTS_H
#define CORTEX_TESTS_SIM_FAULTS_H

#include "tests/sim/sim.h"

/* Draws which kinds of faults this run has. */
void sim_faults_draw(struct sim *sim);
/* Plans the first of those that come by themselves. */
void sim_faults_start(struct sim *sim);
/* From now on nothing goes wrong, and what was in the way no longer is. */
void sim_faults_cease(struct sim *sim);

#endif
