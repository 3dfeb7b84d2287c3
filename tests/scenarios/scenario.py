# SPDX-License-Identifier: Apache-2.0
"""scenario.py - a job whose right outcome is known, and the check that it came out

Items are numbers; a batch's result is the squares of its items, so that what must be
stored follows from the input alone. Every predict also leaves a line in a file: which
batch, in which process, which items. From both, check_exact() tells that every item
was answered, none twice, none invented, and what was run more than once.
"""

import collections
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from support import Cluster, ClusterTest, Gate, wait_until, write_project  # noqa: E402, F401

RESULT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")

PREDICTOR = """
import json
import os
import time

import gate


def note(path, words):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, (json.dumps(words) + "\\n").encode())
    os.close(file)


class PythonPredictor:
    def __init__(self, config, job_spec):
        self.config = config
        self.notes = os.path.join(config["notes"], job_spec["job_id"])
        gate.wait("init")

    def predict(self, payload, batch_id):
        note(self.notes, [batch_id, os.getpid(), payload])
        gate.wait("predict")
        time.sleep(self.config.get("sleep_s", 0))
        if set(payload) & set(self.config.get("bad", [])):
            raise ValueError(f"a bad item in {payload}")
        if self.config.get("dest_s3_dir"):
            return [item * item for item in payload]

    def on_job_complete(self):
        note(self.notes + ".complete", os.getpid())
"""


class Scenario(ClusterTest):
    """A cluster of its own, with the api "squares" deployed."""

    agents = 1
    agent_cpu = 8
    worker_cpu = "1"
    options = ()

    @classmethod
    def make_cluster(cls):
        return Cluster(agents=cls.agents, agent_cpu=cls.agent_cpu, options=cls.options)

    @classmethod
    def prepare(cls):
        cls.gate = Gate(os.path.join(cls.cluster.folder, "gate"))
        cls.notes = os.path.join(cls.cluster.folder, "notes")
        cls.results = os.path.join(cls.cluster.folder, "results")
        os.makedirs(cls.notes)
        os.makedirs(cls.results)
        project = os.path.join(cls.cluster.folder, "squares")
        write_project(
            project, PREDICTOR, api="squares", cpu=cls.worker_cpu,
            **{"gate.py": cls.gate.source()},
        )
        cls.cluster.deploy(project)

    def body(self, items, batch_size=1, workers=2, sleep_s=0.0, store=True, bad=(), **fields):
        """A submission of the numbers 0 to items - 1, by a delimited file."""
        path = os.path.join(self.cluster.folder, f"numbers-{items}.json")
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write("".join(f"{number}\n" for number in range(items)))
        config = {"notes": self.notes, "sleep_s": sleep_s, "bad": list(bad)}
        if store:
            config["dest_s3_dir"] = f"file://{self.results}"
        source = {"s3_paths": [f"file://{path}"], "batch_size": batch_size}
        return {"workers": workers, "delimited_files": source, "config": config, **fields}

    def submit(self, *arguments, headers=None, **options):
        body = self.body(*arguments, **options)
        return self.cluster.submit("squares", body, headers)

    def predicted(self, job):
        """[batch id, pid, items] of every predict that began."""
        try:
            with open(os.path.join(self.notes, job), encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []

    def wait_predicted(self, job, count):
        wait_until(lambda: len(self.predicted(job)) >= count, f"{count} batches were begun")

    def stored(self, job):
        """Batch id -> what was stored for it."""
        found = {}
        folder = os.path.join(self.results, job)
        for name in os.listdir(folder):
            if RESULT.fullmatch(name):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    found[name[:-5]] = json.load(file)
        return found

    def check_exact(self, job, items, batch_size=1, stored=True, once=False):
        """The job succeeded and its outcome is that of the input, exactly."""
        status = self.cluster.wait_job("squares", job)
        batches = -(-items // batch_size)
        self.assertEqual(status["status"], "status_succeeded", self.cluster.log("squares", job))
        self.assertEqual(status["total_batch_count"], batches)
        self.assertEqual(status["batch_metrics"]["succeeded"], batches)
        self.assertEqual(status["batch_metrics"]["failed"], 0)

        predicted = self.predicted(job)
        by_batch = collections.defaultdict(list)
        for batch, _, payload in predicted:
            by_batch[batch].append(payload)
        self.assertEqual(len(by_batch), batches)
        for payloads in by_batch.values():  # a repeat has the same items
            self.assertTrue(all(payload == payloads[0] for payload in payloads))
        seen = [item for payloads in by_batch.values() for item in payloads[0]]
        self.assertEqual(sorted(seen), list(range(items)))
        if once:
            self.assertEqual(len(predicted), batches, "a batch was run twice")
        if stored:
            results = self.stored(job)
            self.assertEqual(set(results), set(by_batch))
            for batch, payloads in by_batch.items():
                self.assertEqual(results[batch], [item * item for item in payloads[0]])
        self.assertEqual(self.completions(job), 1)
        return status

    def completions(self, job):
        """How often on_job_complete began."""
        try:
            with open(os.path.join(self.notes, job + ".complete"), encoding="utf-8") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0
