#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_no_memory.py - what if an allocation fails?

Programs end with the sentence "out of memory" where they cannot go on without, as
common/buffer.h has it, or refuse the one request; what libraries allocate counts too. No
other death, and no hang; started anew, a daemon goes on with nothing lost or doubled.
"""

import os
import subprocess
import time
import unittest

from nth import Medic, Struck
from scenario import Scenario
from support import BIN, dose

SENTENCE = "out of memory"
WORKS = 3  # until an allocation has failed: clients ask more or less often


@unittest.skipIf(os.environ.get("CORTEX_SANITIZED"), "a sanitizer cannot be preloaded over")
class Daemon(Struck):
    def said(self):
        """How often the victim said its last words."""
        with open(self.cluster.daemon(self.victim)["log"], encoding="utf-8") as file:
            return file.read().count(SENTENCE)

    def sweep(self, points):
        self.nth.arm()
        self.work(0)
        total = self.nth.get("allocations")
        self.assertGreater(total, 200)
        deaths = []
        struck = 0
        for number in range(1, points + 1):
            with Medic(self.cluster, self.nth) as medic:
                self.nth.arm(fail_at=total * number // (points + 1) + number % 7)
                for _ in range(WORKS):
                    self.work(number)
                    if self.nth.get("struck"):
                        break
                struck += self.nth.get("struck")
                self.nth.arm()
            deaths += medic.deaths
        self.assertLessEqual(set(deaths), {0, 6}, "of which signals it died")
        self.assertGreaterEqual(self.said(), deaths.count(6))
        self.assertGreater(struck, 0)
        self.assert_exact(f"an allocation of the {self.victim} fails", points)


class Master(Daemon):
    victim = "master"

    def test_a_master_without_memory_ends_with_a_sentence_or_refuses(self):
        self.sweep(dose(3, 300))


class Agent(Daemon):
    victim = "agent"

    def test_an_agent_without_memory_ends_with_a_sentence_or_goes_on(self):
        self.sweep(dose(2, 200))


class Bridge(Daemon):
    victim = "bridge"

    def test_a_bridge_without_memory_ends_with_a_sentence_or_refuses(self):
        self.sweep(dose(2, 200))


@unittest.skipIf(os.environ.get("CORTEX_SANITIZED"), "a sanitizer cannot be preloaded over")
class Client(Struck):
    victim = "client"

    def run_cli(self, *arguments):
        return subprocess.run(
            [os.path.join(BIN, "cortex"), *arguments, "--env", "aws"],
            env={**self.cluster.env, **self.nth.environment()}, cwd=self.project,
            capture_output=True, text=True, timeout=60,
        )

    def test_a_client_without_memory_says_so(self):
        points = dose(12, 1000)
        self.project = os.path.join(self.cluster.folder, "squares")
        for arguments in (("get",), ("deploy",), ("get", "squares")):
            self.nth.arm()
            self.assertEqual(self.run_cli(*arguments).returncode, 0)
            total = self.nth.get("allocations")
            for number in range(points):
                self.nth.arm(fail_at=1 + total * number // points)
                done = self.run_cli(*arguments)
                where = f"{arguments}, allocation {self.nth.get('fail_at')}: {done}"
                self.assertIn(done.returncode, range(-6, 128), where)
                if done.returncode == -6:
                    self.assertIn(SENTENCE, done.stderr, where)
                elif done.returncode != 0:
                    self.assertNotEqual(done.stderr, "", where)


if __name__ == "__main__":
    unittest.main(verbosity=2)
