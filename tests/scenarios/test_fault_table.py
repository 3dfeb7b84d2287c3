#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_fault_table.py - does the table of faults stand before ctest's closing lines?"""

import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "fault_table.py")
sys.path.insert(0, os.path.dirname(SCRIPT))

from fault_table import add_row, read_rows  # noqa: E402

CTEST = """\
      Start  1: unit/test_id
1/1 Test  #1: unit/test_id .....................   Passed    0.02 sec

100% tests passed, 0 tests failed out of 1

Total Test time (real) =   0.05 sec
"""


class FaultTable(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        before = os.environ.get("CORTEX_FAULT_TABLE")
        self.addCleanup(self.restore, before)
        os.environ["CORTEX_FAULT_TABLE"] = self.folder

    def restore(self, before):
        os.environ.pop("CORTEX_FAULT_TABLE")
        if before:
            os.environ["CORTEX_FAULT_TABLE"] = before

    def filtered(self):
        done = subprocess.run([SCRIPT, self.folder], input=CTEST, capture_output=True,
                              text=True, check=True)
        return done.stdout

    def test_the_table_stands_before_the_closing_lines(self):
        add_row("a cut", 3, 0, 0, 1.25)
        add_row("a kill", 7, 1, 2)
        before, closing = self.filtered().split("100% tests passed")
        self.assertTrue(CTEST.startswith(before[:before.index("fault")]))
        self.assertTrue(CTEST.endswith("100% tests passed" + closing))
        words = [line.split() for line in before.splitlines()]
        self.assertIn(["a", "cut", "3", "0", "0", "1.25", "s"], words)
        self.assertIn(["a", "kill", "7", "1", "2"], words)

    def test_rows_of_one_fault_are_added_up(self):
        add_row("a cut", 3, 0, 1)
        add_row("a cut", 4, 2, 0, 0.5)
        add_row("a cut", 1, 0, 0, 0.25)
        (row,) = read_rows(self.folder)
        self.assertEqual((row["dose"], row["lost"], row["doubled"], row["longest_s"]),
                         (8, 2, 1, 0.5))

    def test_without_rows_it_says_so(self):
        self.assertIn("\nNo test that ran plants faults.\n\n100%", self.filtered())


if __name__ == "__main__":
    unittest.main(verbosity=2)
