#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_drains.py - does what is told to end (SIGTERM) first finish what it has begun?

An agent gives back what it has not begun, at no attempt, ends what runs, and ships its
logs. A bridge answers what it has read; a master's answer comes from the next one at the
latest. `cortex cluster down` in the middle of a job and `up` again lose nothing, and run
no batch twice.
"""

import concurrent.futures
import os
import random
import signal
import time
import unittest

from ledger import Ledgered
from scenario import PREDICTOR
from support import children_of, dose, kill_process, said, start_time, wait_until, write_project

ITEMS = 120


class Drains(Ledgered):
    agents = 2
    agent_cpu = 2

    @classmethod
    def prepare(cls):
        super().prepare()
        saying = PREDICTOR.replace(
            '        gate.wait("predict")',
            '        print(f"did {payload[0]}.", flush=True)\n        gate.wait("predict")')
        project = os.path.join(cls.cluster.folder, "squares")
        write_project(project, saying, api="squares", cpu=cls.worker_cpu,
                      **{"gate.py": cls.gate.source()})
        cls.cluster.deploy(project)
        cls.moment = random.Random(6)

    def assert_whole(self, job):
        """Each batch was run once and said so in the log."""
        self.check_exact(job, ITEMS, once=True)
        self.wait_ended(job)
        log = self.cluster.log("squares", job)
        missing = [number for number in range(ITEMS) if f"did {number}." not in log]
        self.assertEqual(missing, [], "lines of the log are lost")

    def assert_no_attempt_lost(self, verdict):
        self.assertEqual({row["attempts"] for row in verdict.tables["batch"]}, {1})

    def begin(self, sleep_s=0.05):
        job = self.submit(ITEMS, workers=4, sleep_s=sleep_s)
        self.wait_predicted(job, 4)
        time.sleep(self.moment.random() * 0.3)
        return job

    def test_an_agent_that_drains_costs_no_attempt(self):
        longest = 0
        for number in range(dose(2, 50)):
            job = self.begin()
            agent = self.cluster.daemon("agent", number % 2)["pid"]
            workers = set(children_of(agent))
            since = time.monotonic()
            os.kill(agent, signal.SIGTERM)
            wait_until(lambda: not start_time(agent), "the agent has left")
            longest = max(longest, time.monotonic() - since)
            self.assertFalse([pid for pid in workers if start_time(pid)])
            self.assert_whole(job)
            self.cluster.restart()
        verdict = self.assert_exact("SIGTERM to an agent while a job runs", dose(2, 50), longest)
        self.assert_no_attempt_lost(verdict)
        self.cluster.restart()

    def test_a_cluster_that_goes_down_in_the_middle_goes_on_where_it_was(self):
        longest = 0
        for _ in range(dose(1, 20)):
            job = self.begin()
            self.cluster.cortex("cluster", "down", "--state-dir", self.cluster.state)
            began = len(self.predicted(job))
            self.assertLess(began, ITEMS)
            since = time.monotonic()
            self.cluster.restart()
            wait_until(lambda: len(self.predicted(job)) > began, "the job goes on")
            longest = max(longest, time.monotonic() - since)
            self.assert_whole(job)
        verdict = self.assert_exact("`cortex cluster down` and `up` in the middle of a job",
                                    dose(1, 20), longest)
        self.assert_no_attempt_lost(verdict)
        self.cluster.restart()

    def in_flight(self, pool, master):
        """Submissions that the bridge has read and the master has not answered."""
        kill_process(master, signal.SIGSTOP)
        answers = [pool.submit(self.cluster.http, "POST", "/squares", self.body(3))
                   for _ in range(16)]
        time.sleep(0.3)
        return answers

    def acknowledge_all(self, answers):
        for answer in answers:
            self.assertEqual(answer.result().status, 200, answer.result().text)
            job = answer.result().json["job_id"]
            self.acknowledge(job, 3)
            self.wait_ended(job)

    def test_what_is_in_flight_is_answered(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for _ in range(dose(1, 20)):
                row = self.cluster.daemon("master")
                master = row["pid"]
                bridge = self.cluster.daemon("bridge")["pid"]
                answers = self.in_flight(pool, master)
                os.kill(bridge, signal.SIGTERM)
                time.sleep(0.1)
                kill_process(master, signal.SIGCONT)
                wait_until(lambda: not start_time(bridge), "the bridge has left")
                concurrent.futures.wait(answers)
                self.cluster.restart()
                self.acknowledge_all(answers)

                answers = self.in_flight(pool, master)
                os.kill(master, signal.SIGTERM)
                kill_process(master, signal.SIGCONT)
                wait_until(lambda: not start_time(master), "the master has left")
                self.assertNotIn("not answered", said(row))
                self.cluster.restart()
                self.acknowledge_all(answers)
        self.assert_exact("SIGTERM to bridge and master with 16 submissions in flight",
                          dose(2, 40))
        self.cluster.restart()


if __name__ == "__main__":
    unittest.main(verbosity=2)
