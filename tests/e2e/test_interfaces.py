#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_interfaces.py - what HTTP and the command line offer beyond the tutorial"""

import json
import os
import threading
import unittest

from support import Cluster, ClusterTest, Gate, wait_until, write_project

PREDICTOR = """
import gate

class PythonPredictor:
    def __init__(self, config):
        pass

    def predict(self, payload):
        gate.wait("predict")
        print("seen", payload)
        return payload
"""


def items(count, batch_size=1, **fields):
    source = {"items": list(range(count)), "batch_size": batch_size}
    return {"workers": 1, "item_list": source, **fields}


class Interfaces(ClusterTest):
    @classmethod
    def prepare(cls):
        cls.gate = Gate(os.path.join(cls.cluster.folder, "gate"))
        folder = os.path.join(cls.cluster.folder, "thing")
        cls.project = write_project(folder, PREDICTOR, **{"gate.py": cls.gate.source()})
        cls.cluster.deploy(cls.project)

    def cortex(self, *arguments):
        return self.cluster.cortex(*arguments, "--env", "aws").stdout

    def finished(self, count=3, **fields):
        job = self.cluster.submit("thing", items(count, **fields))
        self.assertEqual(self.cluster.wait_job("thing", job)["status"], "status_succeeded")
        return job

    # HTTP

    def test_the_bridge_says_that_it_lives_and_that_the_master_is_there(self):
        self.assertEqual(self.cluster.http("GET", "/_/healthz").status, 200)
        self.assertEqual(self.cluster.http("GET", "/_/readyz").status, 200)

    def test_without_a_master_the_answer_is_503_with_retry_after(self):
        self.cluster.kill("master")
        try:
            for answer in (
                self.cluster.http("GET", "/thing"),
                self.cluster.http("POST", "/thing", items(1)),
                self.cluster.http("GET", "/_/readyz"),
            ):
                self.assertEqual(answer.status, 503, answer.text)
                self.assertRegex(answer.headers["Retry-After"], "^[0-9]+$")
            self.assertEqual(self.cluster.http("GET", "/_/healthz").status, 200)
        finally:
            self.cluster.restart()

    def test_jobs_are_listed_newest_first_in_pages(self):
        jobs = [self.finished(1) for _ in range(4)]
        page = self.cluster.http("GET", "/thing?limit=2").json
        found = [job["job_id"] for job in page["job_statuses"]]
        self.assertEqual(found, [jobs[3], jobs[2]])
        page = self.cluster.http("GET", f"/thing?limit=2&after={found[-1]}").json
        self.assertEqual([job["job_id"] for job in page["job_statuses"]], [jobs[1], jobs[0]])

    def test_jobs_are_listed_by_status(self):
        self.finished(1)
        page = self.cluster.http("GET", "/thing?status=succeeded&limit=1000").json
        self.assertEqual({job["status"] for job in page["job_statuses"]}, {"status_succeeded"})
        page = self.cluster.http("GET", "/thing?status=worker_error&limit=1000").json
        self.assertFalse(page.get("job_statuses"))

    def test_the_log_can_be_followed_and_resumed(self):
        self.gate.hold("predict")
        before = self.gate.count("predict")
        job = self.cluster.submit("thing", items(2))
        followed = []
        thread = threading.Thread(
            target=lambda: followed.append(
                self.cluster.http("GET", f"/thing/{job}/logs?follow=true").text
            )
        )
        thread.start()
        self.gate.wait_reached("predict", before + 1)
        self.assertTrue(thread.is_alive())
        self.gate.release("predict")
        thread.join()
        whole = self.cluster.http("GET", f"/thing/{job}/logs").text
        self.assertEqual(followed, [whole])
        self.assertIn("seen [0]\n", whole)
        self.assertTrue(whole.endswith("no batches left in queue, job has been completed\n"))
        rest = self.cluster.http("GET", f"/thing/{job}/logs?offset=100").text
        self.assertEqual(rest, whole[100:])

    def test_batches_are_listed_one_by_one(self):
        job = self.finished(5)
        found = self.cluster.http("GET", f"/thing/{job}/batches").json
        rows = found["batches"]
        self.assertEqual([row["index"] for row in rows], [0, 1, 2, 3, 4])
        for row in rows:
            self.assertRegex(row["id"], "^[0-9a-f]{8}-")
            self.assertEqual(row["state"], "succeeded")
            self.assertEqual(row["attempts"], 1)

    def test_items_reach_the_predictor_as_they_were_sent(self):
        values = ["12345678901234567890", "1.0", '"\\u00e9\\u0000"', '{"b": 1, "a": 2}', "-0.0"]
        results = os.path.join(self.cluster.folder, "values")
        project = os.path.join(self.cluster.folder, "echo")
        predictor = (
            "class PythonPredictor:\n"
            "    def __init__(self, config):\n        pass\n"
            "    def predict(self, payload):\n        return repr(payload)\n"
        )
        self.cluster.deploy(write_project(project, predictor, api="echo"))
        body = (
            '{"workers": 1, "item_list": {"batch_size": 10, "items": [%s]},'
            ' "config": {"dest_s3_dir": "file://%s"}}' % (", ".join(values), results)
        )
        job = self.cluster.submit("echo", body)
        self.cluster.wait_job("echo", job)
        folder = os.path.join(results, job)
        with open(os.path.join(folder, os.listdir(folder)[0]), encoding="utf-8") as file:
            self.assertEqual(json.load(file), repr([json.loads(value) for value in values]))

    def test_config_is_merged_and_the_submission_wins(self):
        predictor = (
            "class PythonPredictor:\n"
            "    def __init__(self, config, job_spec):\n"
            "        print('config is', sorted(config.items()))\n"
            "        print('spec is', job_spec['config'], job_spec['workers'])\n"
            "    def predict(self):\n        pass\n"
        )
        config = (
            "- name: merged\n  kind: BatchAPI\n  predictor:\n    type: python\n"
            "    path: predictor.py\n    config: {a: 1, b: {x: 1, y: 2}}\n"
        )
        project = os.path.join(self.cluster.folder, "merged")
        self.cluster.deploy(write_project(project, predictor, **{"cortex.yaml": config}))
        job = self.cluster.submit("merged", items(1, config={"b": {"y": 3}, "c": None}))
        self.cluster.wait_job("merged", job)
        log = self.cluster.log("merged", job)
        self.assertIn("config is [('a', 1), ('b', {'x': 1, 'y': 3}), ('c', None)]\n", log)
        self.assertIn("spec is {'b': {'y': 3}, 'c': None} 1\n", log)

    def test_file_urls_are_listed_and_read_like_buckets(self):
        folder = os.path.join(self.cluster.folder, "inputs")
        os.makedirs(os.path.join(folder, "below"))
        for name, text in {"a.json": "1\n2\n", "below/b.json": "3\n", "c.txt": "x"}.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        source = {"s3_paths": [f"file://{folder}/"], "includes": ["**.json"], "batch_size": 2}
        body = {"workers": 1, "delimited_files": source}
        answer = self.cluster.http("POST", "/thing?dryRun=true", body)
        self.assertEqual(
            answer.text.rstrip("\n").split("\n"),
            [f"file://{folder}/a.json", f"file://{folder}/below/b.json", "validations passed"],
        )
        job = self.cluster.submit("thing", body)
        self.assertEqual(self.cluster.wait_job("thing", job)["total_batch_count"], 2)
        log = self.cluster.log("thing", job)
        self.assertIn("seen [1, 2]\n", log)
        self.assertIn("seen [3]\n", log)

    def test_a_failed_batch_is_tried_again_as_often_as_asked(self):
        predictor = (
            "import os\n"
            "class PythonPredictor:\n"
            "    def __init__(self, config):\n        self.tries = 0\n"
            "    def predict(self):\n"
            "        self.tries += 1\n"
            "        if self.tries < 3:\n            raise ValueError('not yet')\n"
        )
        project = os.path.join(self.cluster.folder, "stubborn")
        self.cluster.deploy(write_project(project, predictor, api="stubborn"))
        job = self.cluster.submit("stubborn", items(1, max_attempts=3))
        self.assertEqual(self.cluster.wait_job("stubborn", job)["status"], "status_succeeded")
        job = self.cluster.submit("stubborn", items(1, max_attempts=2))
        status = self.cluster.wait_job("stubborn", job)
        self.assertEqual(status["status"], "status_completed_with_failures")

    def test_a_timeout_ends_the_job(self):
        self.gate.hold("predict")
        job = self.cluster.submit("thing", items(1, timeout=1))
        status = self.cluster.wait_job("thing", job)
        self.gate.release("predict")
        self.assertEqual(status["status"], "status_timed_out")

    # The command line

    def test_get_lists_all_apis(self):
        job = self.finished(1)
        lines = self.cortex("get").splitlines()
        self.assertRegex(lines[0], "^batch api +running jobs +latest job id +last update$")
        row = next(line for line in lines if line.startswith("thing "))
        self.assertIn(f"{job} (submitted ", row)

    def test_output_json_is_what_http_answers(self):
        job = self.finished(1)
        printed = json.loads(self.cortex("get", "thing", job, "--output", "json"))
        answered = self.cluster.http("GET", f"/thing/{job}").json
        self.assertEqual(printed["job_status"], answered["job_status"])

    def test_version_and_unknown_commands(self):
        self.assertIn("cli version: ", self.cortex("version"))
        done = self.cluster.cortex("explode", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        self.assertIn("explode", done.stderr)

    def test_an_unknown_environment_is_named(self):
        done = self.cluster.cortex("get", "--env", "nowhere", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nowhere", done.stderr)

    def test_cluster_info_names_every_daemon(self):
        rows = self.cluster.processes()
        self.assertEqual(sorted(row["role"] for row in rows), ["agent", "bridge", "master"])
        for row in rows:
            self.assertTrue(os.path.exists(f"/proc/{row['pid']}"))


class Life(unittest.TestCase):
    def test_up_down_up_keeps_apis_and_jobs(self):
        cluster = Cluster()
        try:
            cluster.start()
            project = os.path.join(cluster.folder, "thing")
            cluster.deploy(write_project(project, PREDICTOR.replace("gate.wait", "str").replace("import gate", "")))
            job = cluster.submit("thing", items(3))
            before = cluster.wait_job("thing", job)
            pids = [row["pid"] for row in cluster.processes()]
            cluster.cortex("cluster", "down", "--state-dir", cluster.state)
            wait_until(
                lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids),
                "the daemons are gone",
            )
            cluster.restart()
            self.assertEqual(cluster.job("thing", job), before)
        finally:
            cluster.stop()

    def test_up_twice_is_one_cluster(self):
        cluster = Cluster()
        try:
            cluster.start()
            before = [row["pid"] for row in cluster.processes()]
            cluster.restart()
            self.assertEqual([row["pid"] for row in cluster.processes()], before)
        finally:
            cluster.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
