#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_full_disk.py - what does a master do whose disk is full, and once it is not?

Its folder is a file system of 8 MiB (which needs root), filled and freed while a job
runs. Meanwhile jobs are told of and submissions are refused; afterwards it goes on by
itself, in the same process, and the checker finds nothing lost.
"""

import os
import time
import unittest

from small_disk import SmallDisk
from support import dose, wait_until


def unix_sockets(pid):
    """How many of a process's descriptors are such: those of its libraries."""
    with open("/proc/net/unix", encoding="ascii") as file:
        inodes = {line.split()[6] for line in file}
    folder = f"/proc/{pid}/fd"
    return sum(os.readlink(os.path.join(folder, name)).strip("socket:[]") in inodes
               for name in os.listdir(folder))


@unittest.skipUnless(os.geteuid() == 0, "mounting a file system needs root")
class FullDisk(SmallDisk):
    def refusal(self):
        answer = self.cluster.http("POST", "/squares", self.body(4))
        if answer.status == 200:  # taken before the disk was noticed: it counts
            self.acknowledge(answer.json["job_id"], 4)
        return answer if answer.status == 507 else None

    def test_a_full_disk_is_said_survived_and_got_over(self):
        pid = self.cluster.daemon("master")["pid"]
        longest, before = 0, unix_sockets(pid)
        for _ in range(dose(2, 50)):
            job = self.submit(200, sleep_s=0.02)
            self.wait_predicted(job, 5)
            self.fill()
            answer = wait_until(self.refusal, "a submission is refused")
            self.assertRegex(answer.text, "disk|No space left on device")
            status = wait_until(lambda: self.told(job), "the job is told of")
            self.assertEqual(status["status"], "status_running")
            self.free()
            freed = time.monotonic()
            self.wait_taken()
            longest = max(longest, time.monotonic() - freed)
            self.wait_ended(job)
        self.assertEqual(self.cluster.daemon("master")["pid"], pid)
        self.assertEqual(unix_sockets(pid), before, "what each execution left open")
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        self.assert_exact("disk full under the master while a job runs", dose(2, 50), longest)

    def told(self, job):
        answer = self.cluster.http("GET", f"/squares/{job}")
        return answer.json["job_status"] if answer.status == 200 else None


if __name__ == "__main__":
    unittest.main(verbosity=2)
