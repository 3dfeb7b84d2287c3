#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_kills.py - is a job right though whatever runs it is killed at random moments?

kill -9 of the master, of an agent, of a runner, and of all of them at once, over and
over, each time until batches are done again. Then the checker speaks. A recovery is the
time from the kill until a batch was begun on every worker (the start of what was killed
included); of an agent, until what it had begun is begun elsewhere.
"""

import json
import os
import random
import signal
import time
import unittest

from ledger import Ledgered
from support import TERMINAL, children_of, dose, kill_process, start_time, wait_until


class Notes:
    """What was begun, read as it is appended to."""

    def __init__(self, path):
        self.path = path
        self.begun = []  # [batch id, pid, items]
        self.at = 0

    def read(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read()
        except FileNotFoundError:
            return self.begun
        whole = data[:data.rfind(b"\n") + 1]
        self.at += len(whole)
        self.begun += [json.loads(line) for line in whole.splitlines()]
        return self.begun


class Kills(Ledgered):
    agents = 2
    agent_cpu = 2
    master_options = ("--lease", "1s", "--agent-timeout", "2s")
    batches = dose(400, 20_000)

    def ensure_load(self):
        """A job with batches left: the one there is, or a new one with all at work. One
        that was over before an agent had come back is followed by another."""
        status = self.cluster.job("squares", self.job) if self.job else {"status": "none"}
        if status["status"] == "status_running" and status["batches_in_queue"] >= 100:
            return
        for _ in range(10):
            self.job = self.submit(self.batches, workers=4, sleep_s=0.02)
            self.notes_of = Notes(os.path.join(self.notes, self.job))
            wait_until(lambda: len(self.at_work(0)) == 4 or self.over(), "all workers are at work")
            if len(self.at_work(0)) == 4:
                return
        self.fail("all workers are at work in none of ten jobs")

    def at_work(self, since):
        return {pid for _, pid, _ in self.notes_of.read()[since:] if start_time(pid)}

    def over(self):
        return self.cluster.job("squares", self.job)["status"] in TERMINAL

    def wait_all_at_work(self):
        began = len(self.notes_of.read())
        wait_until(lambda: len(self.at_work(began)) >= 4 or self.over(), "all are at work again")

    def kill_the_master(self):
        self.cluster.kill("master")
        self.cluster.restart()
        self.wait_all_at_work()

    def kill_an_agent(self):
        """Down until what it had begun is begun again: nobody else will do it."""
        agent = self.cluster.daemon("agent", self.moment.randrange(2))["pid"]
        workers = set(children_of(agent))
        kill_process(agent)
        begun = self.notes_of.read()
        since = len(begun)
        folder = os.path.join(self.results, self.job)
        mine = {batch for batch, pid, _ in begun[-200:] if pid in workers
                and not os.path.exists(os.path.join(folder, batch + ".json"))}
        wait_until(
            lambda: mine <= {batch for batch, _, _ in self.notes_of.read()[since:]} or self.over(),
            "what the agent had begun is begun again",
        )
        took = time.monotonic() - self.killed
        self.cluster.restart()
        self.wait_all_at_work()
        return took

    def kill_a_runner(self):
        kill_process(self.moment.choice(sorted(self.at_work(-50))))
        self.wait_all_at_work()

    def kill_all(self):
        daemons = self.cluster.processes()
        victims = [one["pid"] for one in daemons if one["role"] in ("master", "agent")]
        victims += [pid for one in daemons if one["role"] == "agent"
                    for pid in children_of(one["pid"])]
        self.moment.shuffle(victims)
        for pid in victims:
            if start_time(pid):
                os.kill(pid, signal.SIGKILL)
        for pid in victims:
            wait_until(lambda: not start_time(pid), f"process {pid} is gone")
        self.cluster.restart()
        self.wait_all_at_work()

    def rounds(self, kill, fault, count):
        self.job, longest = None, 0
        self.moment = random.Random(fault)
        for _ in range(count):
            self.ensure_load()
            time.sleep(self.moment.random() * 0.2)
            self.killed = time.monotonic()
            took = kill() or time.monotonic() - self.killed
            longest = max(longest, took)
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        self.assert_exact(fault, count, longest)
        self.cluster.restart()

    def test_the_master(self):
        self.rounds(self.kill_the_master, "kill -9 of the master while jobs run", dose(3, 500))

    def test_an_agent(self):
        self.rounds(self.kill_an_agent, "kill -9 of an agent (lease 1 s)", dose(2, 500))

    def test_a_runner(self):
        self.rounds(self.kill_a_runner, "kill -9 of a runner", dose(5, 500))

    def test_all_at_once(self):
        self.rounds(self.kill_all, "kill -9 of master, agents and runners at once", dose(2, 200))


if __name__ == "__main__":
    unittest.main(verbosity=2)
