#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check.py - did it lose nothing, double nothing, and record what it did?

usage: check.py LEDGER EXPORT

Shares no code with the system. It reads what a client knows (the ledger: submissions
that were acknowledged, with their items), what was stored (the results) and what the
master wrote down (`cortex-master --export`), and says what does not fit:

  acknowledged  every acknowledged submission exists, under its key
  exact         the items are those of the outputs and of the recorded errors, none twice
  function      each output is the function of its batch's items
  counts        a job's counts are those of its batches' rows, and add up to its total
  events        folding the events gives the tables

The ledger is a JSON object: {"jobs": [{"job_id": text, "api": text, "key": text or
null, "items": [number], "batch_size": number, "results": folder, "ended": bool}]}. The
function is the square of each item. "ended": the client saw it end; false: it was under
way, and only what is there is judged. The exit status is 1 if something is wrong; each
line names the rule.
"""

import collections
import hashlib
import json
import os
import re
import sys

SUCCEEDED, FAILED = 3, 4  # of a batch's row
STATES = {
    1: "submitted",
    2: "running",
    3: "succeeded",
    4: "completed with failures",
    5: "failed while enqueuing",
    6: "worker error",
    7: "out of memory",
    8: "timed out",
    9: "stopped",
    10: "unexpected error",
}
COMPLETE = (3, 4)  # the states of a job whose every batch is done
RESULT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")


def square(items):
    return [item * item for item in items]


def batch_name(job_id, index):
    """The UUID (version 8) of a batch, as common/id.h describes it."""

    def pair(number, use):
        data = job_id.to_bytes(8, "little") + number.to_bytes(8, "little") + use
        return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest()[:8], "little")

    tag = pair(index, b"t") & ((1 << 58) - 1)
    body = (index ^ pair(tag, b"m")).to_bytes(8, "little")
    tags = tag.to_bytes(8, "little")
    raw = tags[:6] + bytes([0x80 | (tags[6] & 0x0F), body[0], 0x80 | (tag >> 52)]) + body[1:]
    text = raw.hex()
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])


def folder_results(folder):
    """Batch name -> what is stored for it, of a job's folder of results."""
    found = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if RESULT.fullmatch(name):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found[name[:-5]] = json.load(file)
    return found


def read_export(lines):
    """Table -> its rows."""
    tables = collections.defaultdict(list)
    for line in lines:
        row = json.loads(line)
        tables[row.pop("table")].append(row)
    return tables


class Check:
    def __init__(self, ledger, tables, results):
        self.ledger = ledger
        self.tables = tables
        self.results = results  # entry of the ledger -> {batch name: output}
        self.faults = []
        self.lost = 0  # submissions and items
        self.doubled = 0  # items, those of nowhere among them

    def fault(self, rule, text):
        self.faults.append(f"{rule}: {text}")

    def run(self):
        self.jobs = {row["job_id"]: row for row in self.tables["job"]}
        self.batches = collections.defaultdict(dict)
        for row in self.tables["batch"]:
            self.batches[row["job_id"]][row["idx"]] = row
        for entry in self.ledger["jobs"]:
            self.check_submission(entry)
        for row in self.jobs.values():
            self.check_counts(row)
        self.fold_jobs()
        self.fold_batches()
        self.fold_workers()
        self.fold_apis()
        return self

    # What the client knows against what is there

    def check_submission(self, entry):
        job_id = int(entry["job_id"], 16)
        row = self.jobs.get(job_id)
        if not row or row["api_name"] != entry["api"]:
            self.fault("acknowledged", f"job {entry['job_id']} does not exist")
            self.lost += 1
            return
        if entry.get("key"):
            keys = [one["job_id"] for one in self.tables["submission_key"]
                    if (one["api_name"], one["key"]) == (entry["api"], entry["key"])]
            if keys != [job_id]:
                self.fault("acknowledged", f"the key {entry['key']} stands for {keys}")
        if entry.get("ended", True) and not row["end_ns"]:
            self.fault("exact", f"job {entry['job_id']} was seen to end and has not ended")
        self.check_items(entry, row, self.results(entry))

    def check_items(self, entry, row, outputs):
        job, size = entry["job_id"], entry["batch_size"]
        items = entry["items"]
        left = dict(outputs)
        count = -(-len(items) // size)
        rows = self.batches[row["job_id"]]
        if row["state"] in COMPLETE and row["total"] != count:
            self.fault("exact", f"job {job} has {row['total']} batches of {count}")
        answered, failed = [], []
        lost = collections.Counter()
        for index in range(count):
            mine = items[index * size:(index + 1) * size]
            name = batch_name(row["job_id"], index)
            batch = rows.get(index, {"state": 0})
            output = left.pop(name, None)
            if batch["state"] == SUCCEEDED and output is None:
                self.fault("exact", f"batch {index} of job {job} succeeded without an output")
                lost.update(square(mine))
            if output is not None and output != square(mine):
                self.fault("function", f"batch {index} of job {job}: {mine} gave {output}")
            if batch["state"] == FAILED:
                failed += square(mine)
                if not batch["error"]:
                    self.fault("exact", f"batch {index} of job {job} failed without an error")
            if output is not None:
                answered += output if isinstance(output, list) else [output]
        for name in left:
            self.fault("exact", f"job {job} has an output of no batch: {name}")
        if row["state"] in COMPLETE:
            want = collections.Counter(square(items))
            got = collections.Counter(answered + failed)
            lost |= want - got
            for item in (want - got).keys():
                self.fault("exact", f"job {job} lost the item of square {item}")
            for item in (got - want).keys():
                self.fault("exact", f"job {job} doubled or invented {item}")
            self.doubled += (got - want).total()
        self.lost += lost.total()

    def check_counts(self, row):
        job = f"{row['job_id']:016x}"
        states = collections.Counter(one["state"] for one in self.batches[row["job_id"]].values())
        stretches = [one for one in self.tables["segment"] if one["job_id"] == row["job_id"]]
        at = 0
        for one in stretches:
            if one["first_index"] != at:
                self.fault("counts", f"job {job} misses batches before {one['first_index']}")
            at = one["first_index"] + one["batches"]
        if any(index >= at for index in self.batches[row["job_id"]]):
            self.fault("counts", f"job {job} has a batch that was never enqueued")
        if row["end_ns"]:
            told = (row["succeeded"], row["failed"])
            if told != (states[SUCCEEDED], states[FAILED]):
                self.fault("counts", f"job {job} tells {told}, its batches {dict(states)}")
        if row["state"] in COMPLETE and row["succeeded"] + row["failed"] != row["total"]:
            self.fault("counts", f"job {job} does not add up to {row['total']}")
        if row["state"] == 3 and row["failed"] or row["state"] == 4 and not row["failed"]:
            self.fault("counts", f"job {job} is {STATES[row['state']]}, {row['failed']} failed")

    # The events against the tables

    def events(self, subject):
        return [one for one in self.tables["event"] if one["subject"] == subject]

    def fold_jobs(self):
        states, terminal = {}, set(STATES.values()) - {"submitted", "running"}
        ids = [one["event_id"] for one in self.tables["event"]]
        if ids != list(range(1, len(ids) + 1)):
            self.fault("events", "some are missing: their numbers have gaps")
        for event in self.events("job"):
            name, action = event["name"], event["action"]
            before = states.get(name)
            if action == "on_job_complete":
                continue
            if before in terminal or (before is None) != (action == "submitted"):
                self.fault("events", f"job {name} went from {before} to {action}")
            if action not in STATES.values():
                self.fault("events", f"job {name} went to {action!r}")
            states[name] = action
        forgotten = any(one["action"] == "deleted" for one in self.events("api"))
        rows = {f"{job_id:016x}": STATES[row["state"]] for job_id, row in self.jobs.items()}
        for name in states.keys() | rows.keys():
            if states.get(name) != rows.get(name) and not (forgotten and name not in rows):
                self.fault("events", f"job {name}: the events say {states.get(name)},"
                           f" the table {rows.get(name)}")

    def fold_batches(self):
        """Each attempt that failed, or whose worker died, is an event."""
        told = collections.Counter(one["name"] for one in self.events("batch"))
        rows = collections.Counter()
        for job_id, batches in self.batches.items():
            for index, row in batches.items():
                count = row["failures"] + row["deaths"]
                if count:
                    rows[f"{job_id:016x}/{index}"] = count
        alive = {f"{job_id:016x}" for job_id in self.jobs}
        for name in told.keys() | rows.keys():
            if told[name] != rows[name] and name.split("/")[0] in alive:
                self.fault("events", f"batch {name}: {told[name]} failed attempts by the"
                           f" events, {rows[name]} by the table")

    def fold_workers(self):
        there = set()
        for event in self.events("worker"):
            name = event["name"]
            if (event["action"] == "placed") == (name in there):
                self.fault("events", f"worker {name} was {event['action']} twice")
            (there.add if event["action"] == "placed" else there.discard)(name)
        rows = {f"{one['worker_id'] & (2**64 - 1):016x}" for one in self.tables["worker"]}
        for name in there ^ rows:
            self.fault("events", f"worker {name} is not in both the events and the table")

    def fold_apis(self):
        current = {}
        for event in self.events("api"):
            if event["action"] == "deleted":
                current.pop(event["name"], None)
            else:
                current[event["name"]] = event["detail"]
        rows = {one["name"]: one["api_id"] for one in self.tables["api"]}
        if current != rows:
            self.fault("events", f"apis: the events say {current}, the table {rows}")


def check(ledger, tables, results=lambda entry: folder_results(entry["results"])):
    """A Check that has run: its `faults` are sentences, none is good."""
    return Check(ledger, tables, results).run()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        ledger = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        tables = read_export(file)
    faults = check(ledger, tables).faults
    print("\n".join(faults) or f"{len(ledger['jobs'])} jobs: nothing lost, nothing doubled")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
