# SPDX-License-Identifier: Apache-2.0
"""small_disk.py - a Ledgered scenario with a daemon whose folder is a disk of 8 MiB

It is a file system of its own, which needs root, and can be filled and freed.
"""

import os
import subprocess

from ledger import Ledgered


class SmallDisk(Ledgered):
    victim = "master"  # the name of its folder

    @classmethod
    def make_cluster(cls):
        cluster = super().make_cluster()
        cls.disk = os.path.join(cluster.state, cls.victim)
        os.makedirs(cls.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", cls.disk],
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
