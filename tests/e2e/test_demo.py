#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_demo.py - does the README's run command show what it promises, and clean up?"""

import json
import os
import re
import signal
import subprocess
import time
import unittest

from support import PATIENCE_S, ROOT, command_line, pids, wait_until

DEMO = os.path.join(ROOT, "deploy", "demo")


@unittest.skipIf(os.environ.get("CORTEX_SANITIZED"), "the demo builds and runs the release")
class Demo(unittest.TestCase):
    def setUp(self):
        self.before = self.daemons()

    def daemons(self):
        """Our daemons that run out of the release build."""
        folder = os.path.join(ROOT, "build", "release", "bin")
        return {pid for pid in pids() if command_line(pid).startswith(folder)}

    def test_it_shows_what_became_of_real_digits(self):
        done = subprocess.run([DEMO], capture_output=True, text=True, timeout=6 * PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("created digits (BatchAPI)\n", done.stdout)
        self.assertIn("1140 of 1200 images right, accuracy 95.0 %", done.stdout)
        folder = re.search("the results are in (/.*)", done.stdout).group(1)
        with open(os.path.join(folder, "summary.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["images"], 1200)
        self.assertIn("cortex cluster up", done.stdout)
        self.assertEqual(self.daemons(), self.before)

    def test_interrupted_it_leaves_nothing_running(self):
        demo = subprocess.Popen(
            [DEMO], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        wait_until(lambda: self.daemons() - self.before or demo.poll() is not None, "a daemon runs")
        time.sleep(0.2)
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=PATIENCE_S)
        self.assertNotEqual(demo.returncode, 0)
        self.assertEqual(self.daemons(), self.before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
