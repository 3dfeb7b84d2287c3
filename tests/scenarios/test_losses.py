#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_losses.py - what becomes of a job when agents, workers or the master are lost?"""

import os
import signal
import time
import unittest

from scenario import Scenario
from support import children_of, kill_process, wait_until


class TwoAgents(Scenario):
    agents = 2
    agent_cpu = 2

    def pids_of(self, job):
        return {pid for _, pid, _ in self.predicted(job)}

    def test_an_agent_joins_late(self):
        self.cluster.kill("agent", 1)
        self.cluster.kill("agent", 0)
        job = self.submit(20, workers=1)
        status = self.cluster.job("squares", job)
        self.assertNotIn(status["status"], ("status_succeeded", "status_worker_error"))
        self.cluster.restart()
        self.check_exact(job, 20, once=True)

    def test_an_agent_that_dies_costs_no_batch(self):
        job = self.submit(200, workers=4, sleep_s=0.05)
        wait_until(lambda: len(self.pids_of(job)) == 4, "all four workers are at work")
        self.cluster.kill("agent", 1)
        self.check_exact(job, 200)
        self.cluster.restart()

    def test_workers_of_a_killed_agent_die_with_it(self):
        job = self.submit(400, workers=4, sleep_s=0.05)
        wait_until(lambda: len(self.pids_of(job)) == 4, "all four workers are at work")
        agent = self.cluster.daemon("agent", 1)["pid"]
        mine = [pid for pid in self.pids_of(job) if pid in children_of(agent)]
        self.assertTrue(mine)
        self.cluster.kill("agent", 1)
        wait_until(
            lambda: not any(os.path.exists(f"/proc/{pid}/cwd/gate.py") for pid in mine),
            "the killed agent's workers are gone",
        )
        self.check_exact(job, 400)
        self.cluster.restart()


class OneAgent(Scenario):
    def test_a_killed_worker_is_replaced_and_its_batch_runs_again(self):
        job = self.submit(100, workers=2, sleep_s=0.03)
        self.wait_predicted(job, 10)
        kill_process(self.predicted(job)[-1][1], signal.SIGKILL)
        self.check_exact(job, 100)
        repeats = len(self.predicted(job)) - 100
        self.assertLessEqual(repeats, 1, "only a batch that was being executed runs again")

    def test_a_batch_that_kills_three_workers_is_failed_as_the_suspect(self):
        self.gate.hold("predict")
        job = self.submit(6, workers=1)
        for death in range(1, 4):
            self.wait_predicted(job, death)
            kill_process(self.predicted(job)[-1][1], signal.SIGKILL)
        self.gate.release("predict")
        status = self.cluster.wait_job("squares", job)
        first = self.predicted(job)[0][0]
        self.assertEqual([batch for batch, _, _ in self.predicted(job)][:3], [first] * 3)
        self.assertIn(
            status["status"], ("status_completed_with_failures", "status_worker_error")
        )

    def test_a_master_that_dies_and_comes_back_loses_nothing_and_repeats_nothing(self):
        master = self.cluster.daemon("master")["pid"]  # asked while nothing runs
        job = self.submit(300, workers=2, sleep_s=0.02)
        self.wait_predicted(job, 20)
        kill_process(master, signal.SIGKILL)
        began = len(self.predicted(job))
        self.cluster.restart()
        self.check_exact(job, 300, once=True)
        self.assertLess(began, 300)

    def test_workers_go_on_while_the_master_is_away(self):
        self.gate.hold("predict")
        job = self.submit(8, workers=2)
        self.wait_predicted(job, 2)
        workers = {pid for _, pid, _ in self.predicted(job)}
        self.cluster.kill("master")
        self.gate.release("predict")
        time.sleep(0.5)
        for pid in workers:
            self.assertTrue(os.path.exists(f"/proc/{pid}/cwd/gate.py"), "a worker was stopped")
        self.cluster.restart()
        self.check_exact(job, 8, once=True)
        self.assertEqual({pid for _, pid, _ in self.predicted(job)}, workers)

    def test_cluster_down_and_up_takes_the_job_up_again(self):
        job = self.submit(300, workers=2, sleep_s=0.02)
        self.wait_predicted(job, 20)
        self.cluster.cortex("cluster", "down", "--state-dir", self.cluster.state)
        self.cluster.restart()
        self.check_exact(job, 300)

    def test_all_at_once(self):
        job = self.submit(300, workers=2, sleep_s=0.02)
        self.wait_predicted(job, 20)
        for role in ("agent", "master", "bridge"):
            self.cluster.kill(role)
        self.cluster.restart()
        self.check_exact(job, 300)


if __name__ == "__main__":
    unittest.main(verbosity=2)
