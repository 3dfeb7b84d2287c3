#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_master_kills.py - does everybody come back, each time, and does nothing leak?

nng 1.5 can wedge when a peer dies with requests in flight: an agent then never comes
back, and a master leaks a descriptor for each client. Neither may happen here.
"""

import os
import random
import signal
import subprocess
import time
import unittest

from scenario import Scenario
from support import dose, wait_until

SANITIZED = bool(os.environ.get("CORTEX_SANITIZED"))


class MasterKills(Scenario):
    agents = 2
    agent_cpu = 2

    def ensure_load(self):
        """A job with batches left: the running one, or a new one."""
        status = self.cluster.job("squares", self.job) if self.jobs else None
        if not status or status["status"] != "status_running" or status["batches_in_queue"] < 200:
            self.job = self.submit(2000, workers=4, sleep_s=0.04, store=False)
            self.jobs.append(self.job)
            wait_until(lambda: len(self.pids_at_work(0)) == 4, "all four workers are at work")

    def pids_at_work(self, since):
        return {pid for _, pid, _ in self.predicted(self.job)[since:]}

    def test_agents_come_back_after_each_kill_of_the_master(self):
        kills = dose(10 if SANITIZED else 30, 60)
        self.jobs = []
        moment = random.Random(1)
        for _ in range(kills):
            self.ensure_load()
            workers = self.pids_at_work(0)
            self.cluster.kill("master")
            time.sleep(moment.random() * 0.2)
            self.cluster.restart()
            began = len(self.predicted(self.job))
            wait_until(
                lambda: self.pids_at_work(began) == workers
                or self.cluster.job("squares", self.job)["status"] == "status_succeeded",
                "all four workers, and so both agents, are at work again",
            )
        for job in self.jobs:
            self.check_exact(job, 2000, stored=False, once=True)


class KilledClients(Scenario):
    def descriptors(self, pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    def follow(self):
        return subprocess.Popen(
            ["cortex", "logs", "squares", self.job, "--env", "aws"],
            env=self.cluster.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )

    def test_the_master_keeps_no_descriptor_of_a_killed_client(self):
        clients = dose(60 if SANITIZED else 200, 600)
        self.gate.hold("predict")
        self.job = self.submit(4)
        self.wait_predicted(self.job, 1)
        master = self.cluster.daemon("master")["pid"]
        before = self.descriptors(master)
        for _ in range(clients // 20):
            followers = [self.follow() for _ in range(20)]
            for follower in followers:
                follower.stdout.readline()  # it has its connection, and waits for more
            for follower in followers:
                follower.send_signal(signal.SIGKILL)
                follower.wait()
                follower.stdout.close()
        wait_until(
            lambda: self.descriptors(master) <= before + 5,
            f"the master is back at {before} descriptors",
        )
        self.assertEqual(self.cluster.daemon("master")["pid"], master, "the master restarted")
        self.gate.release("predict")
        self.check_exact(self.job, 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
