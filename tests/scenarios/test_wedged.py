#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_wedged.py - does a job notice that nng is wedged, in the master or in its agent?

A peer that pipelines requests and hangs up makes nng 1.5 stop closing connections, for
good. Strangers do so on purpose here, to a master while a job runs, and to an agent
(tests/support/open_agent.c) whose master is then killed.
"""

import os
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))

from ledger import make_programs  # noqa: E402
from ports import free_port  # noqa: E402
from scenario import Scenario  # noqa: E402
from stranger import Stranger, packet  # noqa: E402
from support import BIN, Cluster, dose, said, wait_until  # noqa: E402

OPEN_AGENT = os.path.join(os.path.dirname(BIN), "tests", "open_agent")
LEAKED = 40  # connections, beyond what the watchdog takes for chance


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def succeeded(cluster, job):
    return cluster.job("squares", job)["batch_metrics"]["succeeded"]


def wedge(url, is_wedged):
    """Pipelines and hangs up until what ended is closed no more."""
    for _ in range(300):
        for _ in range(20):
            try:
                stranger = Stranger(url)
            except ConnectionRefusedError:
                continue  # it is being executed anew
            stranger.send(packet(b"no frame at all") * 8)
            stranger.hang_up()
        time.sleep(0.2)
        if is_wedged():
            return
    raise AssertionError("nng does not wedge")


class WedgedMaster(Scenario):
    agents = 2
    agent_cpu = 2

    def test_a_wedged_master_is_executed_anew_and_no_job_notices(self):
        row = self.cluster.daemon("master")
        pid, before = row["pid"], descriptors(row["pid"])
        wedges = dose(1, 20)
        self.job = self.submit(600 * wedges, workers=4, sleep_s=0.04)
        self.wait_predicted(self.job, 8)
        for _ in range(wedges):
            noticed = said(row).count("are not closed")
            wedge(row["address"], lambda: said(row).count("are not closed") > noticed)
            counted = succeeded(self.cluster, self.job)
            wait_until(lambda: succeeded(self.cluster, self.job) > counted,
                       "agents and bridge are back")
            wait_until(lambda: descriptors(pid) < before + 20, "its descriptors are closed")
        self.assertEqual(self.cluster.daemon("master")["pid"], pid)
        self.check_exact(self.job, 600 * wedges, once=True)

    def test_a_master_that_is_wedged_again_and_again_stays_within_bounds(self):
        row = self.cluster.daemon("master")
        job = self.submit(20)
        most, ends = 0, time.monotonic() + dose(3, 60)
        while time.monotonic() < ends:
            for _ in range(20):
                try:
                    stranger = Stranger(row["address"], timeout_s=5)
                except OSError:
                    continue  # it is being executed anew
                stranger.send(packet(b"no frame at all") * 8)
                stranger.hang_up()
            most = max(most, descriptors(row["pid"]))
            self.cluster.job("squares", job)  # is answered
            time.sleep(0.05)
        print(f"under attack the master had at most {most} descriptors")
        self.check_exact(job, 20)


class WedgedAgent(Scenario):
    @classmethod
    def make_cluster(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cortex-wedged-")
        cls.addClassCleanup(scratch.cleanup)
        cls.open_url = f"tcp://127.0.0.1:{free_port()}"
        programs = make_programs(
            os.path.join(scratch.name, "bin"),
            {"cortex-agent": f'exec {OPEN_AGENT} "$@"\n'},
        )
        return Cluster(agents=1, agent_cpu=2, programs=programs,
                       env={"CORTEX_TEST_LISTEN": cls.open_url})

    def workers_of(self, job):
        """The processes in which its batches were begun."""
        return {pid for _, pid, _ in self.predicted(job)}

    def test_a_wedged_agent_finds_its_master_again_and_no_job_notices(self):
        row = self.cluster.daemon("agent")
        pid, before = row["pid"], descriptors(row["pid"])
        restarts = dose(1, 10)
        job = self.submit(400 * restarts, sleep_s=0.04)
        wait_until(lambda: len(self.workers_of(job)) == 2, "both workers are at work")
        workers = self.workers_of(job)
        wedge(self.open_url, lambda: descriptors(pid) > before + LEAKED)
        wedged = descriptors(pid)
        for _ in range(restarts):
            self.cluster.kill("master")
            self.cluster.restart()
            counted = succeeded(self.cluster, job)
            wait_until(lambda: succeeded(self.cluster, job) > counted,
                       "the agent has found its master")
            self.assertLess(descriptors(pid), wedged + LEAKED)
        self.check_exact(job, 400 * restarts, once=True)
        self.assertEqual(self.workers_of(job), workers)
        wait_until(lambda: descriptors(pid) < before + 20, "it is executed anew when idle")
        self.assertEqual(self.cluster.daemon("agent")["pid"], pid)
        self.check_exact(self.submit(20), 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
