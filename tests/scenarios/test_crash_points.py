#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_crash_points.py - may any write, fsync, rename or unlink fail, or be the last?

A short piece of work (deploy, submit, run, read the logs, delete an api) is done again and again;
each time at the next of the operations of master or agent on files beside the state
database (which tests/scenario/power_cuts sweeps): it ends, a write left half done; the
machine's power is cut, and all that was not synced is lost; or the disk fails, once. It
is started anew, the client repeats what was not answered, and in the end the checker
finds every batch counted once, with the result that follows from its items.
"""

import errno
import os
import unittest

from nth import Medic, Struck
from support import dose

SANITIZED = bool(os.environ.get("CORTEX_SANITIZED"))


class CrashPoints:
    def test_it_may_end_at_any_operation_on_its_files(self):
        self.sweep(dose(3, 0), "it ends")

    def test_power_may_be_cut_at_any_operation_on_its_files(self):
        self.sweep(dose(3, 0), "a power cut", power_cut=1)

    def test_its_disk_may_fail_at_any_operation(self):
        self.sweep(dose(2, 0), "EIO", error=errno.EIO)

    def sweep(self, points, what, **how):
        """Strikes at so many of the operations, or at each (0)."""
        before = len(self.ledger["jobs"])
        self.nth.arm(**how)
        self.work(f"{what} 0")
        total = self.nth.get("writes")
        self.assertGreater(total, 5)
        stride = max(1, total // points) if points else 1
        struck = 0
        for number, at in enumerate(range(1, total + 1, stride), 1):
            with Medic(self.cluster, self.nth) as medic:
                self.nth.arm(strike_at=at, **how)
                self.work(f"{what} {number}")
                struck += self.nth.get("struck")
                self.nth.arm(**how)
            self.assertFalse(any(medic.deaths), f"died of signals: {medic.deaths}")
        self.assertGreaterEqual(struck, total // stride // 2)
        for entry in self.ledger["jobs"][before:]:
            status = self.cluster.job("squares", entry["job_id"])["status"]
            # What a disk refuses may be a batch to be stored, or a result.
            self.assertIn(status, self.refusals | {"status_succeeded"} if "error" in how
                          else {"status_succeeded"},
                          self.cluster.log("squares", entry["job_id"])[-2000:])
        self.assert_exact(f"{what} at a write, fsync, rename or unlink of the {self.victim}",
                          struck)
        self.cluster.restart()


@unittest.skipIf(SANITIZED, "a sanitizer cannot be preloaded over")
class Master(CrashPoints, Struck):
    victim = "master"
    refusals = {"status_enqueue_failed"}


@unittest.skipIf(SANITIZED, "a sanitizer cannot be preloaded over")
class Agent(CrashPoints, Struck):
    victim = "agent"
    refusals = {"status_completed_with_failures"}


if __name__ == "__main__":
    unittest.main(verbosity=2)
