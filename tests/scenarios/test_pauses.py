#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_pauses.py - what if a process stands still longer than it is waited for?

Master and agents are stopped and continued (SIGSTOP, SIGCONT) for up to twice the lease
and the time after which an agent is lost, while a job runs. What comes late is refused,
and the checker finds nothing lost or doubled.
"""

import os
import random
import signal
import sqlite3
import time
import unittest

from ledger import Ledgered, add_row
from support import FULL, dose, kill_process, wait_until


class Pauses(Ledgered):
    agents = 2
    agent_cpu = 2
    master_options = ("--lease", "1s", "--agent-timeout", "2s")

    def pause(self, pid, seconds):
        kill_process(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            kill_process(pid, signal.SIGCONT)

    def test_pauses_beyond_lease_and_patience_lose_and_double_nothing(self):
        self.rounds("SIGSTOP of master or agent for 0.1 to 4 s, then CONT", dose(5, 300),
                    (0.1, 0.9, 1.5, 2.5, 4))

    @unittest.skipUnless(FULL, "takes a quarter of an hour")
    def test_long_pauses(self):
        self.rounds("SIGSTOP of master or agent for 10 to 60 s, then CONT", 30, (10, 30, 60))

    def rounds(self, fault, pauses, seconds):
        moment = random.Random(4)
        daemons = [self.cluster.daemon("master")["pid"],
                   self.cluster.daemon("agent", 0)["pid"], self.cluster.daemon("agent", 1)["pid"]]
        longest = 0
        job = None
        for number in range(pauses):
            if not job or self.cluster.job("squares", job)["status"] != "status_running":
                job = self.submit(600, batch_size=2, workers=4, sleep_s=0.05)
                self.wait_predicted(job, 4)
            self.pause(daemons[number % 3], moment.choice(seconds))
            began, since = len(self.predicted(job)), time.monotonic()
            wait_until(
                lambda: len(self.predicted(job)) > began + 4
                or self.cluster.job("squares", job)["status"] != "status_running",
                "batches are done again",
            )
            longest = max(longest, time.monotonic() - since)
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        self.assert_exact(fault, pauses, longest)
        self.cluster.restart()

    def test_batches_of_a_lost_agent_run_again(self):
        """How long it takes is printed: the agent's patience of 2 s, and what is behind."""
        self.gate.hold("predict")
        job = self.submit(4, workers=4)
        self.wait_predicted(job, 4)
        self.cluster.kill("agent", 1)
        since = time.monotonic()
        self.gate.release("predict")
        wait_until(lambda: len(self.predicted(job)) >= 6, "the lost batches are begun again")
        took = time.monotonic() - since
        self.wait_ended(job)
        self.cluster.restart()
        self.assert_exact("kill -9 of an agent with batches in hand (lease 1 s)", 1, took)
        self.cluster.restart()


class LargeState(Ledgered):
    BATCHES = dose(100_000, 1_000_000)

    def test_a_large_state_is_taken_up_again(self):
        """A running job gets many done batches, as rows; the start's time is printed."""
        self.gate.hold("predict")
        job = self.submit(4)
        self.wait_predicted(job, 2)
        self.cluster.kill("master")
        self.add_batches(int(job, 16))
        since = time.monotonic()
        self.cluster.restart()
        took = time.monotonic() - since
        status = self.cluster.job("squares", job)
        lost = self.BATCHES - status["batch_metrics"]["succeeded"]
        self.assertEqual(lost, 0)
        self.assertEqual(status["total_batch_count"], self.BATCHES + 4)
        self.gate.release("predict")
        self.cluster.http("DELETE", f"/squares/{job}")
        add_row(f"restart with {self.BATCHES} batch rows, `cortex cluster up` included", 1,
                lost, 0, took)

    def add_batches(self, job_id):
        """Behind the four that are enqueued; their payloads are never asked for."""
        database = sqlite3.connect(os.path.join(self.master_folder(), "state.db"))
        step, rows = 4000, self.BATCHES
        database.executemany(
            "INSERT INTO segment VALUES (?, ?, ?, ?, 1000, 0, 0, 0, 0, 0, '', '')",
            [(job_id, 1 + at // step, 4 + at, min(step, rows - at)) for at in range(0, rows, step)],
        )
        database.executemany(
            "INSERT INTO batch VALUES (?, ?, 3, 1, 0, 0, 1, 1, 1000, '', 1)",
            ((job_id, 4 + index) for index in range(rows)),
        )
        database.execute("UPDATE job SET total = ? WHERE job_id = ?", (rows + 4, job_id))
        database.commit()
        database.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
