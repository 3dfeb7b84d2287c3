#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_soak.py - does anything grow while faults come and go?

Job after job, and in rotation: a runner is killed, an agent; one of them or the master
stands still; an agent is told to leave; links to the master are cut, slow or parted; a
wall clock is set forward. In the first quarter the master is renewed, too: it is killed,
all are killed at once, its disk is full. The master that is there then lives to the end.
Meanwhile memory, descriptors and threads of each process are noted; those of one that
lived for long are at its end what they were after its start. The folders of agents stay
as they are. CORTEX_SOAK_S is the duration.
"""

import os
import random
import signal
import statistics
import time
import unittest

import test_clocks
import test_kills
from relayed import Relayed
from small_disk import SmallDisk
from support import dose, kill_process, start_time, wait_until

SECONDS = float(os.environ.get("CORTEX_SOAK_S", dose(12, 7200)))
LONG_S = 120  # a life that is looked at
SAMPLES = 5
SPARE_DESCRIPTORS = 24  # connections come and go
SQLITE_CACHE = 64 << 20  # STORE_CACHE_KIB
RENEWALS = 0.25  # of the time


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


@unittest.skipUnless(os.geteuid() == 0, "mounting a file system needs root")
class Soak(SmallDisk, Relayed, test_clocks.Clocks, test_kills.Kills):
    batches = 600
    disk_size = "512M"
    test_the_master = test_an_agent = test_a_runner = test_all_at_once = None
    test_jumps_of_wall_clocks_expire_nothing = None

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

    def part(self):
        """Cuts, delays or parts the links between agents and master."""
        how = self.moment.choice(("cut", "slow", "up", "down"))
        if how == "cut":
            self.relay.cut()
        elif how == "slow":
            self.relay.delay_s = 0.1
        else:
            self.relay.held = {how}
        time.sleep(self.moment.choice((0.2, 1.5, 3)))
        self.relay.heal()
        self.wait_all_at_work()

    def fill_the_disk(self):
        self.fill()
        time.sleep(1)
        self.free()
        self.wait_taken()
        self.wait_all_at_work()

    def set_a_clock_forward(self):
        """By up to a minute."""
        name = self.moment.choice(sorted(self.ahead_s))
        self.ahead_s[name] += self.moment.randrange(1, 60)
        self.set_clock(name, self.ahead_s[name])
        self.wait_all_at_work()

    def note(self, lives):
        for row in self.cluster.processes():
            sample = measure(row["pid"])
            if sample:
                life = (row["role"], row["pid"], start_time(row["pid"]))
                lives.setdefault(life, []).append((time.monotonic(), *sample))

    def cache_size(self, role):
        """What SQLite may have come to keep of the database's pages."""
        if role != "master":
            return 0
        database = os.path.getsize(os.path.join(self.master_folder(), "state.db"))
        print(f"the database has {database / 1e6:.1f} MB")
        return 1.1 * min(database, SQLITE_CACHE)

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
            self.assertLess(last[0], 1.5 * first[0] + (16 << 20) + self.cache_size(role),
                            f"memory of {role} {pid}")
            self.assertLess(last[1], first[1] + SPARE_DESCRIPTORS, f"descriptors of {role} {pid}")
            self.assertLess(last[2], first[2] + 8, f"threads of {role} {pid}")
        return looked_at

    def test_hours_of_faults_leave_nothing_behind(self):
        faults = (self.kill_a_runner, self.pause_one, self.kill_an_agent, self.kill_a_runner,
                  self.part, self.drain_an_agent, self.set_a_clock_forward)
        renewals = (self.fill_the_disk, self.kill_the_master, self.kill_all)
        self.ahead_s = dict.fromkeys(("master", "agent-1", "agent-2"), 0)
        self.job, self.moment, lives, rounds = None, random.Random(21), {}, 0
        self.ensure_load()
        folders = [os.path.join(self.cluster.state, f"agent-{number}") for number in (1, 2)]
        before = sum(map(tree_size, folders))
        begins = time.monotonic()
        ends = begins + SECONDS
        while time.monotonic() < ends:
            self.ensure_load()
            self.killed = time.monotonic()
            faults[rounds % len(faults)]()
            if self.killed < begins + RENEWALS * SECONDS:
                renewals[rounds % len(renewals)]()
            rounds += 1
            self.note(lives)
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        wait_until(lambda: sum(map(tree_size, folders)) < 2 * before + (4 << 20),
                   "the agents' folders are as they were", 30)
        self.assert_exact(f"soak: faults in rotation for {SECONDS:.0f} s", rounds)
        self.cluster.restart()
        looked_at = self.assert_flat(lives)
        if SECONDS > 3 * LONG_S:
            self.assertGreater(looked_at, 1)  # the bridge and the last master


if __name__ == "__main__":
    if not os.path.exists(test_clocks.LIBRARY):
        print("skipped: a sanitized program takes no other clock")
        raise SystemExit(77)
    unittest.main(verbosity=2)
