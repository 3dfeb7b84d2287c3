# SPDX-License-Identifier: Apache-2.0
"""test_predictors.py - what becomes of a job whose predictor is bad, and of the others

Every file of tests/corpus/predictors becomes an api and a job on one cluster, several at
a time; tests/unit/test_daemon_predictors.c says what their comments mean. Beside them
and after them a job that does nothing wrong has to come out exact.
"""

import concurrent.futures
import os
import re
import unittest

from scenario import Scenario
from support import ROOT, dose, wait_until, write_project

CORPUS = os.path.join(ROOT, "tests", "corpus", "predictors")
AT_A_TIME = 6


class Case:
    """A file of the corpus and what it says of itself."""

    def __init__(self, name):
        self.name = name
        with open(os.path.join(CORPUS, name + ".py"), encoding="utf-8") as file:
            self.text = file.read()
        self.api = name.replace("_", "-")[:42].rstrip("-")
        self.worker = self.one("worker")
        self.outcomes = self.one("outcomes").split()
        self.stop = self.one("stop")
        self.memory = self.one("memory")
        self.needs_user = "\n# root\n" in self.text  # would reach the local agent

    def all(self, key):
        return re.findall(rf"^# {key}: (.*)$", self.text, re.M)

    def one(self, key):
        return (self.all(key) or [None])[0]

    def statuses(self):
        """How the job may end."""
        if self.stop:
            return {"status_stopped"}
        if self.worker == "exited":
            failed = "2" in self.outcomes
            return {"status_completed_with_failures" if failed else "status_succeeded"}
        if self.worker == "memory":
            # Killed three times over; or its batch was given up and the others went on.
            return {"status_worker_oom", "status_completed_with_failures"}
        if self.worker == "died" and "callback" not in self.name:
            return {"status_worker_error", "status_completed_with_failures"}
        return {"status_worker_error"}


def cases():
    found = [Case(name[:-3]) for name in sorted(os.listdir(CORPUS)) if name.endswith(".py")]
    return [case for case in found if not case.needs_user]


class Predictors(Scenario):
    worker_cpu = "100m"

    def run_case(self, case):
        memory = f"    mem: {int(case.memory) >> 20}Mi\n" if case.memory else ""
        project = os.path.join(self.cluster.folder, case.name)
        yaml = (
            f"- name: {case.api}\n  kind: BatchAPI\n"
            f"  predictor:\n    type: python\n    path: predictor.py\n"
            f"  compute:\n    cpu: 100m\n{memory}"
        )
        write_project(project, case.text, **{"cortex.yaml": yaml})
        self.cluster.deploy(project)
        items = {"items": list(range(len(case.outcomes))), "batch_size": 1}
        config = {"dest_s3_dir": f"file://{self.results}"}
        job = self.cluster.submit(
            case.api, {"workers": 1, "item_list": items, "config": config}
        )
        if case.stop:
            wait_until(lambda: case.stop in self.cluster.log(case.api, job), case.name)
            self.cluster.http("DELETE", f"/{case.api}/{job}")
        status = self.cluster.wait_job(case.api, job)
        return status, self.wait_log(case, job)

    def wait_log(self, case, job):
        """The log, when it is whole: what a worker says at its end may come last."""

        def whole():
            log = self.cluster.log(case.api, job)
            return log if all(text in log for text in case.all("log")) else None

        try:
            return wait_until(whole, f"the log of {case.name} is whole", 30)
        except AssertionError:
            return self.cluster.log(case.api, job)

    def check_case(self, case, status, log):
        self.assertIn(status["status"], case.statuses(), f"{status}\n{log[-3000:]}")
        for text in case.all("log"):
            self.assertIn(text, log)
        self.assertLessEqual(len(log), 5 * int(case.one("most log") or 100000))
        if status["status"] == "status_completed_with_failures":
            failed = max(1, case.outcomes.count("2"))
            self.assertEqual(status["batch_metrics"]["failed"], failed)

    def test_bad_predictors_end_as_they_should_beside_a_good_job(self):
        good = self.submit(400, sleep_s=0.02)
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            runs = {case: pool.submit(self.run_case, case) for case in cases()}
        self.assertGreaterEqual(len(runs), 40)
        for case, run in runs.items():
            with self.subTest(case.name):
                self.check_case(case, *run.result())
        self.check_exact(good, 400, once=True)
        self.check_exact(self.submit(20), 20, once=True)

    def test_out_of_memory_is_told_and_harms_nobody_else(self):
        hungry = Case("constructor_wants_memory")
        greedy = Case("predict_takes_memory")
        greedy.outcomes = ["1", "0"]  # the batch that takes it is the last
        good = self.submit(200, sleep_s=0.02)
        for number in range(dose(2, 50)):
            for case in (hungry, greedy):
                status, log = self.run_case(case)
                with self.subTest(case.name, number=number):
                    self.check_case(case, status, log)
        self.check_exact(good, 200, once=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
