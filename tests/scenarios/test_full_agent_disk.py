#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_full_agent_disk.py - what does an agent do whose disk is full, and then is not?

Its folder is a file system of its own (which needs root), filled while a job runs there
and before another begins. The job that runs goes on; the one that would need room says
so, and runs on another agent, or once there is room; nothing is started anew.
"""

import os
import re
import time
import unittest

from small_disk import SmallDisk
from support import dose, wait_until

REFUSAL = re.compile("worker [0-9a-f]{16}: cannot .*: No space left on device; another is started")


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
            waiting = self.submit(4)
            wait_until(lambda: REFUSAL.search(self.cluster.log("squares", waiting)),
                       "it says that there is no room")
            self.assertEqual(self.predicted(waiting), [])
            self.free()
            freed = time.monotonic()
            self.wait_predicted(waiting, 1)
            longest = max(longest, time.monotonic() - freed)
            self.check_exact(waiting, 4, once=True)
            self.wait_ended(waiting)
            self.check_exact(running, 100, once=True)
            self.wait_ended(running)
        self.assertEqual(self.cluster.daemon("agent")["pid"], agent)
        self.assert_exact("disk full under an agent while a job runs", dose(1, 50), longest)


class AnotherAgent(SmallDisk):
    victim = "agent-1"
    agents = 2
    agent_cpu = 2

    def test_workers_for_which_there_is_no_room_run_on_another_agent(self):
        self.fill()
        job = self.submit(40, workers=4, sleep_s=0.02)
        self.check_exact(job, 40, once=True)
        self.assertEqual(self.wait_ended(job)["status"], "status_succeeded")
        self.assertRegex(self.cluster.log("squares", job), REFUSAL)
        self.free()
        self.assert_exact("disk full under one of two agents", 1)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: mounting a file system needs root")
        raise SystemExit(77)
    unittest.main(verbosity=2)
