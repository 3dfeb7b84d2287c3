#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fault_table.py - which faults were planted, and what was lost?

usage: ctest ... | fault_table.py FOLDER

A test that plants faults writes what came of them with add_row(): a JSON object in a file
of its own in the folder that CORTEX_FAULT_TABLE names (C programs: fault_row.h). As a
filter this passes ctest's output on and prints the table of all rows before ctest's
closing lines. Rows of one fault are added up, whichever build they come from.
"""

import json
import os
import re
import sys
import tempfile

CLOSING = re.compile(r"\d+% tests passed, ")


def add_row(fault, dose, lost, doubled, longest_s=None):
    """`lost`, `doubled`: counted, not assumed. `longest_s`: until all was well again."""
    row = {"fault": fault, "dose": dose, "lost": lost, "doubled": doubled,
           "longest_s": longest_s}
    print("\n" + line_of(row))
    folder = os.environ.get("CORTEX_FAULT_TABLE")
    if folder:
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix="row-", delete=False) as file:
            json.dump(row, file)


def read_rows(folder):
    """One row for each fault, in the order of their names."""
    rows = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            row = json.load(file)
        sum_row = rows.setdefault(row["fault"], {**row, "dose": 0, "lost": 0, "doubled": 0})
        for count in ("dose", "lost", "doubled"):
            sum_row[count] += row[count]
        times = [one["longest_s"] for one in (row, sum_row) if one["longest_s"] is not None]
        sum_row["longest_s"] = max(times, default=None)
    return [rows[fault] for fault in sorted(rows)]


def line_of(row):
    longest = "" if row["longest_s"] is None else f"{row['longest_s']:.2f} s"
    return (f"{row['fault']:<72} {row['dose']:>7} {row['lost']:>5} {row['doubled']:>8}"
            f" {longest:>17}")


def table(rows):
    head = f"{'fault':<72} {'dose':>7} {'lost':>5} {'doubled':>8} {'longest recovery':>17}"
    return "\n".join([head, *map(line_of, rows)])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    shown = False
    for line in sys.stdin:
        if CLOSING.match(line) and not shown:
            rows = read_rows(sys.argv[1])
            print(f"{table(rows)}\n" if rows else "No test that ran plants faults.\n")
            shown = True
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
