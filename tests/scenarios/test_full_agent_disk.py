#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_full_agent_disk.py - what does an agent do whose disk is full, and then is not?

Its folder is a file system of its own (which needs root), filled while a job runs there
and before another begins. The job that runs goes on; the one that would need room says
so; once there is room the next one runs, without anything being restarted.
"""

import os
import time
import unittest

from small_disk import SmallDisk
from support import dose


class FullAgentDisk(SmallDisk):
    victim = "agent-1"
    agent_cpu = 4

    def test_a_full_disk_is_said_survived_and_got_over(self):
        agent = self.cluster.daemon("agent")["pid"]
        longest = 0
        for _ in range(dose(1, 50)):
            running = self.submit(100, sleep_s=0.05)
            self.wait_predicted(running, 2)
            self.fill()
            refused = self.submit(4)
            self.assertEqual(self.wait_ended(refused)["status"], "status_worker_error")
            self.assertRegex(self.cluster.log("squares", refused),
                             "worker [0-9a-f]{16}: cannot .*: No space left on device")
            self.free()
            freed = time.monotonic()
            next_one = self.submit(4)
            self.wait_predicted(next_one, 1)
            longest = max(longest, time.monotonic() - freed)
            self.check_exact(next_one, 4, once=True)
            self.check_exact(running, 100, once=True)
            self.wait_ended(running)
        self.assertEqual(self.cluster.daemon("agent")["pid"], agent)
        self.assert_exact("disk full under an agent while a job runs", dose(1, 50), longest)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: mounting a file system needs root")
        raise SystemExit(77)
    unittest.main(verbosity=2)
