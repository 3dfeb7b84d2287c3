#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_clocks.py - is a job right though wall clocks jump, and differ by years?

Master and agents each have a wall clock of their own (support/skewed_clock.c) that jumps
by a second to ten years, forward and back, while jobs with a timeout run and the master
is killed now and then. Leases and timeouts are durations: no batch is run twice and no
job times out.
"""

import os
import random
import shutil
import struct
import tempfile
import time
import unittest

from ledger import Ledgered
from support import BIN, dose, wait_until

LIBRARY = os.path.join(os.path.dirname(BIN), "tests", "skewed_clock.so")
SECOND, HOUR, YEAR = 1, 3600, 365 * 86400
JUMPS = [sign * jump for jump in (SECOND, HOUR, 30 * HOUR, YEAR, 10 * YEAR) for sign in (1, -1)]
OWN_CLOCK = """
for each in "$@"; do
    case $each in */agent-*|*/master) name=${{each##*/}} ;; esac
done
export LD_PRELOAD={} CORTEX_CLOCK={}/$name
"""


class Clocks(Ledgered):
    agents = 2
    agent_cpu = 2

    @classmethod
    def make_cluster(cls):
        cls.clocks = tempfile.mkdtemp(prefix="cortex-clocks-")
        cls.addClassCleanup(shutil.rmtree, cls.clocks)
        for name in ("master", "agent-1", "agent-2"):
            cls.set_clock(name, 0)
        cls.preamble = OWN_CLOCK.format(LIBRARY, cls.clocks)
        return super().make_cluster()

    @classmethod
    def set_clock(cls, name, ahead_s):
        path = os.path.join(cls.clocks, name)
        with open(path, "r+b" if os.path.exists(path) else "wb", buffering=0) as file:
            file.write(struct.pack("=q", ahead_s * 10**9))

    def test_jumps_of_wall_clocks_expire_nothing(self):
        moment, job = random.Random(8), None
        jumps = dose(len(JUMPS), 200)
        for number in range(jumps):
            if not job or self.cluster.job("squares", job)["status"] != "status_running":
                job = self.submit(800, batch_size=2, workers=4, sleep_s=0.03, timeout=600)
                self.wait_predicted(job, 4)
            whose = moment.choice(("master", "agent-1", "agent-2"))
            restarts = number % 3 == 2
            self.set_clock("master" if restarts else whose, JUMPS[number % len(JUMPS)])
            time.sleep(moment.random() * 0.4)
            if restarts:
                self.cluster.kill("master")
                self.cluster.restart()
            began = len(self.predicted(job))
            wait_until(
                lambda: len(self.predicted(job)) > began + 4
                or self.cluster.job("squares", job)["status"] != "status_running",
                "batches are done",
            )
        for entry in self.ledger["jobs"]:
            self.check_exact(entry["job_id"], 800, batch_size=2, once=True)
            self.wait_ended(entry["job_id"])
        verdict = self.assert_exact("wall clocks jump by a second to ten years", jumps)
        for row in verdict.tables["job"]:
            self.assertLessEqual(row["start_ns"], row["end_ns"])


if __name__ == "__main__":
    if not os.path.exists(LIBRARY):
        print("skipped: a sanitized program takes no other clock")
        raise SystemExit(77)
    unittest.main(verbosity=2)
