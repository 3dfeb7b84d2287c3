#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_herd.py - does a master take up again thousands of agents that come at once?

Agents that do nothing but register (support/herd.py) and real ones with a job lose the
master by kill -9. A recovery is the time from its start until the last is registered
again. Its limit of descriptors is the usual soft one, since that is what a daemon gets.
"""

import os
import resource
import unittest

from clear_cluster import ClearCluster
from ledger import Ledgered
from herd import Herd
from support import PATIENCE_S, dose, wait_until

SOFT_LIMIT = 1024  # as systemd and login shells give it
HERD = dose(500, 2000)


class Stampede(Ledgered):
    cluster_class = ClearCluster
    preamble = f"ulimit -S -n {SOFT_LIMIT}"

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.cluster.daemon('master')['pid']}/fd"))

    def test_all_come_back_and_leave_nothing_behind(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, HERD + 1024), hard))
        port = int(self.cluster.daemon("master")["address"].rsplit(":", 1)[1])
        herd, longest, rounds = Herd(HERD, port), 0, dose(2, 20)
        self.addCleanup(herd.leave)  # its descriptors are needed to end the cluster
        herd.join(PATIENCE_S)
        job = self.submit(500, workers=2, sleep_s=0.02)
        for _ in range(rounds):
            self.cluster.kill("master")
            self.cluster.restart()
            longest = max(longest, herd.join(PATIENCE_S))
        herd.leave()
        wait_until(lambda: self.descriptors() < 200, "the connections are closed")
        self.check_exact(job, 500, once=True)
        self.wait_ended(job)
        self.assert_exact(f"{HERD} agents come back at once", rounds, longest)


if __name__ == "__main__":
    unittest.main(verbosity=2)
