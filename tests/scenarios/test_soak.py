#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_soak.py - does anything grow while faults come and go?

Job after job, and in rotation: a runner is killed, an agent, the master; one of them
stands still; an agent is told to leave. Meanwhile memory, descriptors and threads of
each process are noted; those of one that lived for long are at its end what they were
after its start. The folders of agents stay as they are. CORTEX_SOAK_S is the duration.
"""

import os
import random
import signal
import statistics
import time
import unittest

import test_kills
from support import dose, kill_process, start_time, wait_until

SECONDS = float(os.environ.get("CORTEX_SOAK_S", dose(12, 7200)))
LONG_S = 120  # a life that is looked at
SAMPLES = 5
MASTER_EVERY = 60  # rounds: in between it lives for long


def measure(pid):
    """Resident bytes, descriptors and threads of a process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file)
        return (int(status["VmRSS"].split()[0]) << 10, len(os.listdir(f"/proc/{pid}/fd")),
                int(status["Threads"]))
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return None


def tree_size(folder):
    return sum(os.path.getsize(os.path.join(path, name))
               for path, _, names in os.walk(folder) for name in names
               if not name.endswith(".log") and os.path.exists(os.path.join(path, name)))


class Soak(test_kills.Kills):
    batches = 600
    test_the_master = test_an_agent = test_a_runner = test_all_at_once = None

    def pause_one(self):
        pid = self.moment.choice(self.cluster.processes())["pid"]
        kill_process(pid, signal.SIGSTOP)
        time.sleep(self.moment.choice((0.1, 0.9, 2.5)))
        kill_process(pid, signal.SIGCONT)
        self.wait_all_at_work()

    def drain_an_agent(self):
        pid = self.cluster.daemon("agent", self.moment.randrange(2))["pid"]
        kill_process(pid, signal.SIGTERM)
        self.cluster.restart()
        self.wait_all_at_work()

    def note(self, lives):
        for row in self.cluster.processes():
            sample = measure(row["pid"])
            if sample:
                life = (row["role"], row["pid"], start_time(row["pid"]))
                lives.setdefault(life, []).append((time.monotonic(), *sample))

    def assert_flat(self, lives):
        """Of each long life: the median of its last samples against the first."""
        looked_at = 0
        for (role, pid, _), samples in lives.items():
            if samples[-1][0] - samples[0][0] < LONG_S or len(samples) < 4 * SAMPLES:
                continue
            looked_at += 1
            early = samples[SAMPLES:2 * SAMPLES]  # it has begun, and is at work
            late = samples[-SAMPLES:]
            first, last = ([statistics.median(one[i] for one in part) for i in (1, 2, 3)]
                           for part in (early, late))
            lasted = samples[-1][0] - samples[0][0]
            print(f"{role}: {lasted:.0f} s, {first[0] / 1e6:.1f} -> {last[0] / 1e6:.1f} MB, "
                  f"{first[1]:.0f} -> {last[1]:.0f} descriptors, "
                  f"{first[2]:.0f} -> {last[2]:.0f} threads")
            self.assertLess(last[0], 1.5 * first[0] + (16 << 20), f"memory of {role} {pid}")
            self.assertLess(last[1], first[1] + 24, f"descriptors of {role} {pid}")
            self.assertLess(last[2], first[2] + 8, f"threads of {role} {pid}")
        return looked_at

    def test_hours_of_faults_leave_nothing_behind(self):
        faults = (self.kill_a_runner, self.pause_one, self.kill_an_agent, self.kill_a_runner,
                  self.pause_one, self.drain_an_agent)
        self.job, self.moment, lives, rounds = None, random.Random(21), {}, 0
        self.ensure_load()
        folders = [os.path.join(self.cluster.state, f"agent-{number}") for number in (1, 2)]
        before = sum(map(tree_size, folders))
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            self.ensure_load()
            self.killed = time.monotonic()
            faults[rounds % len(faults)]()
            if rounds % MASTER_EVERY == MASTER_EVERY - 1:
                self.kill_the_master()
            rounds += 1
            self.note(lives)
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        wait_until(lambda: sum(map(tree_size, folders)) < 2 * before + (4 << 20),
                   "the agents' folders are as they were", 30)
        looked_at = self.assert_flat(lives)
        if SECONDS > 3 * LONG_S:
            self.assertGreater(looked_at, 1)  # the bridge lives all the time
        self.assert_exact(f"soak: faults in rotation for {SECONDS:.0f} s", rounds)
        self.cluster.restart()


if __name__ == "__main__":
    unittest.main(verbosity=2)
