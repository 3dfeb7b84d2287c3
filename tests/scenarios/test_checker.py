#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_checker.py - is a loss, a double or a forgotten error seen by the checker?

What a real run left behind is right, and wrong once something in it is changed. Then
masters with a mistake built in (tests/support/faulty_master.c) run jobs, and the same
is done to them as to the real one.
"""

import copy
import os
import signal
import unittest

from ledger import Ledgered, check
from support import BIN, children_of, kill_process, wait_until

FAULTY = os.path.join(os.path.dirname(BIN), "tests", "faulty_master")


class Changed(Ledgered):
    """Two jobs, of which one has a failed batch; then one thing is changed."""

    @classmethod
    def prepare(cls):
        super().prepare()
        self = cls()
        self.good = self.submit(10, batch_size=3, key="once")
        self.wait_ended(self.good)
        self.bad = self.submit(9, batch_size=2, bad=[5])
        self.wait_ended(self.bad)
        self.cluster.cortex("cluster", "down", "--state-dir", self.cluster.state)
        cls.tables = check.read_export(self.export_of(self.master_folder()))
        cls.outputs = {
            entry["job_id"]: check.folder_results(entry["results"])
            for entry in cls.ledger["jobs"]
        }

    def verdict(self, change=lambda tables, outputs: None):
        tables, outputs = copy.deepcopy(self.tables), copy.deepcopy(self.outputs)
        change(tables, outputs)
        return check.check(self.ledger, tables, lambda entry: outputs[entry["job_id"]])

    def assert_seen(self, rule, change):
        verdict = self.verdict(change)
        faults = verdict.faults
        self.assertTrue(any(one.startswith(rule + ":") for one in faults), faults)
        return verdict

    def one_output(self, outputs):
        job = outputs[self.ledger["jobs"][0]["job_id"]]
        return job, sorted(job)[0]

    def test_what_a_run_left_behind_is_right(self):
        self.assertEqual(self.verdict().faults, [])
        failed = [row for row in self.tables["batch"] if row["state"] == check.FAILED]
        self.assertEqual(len(failed), 1)

    def test_a_lost_output(self):
        def change(_, outputs):
            job, name = self.one_output(outputs)
            gone.extend(job.pop(name))
        gone = []
        self.assertEqual(self.assert_seen("exact", change).lost, len(gone))
        self.assertTrue(gone)

    def test_an_output_of_no_batch(self):
        def change(_, outputs):
            job, name = self.one_output(outputs)
            job["0" * 8 + name[8:]] = job[name]
        self.assert_seen("exact", change)

    def test_outputs_that_changed_places(self):
        def change(_, outputs):
            job, name = self.one_output(outputs)
            other = sorted(job)[1]
            job[name], job[other] = job[other], job[name]
        self.assert_seen("function", change)

    def test_an_output_with_an_item_twice(self):
        def change(_, outputs):
            job, name = self.one_output(outputs)
            job[name] = job[name] + job[name][:1]
        self.assertEqual(self.assert_seen("exact", change).doubled, 1)

    def test_a_batch_both_answered_and_failed(self):
        def change(tables, outputs):
            row = next(one for one in tables["batch"] if one["state"] == check.FAILED)
            job = self.ledger["jobs"][1]["job_id"]
            name = check.batch_name(row["job_id"], row["idx"])
            size = self.ledger["jobs"][1]["batch_size"]
            items = self.ledger["jobs"][1]["items"]
            outputs[job][name] = check.square(items[row["idx"] * size:][:size])
        self.assert_seen("exact", change)

    def test_an_error_that_was_dropped(self):
        def forget_row(tables, _):
            tables["batch"] = [one for one in tables["batch"] if one["state"] != check.FAILED]

        def forget_text(tables, _):
            for row in tables["batch"]:
                row["error"] = ""

        def forget_event(tables, _):
            tables["event"] = [one for one in tables["event"] if one["subject"] != "batch"]
        self.assert_seen("exact", forget_row)
        self.assert_seen("exact", forget_text)
        self.assert_seen("events", forget_event)

    def test_a_submission_that_was_acknowledged_and_is_gone(self):
        def forget_job(tables, _):
            tables["job"] = tables["job"][1:]

        def forget_key(tables, _):
            tables["submission_key"] = []
        self.assert_seen("acknowledged", forget_job)
        self.assert_seen("acknowledged", forget_key)

    def test_a_count_that_is_off(self):
        def change(tables, _):
            tables["job"][0]["succeeded"] += 1
        self.assert_seen("counts", change)

    def test_a_segment_that_is_missing(self):
        def change(tables, _):
            tables["segment"] = tables["segment"][1:]
        self.assert_seen("counts", change)

    def test_any_event_that_is_missing(self):
        for at in range(len(self.tables["event"]) - 1):
            def change(tables, _):
                del tables["event"][at]
            self.assert_seen("events", change)

    def test_a_state_that_no_event_tells_of(self):
        def another_state(tables, _):
            tables["job"][0]["state"] = 9

        def another_worker(tables, _):
            tables["worker"].append({"worker_id": 77, "job_id": 1, "agent_id": ""})

        def another_version(tables, _):
            tables["api"][0]["api_id"] = "another"
        for change in (another_state, another_worker, another_version):
            self.assert_seen("events", change)


class Planted(Ledgered):
    """A mistake in the master; the same test with the real one finds nothing."""

    agents = 2
    agent_cpu = 1
    master_program = FAULTY
    master_options = ("--lease", "2s", "--agent-timeout", "60s")

    def setUp(self):
        # A cluster each: what one mistake leaves behind is not to blame on another.
        self.setUpCluster()

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def setUpCluster(self):
        cls = type(self)
        plant = os.path.join("/tmp", f"cortex-plant-{os.getpid()}")
        cls.env = {"CORTEX_PLANT": plant}
        self.plant_path = plant
        super().setUpClass()
        self.addCleanup(cls.cleanup)
        self.addCleanup(lambda: os.path.exists(plant) and os.unlink(plant))

    def plant(self, what):
        with open(self.plant_path, "w", encoding="utf-8") as file:
            file.write(what)

    def unplant(self):
        os.unlink(self.plant_path)

    def lose_the_master_behind_a_submission(self):
        self.submit(4, key="acknowledged")
        master = self.cluster.kill("master")
        self.assertTrue(master)
        if os.path.exists(self.plant_path):
            self.unplant()
        self.cluster.restart()

    def fail_a_batch(self):
        self.wait_ended(self.submit(6, bad=[3]))

    def bring_a_late_result(self):
        """An agent is stopped beyond its lease; another does its batch meanwhile."""
        self.gate.hold("predict")
        job = self.submit(24, workers=2, sleep_s=0.25)
        self.wait_predicted(job, 2)
        agent = self.cluster.daemon("agent", 0)["pid"]
        first, second = self.predicted(job)[:2]
        held = first if first[1] in children_of(agent) else second
        kill_process(agent, signal.SIGSTOP)
        self.gate.release("predict")
        wait_until(
            lambda: [one[0] for one in self.predicted(job)].count(held[0]) > 1
            and self.predicted(job)[-1][0] != held[0],
            "the batch was done by the other agent",
        )
        kill_process(agent, signal.SIGCONT)
        self.wait_ended(job)

    def test_the_real_master_is_right_in_all_of_them(self):
        self.lose_the_master_behind_a_submission()
        for entry in self.ledger["jobs"]:
            self.wait_ended(entry["job_id"])
        self.fail_a_batch()
        self.bring_a_late_result()
        self.assert_exact()

    def assert_seen(self, *rules):
        faults = self.settle().faults
        for rule in rules:
            self.assertTrue(any(one.startswith(rule + ":") for one in faults), faults)

    def test_a_reply_before_the_commit(self):
        self.plant("early-reply")
        self.lose_the_master_behind_a_submission()
        self.assert_seen("acknowledged")

    def test_an_error_that_is_not_recorded(self):
        self.plant("no-error")
        self.fail_a_batch()
        self.assert_seen("exact", "counts")

    def test_a_result_counted_without_its_lease(self):
        self.plant("no-lease")
        self.bring_a_late_result()
        self.assert_seen("counts")


if __name__ == "__main__":
    unittest.main(verbosity=2)
