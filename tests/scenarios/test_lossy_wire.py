#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_lossy_wire.py - is a job right though packets between agents and master are lost?

Master and bridge are in one network namespace, the agents in another; the wire between
them loses, repeats, delays and reorders packets, or carries none in one direction or
both, for longer than leases and patience last. A recovery is the time from when the
wire is whole again until batches are done.
"""

import os
import random
import sys
import time
import unittest

from ledger import Ledgered
from lossy_wire import NEAR, LossyWire, why_not
from support import FULL, dose, wait_until

PARTITIONS = ({"up"}, {"down"}, {"up", "down"})
LOSSES = (
    {"loss": 0.01}, {"loss": 0.1, "delay_s": 0.005}, {"loss": 0.3},
    {"jitter_s": 0.02}, {"twice": 0.2}, {"delay_s": 0.1, "jitter_s": 0.1},
    {"loss": 0.05, "twice": 0.05, "jitter_s": 0.01, "delay_s": 0.005},
)


class Wire(Ledgered):
    agents = 2
    agent_cpu = 2
    master_options = ("--lease", "1s", "--agent-timeout", "2s")

    @classmethod
    def make_cluster(cls):
        cls.wire = LossyWire(seed=5)
        cls.addClassCleanup(cls.wire.stop)
        cls.agent_runner = " ".join(cls.wire.far_command)
        cluster = super().make_cluster()
        at = cluster.up_options.index("--master-listen") + 1
        cluster.up_options[at] = cluster.up_options[at].replace("127.0.0.1", NEAR)
        return cluster

    def tearDown(self):
        self.wire.heal()

    def ensure_load(self):
        if not self.job or self.status() != "status_running":
            self.job = self.submit(600, batch_size=2, workers=4, sleep_s=0.03)
            self.wait_predicted(self.job, 4)

    def status(self):
        return self.cluster.job("squares", self.job)["status"]

    def rounds(self, fault, plants, seconds, count):
        moment, longest = random.Random(fault), 0
        self.job = None
        lost = self.wire.counts["lost"]
        for number in range(count):
            self.ensure_load()
            for name, value in plants[number % len(plants)].items():
                setattr(self.wire, name, value)
            time.sleep(moment.choice(seconds))
            self.wire.heal()
            began, since = len(self.predicted(self.job)), time.monotonic()
            wait_until(
                lambda: len(self.predicted(self.job)) > began + 4
                or self.status() != "status_running",
                "batches are done again",
            )
            longest = max(longest, time.monotonic() - since)
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        self.assertGreater(self.wire.counts["lost"], lost)
        self.assert_exact(fault, count, longest)
        self.cluster.restart()

    def test_lost_repeated_late_and_reordered_packets(self):
        self.rounds("wire: 1 to 30 % lost, repeated, delayed, reordered",
                    LOSSES, (0.5, 1), dose(len(LOSSES), 250))

    def test_partitions(self):
        self.rounds("wire: partition one way or both, 0.2 to 4 s",
                    [{"cut": ways} for ways in PARTITIONS], (0.2, 1.5, 4), dose(3, 250))

    @unittest.skipUnless(FULL, "takes twenty minutes")
    def test_long_partitions(self):
        self.rounds("wire: partition one way or both, 10 to 120 s",
                    [{"cut": ways} for ways in PARTITIONS], (10, 20, 45, 120), 15)


if __name__ == "__main__":
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(77)
    if os.environ.get("CORTEX_WIRE_NAMESPACE") != "own":
        os.environ["CORTEX_WIRE_NAMESPACE"] = "own"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    unittest.main(verbosity=2)
