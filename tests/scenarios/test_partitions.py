#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_partitions.py - is a job right though agents and master lose each other?

Agents reach the master through a relay that is cut, slowed down, or partitioned one way
or both for longer than leases and patience last.
"""

import os
import random
import time
import unittest

from relayed import Relayed
from support import dose, wait_until


class Partitions(Relayed):
    agents = 2
    agent_cpu = 2
    master_options = ("--lease", "1s", "--agent-timeout", "2s")

    def plant(self, fault, seconds):
        if fault == "cut":
            self.relay.cut()
        elif fault == "away":
            self.relay.refusing = True
            self.relay.cut()
        elif fault == "slow":
            self.relay.delay_s = 0.1
        else:
            self.relay.held = {"up", "down"} if fault == "both" else {fault}
        time.sleep(seconds)
        self.relay.heal()

    def test_links_that_fail_lose_and_double_nothing(self):
        moment = random.Random(9)
        faults = ("cut", "away", "slow", "up", "down", "both")
        count = dose(6, 500)
        longest = 0
        job = None
        for number in range(count):
            if not job or self.cluster.job("squares", job)["status"] != "status_running":
                job = self.submit(800, batch_size=2, workers=4, sleep_s=0.05)
                self.wait_predicted(job, 4)
            self.plant(faults[number % len(faults)], moment.choice((0.2, 1.5, 3)))
            began, since = len(self.predicted(job)), time.monotonic()
            wait_until(
                lambda: len(self.predicted(job)) > began + 4
                or self.cluster.job("squares", job)["status"] != "status_running",
                "batches are done again",
            )
            longest = max(longest, time.monotonic() - since)
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        self.assert_exact("links cut, slow, partitioned one way or both, 0.2 to 3 s", count, longest)


if __name__ == "__main__":
    unittest.main(verbosity=2)
