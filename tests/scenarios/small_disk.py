# SPDX-License-Identifier: Apache-2.0
"""small_disk.py - a Ledgered scenario with a daemon whose folder is a small disk

It is a file system of its own, which needs root, and can be filled and freed.
"""

import os
import subprocess

from ledger import Ledgered
from support import wait_until


class SmallDisk(Ledgered):
    victim = "master"  # the name of its folder
    disk_size = "8M"

    @classmethod
    def make_cluster(cls):
        cluster = super().make_cluster()
        cls.disk = os.path.join(cluster.state, cls.victim)
        os.makedirs(cls.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={cls.disk_size}", "tmpfs", cls.disk],
                       check=True, capture_output=True)
        cls.addClassCleanup(cls.unmount)
        return cluster

    @classmethod
    def unmount(cls):
        subprocess.run(["umount", cls.disk], capture_output=True)

    @classmethod
    def cleanup(cls):
        cls.cluster.cortex("cluster", "down", "--state-dir", cls.cluster.state, check=False)
        cls.unmount()
        super().cleanup()

    @classmethod
    def tearDownClass(cls):
        cls.cleanup()

    def fill(self):
        with open(os.path.join(self.disk, "filling"), "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def free(self):
        os.unlink(os.path.join(self.disk, "filling"))

    def submission(self):
        answer = self.cluster.http("POST", "/squares", self.body(4))
        return answer.json["job_id"] if answer.status == 200 else None

    def wait_taken(self):
        """Until the master takes submissions again: one of four items."""
        self.acknowledge(wait_until(self.submission, "submissions are taken again"), 4)
