#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_crash_points.py - may a process end at any write, fsync, rename or unlink?

A short piece of work (deploy, submit, run, read the logs, delete an api) is done again and again;
each time the master, or the agent, ends at the next of its operations on files beside
the state database (which tests/scenario/power_cuts sweeps): a write is left half done.
It is started anew, the client repeats what was not answered, and in the end the
checker finds every batch counted once, with the result that follows from its items.
"""

import os
import unittest

from nth import Medic, Struck
from support import dose


@unittest.skipIf(os.environ.get("CORTEX_SANITIZED"), "a sanitizer cannot be preloaded over")
class CrashPoints(Struck):
    def sweep(self, points):
        """Ends it at so many of the operations, or at each (0)."""
        self.nth.arm()
        self.work(0)
        total = self.nth.get("writes")
        self.assertGreater(total, 5)
        stride = max(1, total // points) if points else 1
        deaths = 0
        for number, at in enumerate(range(1, total + 1, stride), 1):
            with Medic(self.cluster, self.nth) as medic:
                self.nth.arm(die_at=at)
                self.work(number)
                self.nth.arm()
            deaths += len(medic.deaths)
        self.assertGreaterEqual(deaths, total // stride // 2)
        self.assertEqual(self.cluster.job("squares", self.ledger["jobs"][-1]["job_id"])["status"],
                         "status_succeeded")
        self.assert_exact(f"the {self.victim} ends at a write, fsync, rename or unlink", deaths)


class Master(CrashPoints):
    victim = "master"

    def test_a_master_may_end_at_any_operation_on_its_files(self):
        self.sweep(dose(4, 0))


class Agent(CrashPoints):
    victim = "agent"

    def test_an_agent_may_end_at_any_operation_on_its_files(self):
        self.sweep(dose(3, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
