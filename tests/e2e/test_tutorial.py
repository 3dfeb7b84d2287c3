#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_tutorial.py - does everything the tutorial types print what the tutorial prints?

One cluster and one real S3 server, and the tutorial's commands in its order; the tests'
numbers (c09 ...) are the rows of the Batch API's line-by-line table and give that
order. Jobs started by one test are looked at by those behind it.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import unittest

import shape
from s3 import S3Server
from support import (
    PATIENCE_S,
    ROOT,
    Cluster,
    ClusterTest,
    Gate,
    WebServer,
    children_of,
    wait_until,
)

BUCKET = "my-bucket"
DESTINATION = f"s3://{BUCKET}/dir"
EXAMPLES = "cortex-examples"
LABELS = ["tench", "goldfish", "great white shark", "tiger shark", "hammerhead"]
PICTURES = ["PzXprwl.jpg", "E4cOSLw.jpg", "96516272.jpg", "jDimNTZ.jpg", "WqeovVj.jpg"]
MORE = [f"more_{i}.jpg" for i in range(16)]
RESULT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")


def picture(name):
    return f"the bytes of {name}".encode() * 50


def class_of(name):
    return LABELS[hashlib.sha256(picture(name)).digest()[0] % len(LABELS)]


class Tutorial(ClusterTest):
    @classmethod
    def make_cluster(cls):
        pages = {f"/{name}": picture(name) for name in PICTURES + MORE}
        pages["/labels.txt"] = "\n".join(LABELS).encode()
        cls.web = WebServer(pages)
        cls.s3_server = S3Server().start()
        return Cluster(env={**cls.s3_server.env, "no_proxy": "127.0.0.1"})

    @classmethod
    def prepare(cls):
        cls.fill_buckets()
        cls.gate = Gate(os.path.join(cls.cluster.folder, "gate"))
        cls.project = os.path.join(cls.cluster.folder, "image-classifier")
        shutil.copytree(os.path.join(ROOT, "tests", "e2e", "project"), cls.project)
        with open(os.path.join(cls.project, "gate.py"), "w", encoding="utf-8") as file:
            file.write(cls.gate.source())
            file.write(f"LABELS_URL = {cls.web.url + '/labels.txt'!r}\n")
        with open(os.path.join(cls.project, "requirements.txt"), "w", encoding="utf-8") as file:
            file.write("# requirements.txt\n\nboto3\n")
        cls.endpoint = f"{cls.cluster.url}/image-classifier"

    @classmethod
    def fill_buckets(cls):
        s3 = cls.s3_server.client()
        s3.create_bucket(Bucket=BUCKET)
        s3.create_bucket(Bucket=EXAMPLES)

        def put(key, body):
            s3.put_object(Bucket=EXAMPLES, Key=f"image-classifier/{key}", Body=body)

        for half in (0, 1):
            urls = [f"{cls.web.url}/{name}" for name in MORE[8 * half:8 * half + 8]]
            put(f"urls_{half}.json", "".join(json.dumps(url) + "\n" for url in urls))
        for number in range(16):
            put(f"samples/img_{number}.jpg", picture(f"img_{number}"))
        put("inception/saved_model.pb", b"not json")

    @classmethod
    def cleanup(cls):
        super().cleanup()
        cls.web.stop()
        cls.s3_server.stop()

    # Ways of this test

    def cortex(self, *arguments, **options):
        return self.cluster.cortex(*arguments, "--env", "aws", **options).stdout

    def submit_as_typed(self, query, body):
        """The tutorial's curl command, with its heredoc, word for word."""
        return self.cluster.shell(
            f"curl -sS --fail-with-body $BATCH_API_ENDPOINT{query} \\\n"
            f'    -X POST -H "Content-Type: application/json" \\\n'
            f"    -d @- <<EOF\n{body}\nEOF\n",
            BATCH_API_ENDPOINT=self.endpoint,
            CORTEX_DEST_S3_DIR=DESTINATION,
        )

    def submit_item_list(self):
        items = ",\n                ".join(f'"{self.web.url}/{name}"' for name in PICTURES)
        return self.submit_as_typed(
            "",
            f"""    {{
        "workers": 1,
        "item_list": {{
            "items": [
                {items}
            ],
            "batch_size": 2
        }},
        "config": {{
            "dest_s3_dir": "$CORTEX_DEST_S3_DIR"
        }}
    }}""",
        )

    def files_body(self, kind, path, include):
        return f"""{{
    "workers": 1,
    "{kind}": {{
        "s3_paths": ["{path}"],
        "includes": ["{include}"],
        "batch_size": 2
    }},
    "config": {{
        "dest_s3_dir": "$CORTEX_DEST_S3_DIR"
    }}
}}"""

    def delimited_body(self):
        return self.files_body(
            "delimited_files", f"s3://{EXAMPLES}/image-classifier/", "**.json"
        )

    def lister_body(self):
        return self.files_body(
            "file_path_lister", f"s3://{EXAMPLES}/image-classifier/samples", "**.jpg"
        )

    def check_submitted(self, text):
        document = json.loads(text)
        self.assertRegex(document["job_id"], "^[0-9a-f]{16}$")
        self.assertEqual(document["api_name"], "image-classifier")
        self.assertEqual(document["config"], {"dest_s3_dir": DESTINATION})
        self.assertEqual(list(document)[:2], ["job_id", "api_name"])
        return document["job_id"]

    def follow_logs(self, job):
        """`cortex logs` until it ends by itself."""
        return self.cortex("logs", "image-classifier", job)

    def listed(self, job):
        """What `aws s3 ls` shows of the job's results: names."""
        text = self.cluster.shell(
            f"/usr/bin/aws --no-cli-pager s3 ls $CORTEX_DEST_S3_DIR/{job}/",
            CORTEX_DEST_S3_DIR=DESTINATION,
        )
        return [line.split()[-1] for line in text.splitlines()]

    def aggregated(self, job):
        found = self.s3_server.client().get_object(
            Bucket=BUCKET, Key=f"dir/{job}/aggregated_results.json"
        )
        return json.load(found["Body"])

    def check_results(self, job, batches, wanted):
        names = self.listed(job)
        results = [name for name in names if RESULT.fullmatch(name)]
        self.assertEqual(len(results), batches, names)
        self.assertEqual(sorted(set(names) - set(results)), ["aggregated_results.json"])
        found = {one["url"]: one["class"] for one in self.aggregated(job)}
        self.assertEqual(len(self.aggregated(job)), len(wanted))
        self.assertEqual(found, wanted)
        return results

    def held_job(self):
        """A job that runs until gate point "predict" is released."""
        self.gate.hold("predict")
        before = self.gate.count("predict")
        job = self.check_submitted(self.submit_item_list())
        self.gate.wait_reached("predict", before + 1)
        return job

    def running_workers(self):
        """Processes of the agent that work in this test's project."""
        return [
            pid
            for pid in children_of(self.cluster.daemon("agent")["pid"])
            if os.path.exists(f"/proc/{pid}/cwd/gate.py")
        ]

    def forms(self, job):
        """Every way to address a job."""
        yield f"/image-classifier/{job}"
        for name in ("jobID", "job_id", "jobId"):
            yield f"/image-classifier?{name}={job}"
        yield f"/image-classifier?{job}"

    # The tutorial, from its start to its end

    def test_c09_deploy_prints_created(self):
        printed = self.cluster.deploy(self.project)
        shape.match_file("deploy_created", printed, api="image-classifier")

    def test_c10_deploying_the_same_again_is_up_to_date(self):
        printed = self.cluster.deploy(self.project)
        shape.match_file("deploy_up_to_date", printed, api="image-classifier")

    def test_c10b_deploying_an_edit_prints_updated(self):
        with open(os.path.join(self.project, "predictor.py"), "a", encoding="utf-8") as file:
            file.write("# edited\n")
        printed = self.cluster.deploy(self.project)
        shape.match_file("deploy_updated", printed, api="image-classifier")

    def test_c11_get_without_jobs(self):
        printed = self.cortex("get", "image-classifier")
        shape.match_file("get_no_jobs", printed, endpoint=self.endpoint)

    def test_c13_submitting_an_item_list_by_curl(self):
        self.gate.hold("init")
        type(self).item_job = self.check_submitted(self.submit_item_list())

    def test_c14_five_items_in_twos_are_three_batches(self):
        def running():
            status = self.cluster.job("image-classifier", self.item_job)
            return status if status["status"] == "status_running" else None

        self.assertEqual(wait_until(running, "the job runs")["total_batch_count"], 3)

    def test_c16_get_lists_the_running_job(self):
        self.gate.wait_reached("init")
        printed = self.cortex("get", "image-classifier")
        shape.match_file(
            "get_one_job", printed, job=self.item_job, endpoint=self.endpoint
        )

    def test_c18_status_by_every_form_of_address(self):
        documents = []
        for form in self.forms(self.item_job):
            with self.subTest(form=form):
                answer = self.cluster.http("GET", form)
                self.assertEqual(answer.status, 200, answer.text)
                self.assertIn("application/json", answer.headers["Content-Type"])
                documents.append(answer.json)
        for document in documents:
            self.assertEqual(document["job_status"]["job_id"], self.item_job)

    def test_c23_the_printed_job_endpoint_is_a_url_that_works(self):
        printed = self.cortex("get", "image-classifier", self.item_job)
        url = re.search(r"(?m)^job endpoint: (\S+)$", printed).group(1)
        document = json.loads(self.cluster.shell(f"curl -sS --fail-with-body {url}"))
        self.assertEqual(document["job_status"]["job_id"], self.item_job)

    def test_c18b_two_different_ids_in_one_request_are_refused(self):
        other = "0" * 16
        answer = self.cluster.http(
            "GET", f"/image-classifier/{self.item_job}?jobID={other}"
        )
        self.assertEqual(answer.status, 400, answer.text)
        self.assertIn(other, answer.json["message"])

    def test_c19_status_document(self):
        answer = self.cluster.http("GET", f"/image-classifier/{self.item_job}")
        document = answer.json
        status = document["job_status"]
        self.assertEqual(list(document)[0], "job_status")
        self.assertEqual(list(document)[-1], "endpoint")
        self.assertEqual(document["endpoint"], self.endpoint)
        self.assertEqual(document["job_endpoint"], f"{self.endpoint}/{self.item_job}")
        self.assertEqual(document["api_spec"]["name"], "image-classifier")
        self.assertEqual(status["job_id"], self.item_job)
        self.assertEqual(status["api_name"], "image-classifier")
        self.assertEqual(status["workers"], 1)
        self.assertEqual(status["status"], "status_running")
        self.assertEqual(status["config"], {"dest_s3_dir": DESTINATION})
        self.assertEqual(status["batches_in_queue"], 3)
        self.assertEqual(status["worker_counts"]["initializing"], 1)
        self.assertIsNone(status["end_time"])
        self.assertRegex(answer.text, r'\A\{\n    "job_status": ?\{\n        "job_id": ?"')

    def test_c20_get_job_shows_its_blocks(self):
        printed = self.cortex("get", "image-classifier", self.item_job)
        shape.match_file(
            "get_job_initializing", printed, job=self.item_job, endpoint=self.endpoint
        )

    def test_c24_logs_follow_the_job_to_its_end(self):
        self.gate.release("init")
        type(self).item_log = self.follow_logs(self.item_job)
        shape.match_file("logs_item_list", self.item_log)

    def test_c24b_logs_of_a_finished_job_are_the_same_again(self):
        self.assertEqual(self.follow_logs(self.item_job), self.item_log)

    def test_c27_watch_ends_with_the_job(self):
        self.gate.hold("predict")
        job = self.check_submitted(self.submit_item_list())
        watch = subprocess.Popen(
            ["cortex", "get", "image-classifier", job, "--watch", "--env", "aws"],
            env=self.cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.gate.release("predict")
        out, err = watch.communicate(timeout=PATIENCE_S)
        self.assertEqual(watch.returncode, 0, err)
        self.assertIn("status: succeeded", out)

    def test_c28_the_status_becomes_succeeded(self):
        status = self.cluster.wait_job("image-classifier", self.item_job)
        self.assertEqual(status["status"], "status_succeeded")
        self.assertEqual(status["batch_metrics"]["succeeded"], 3)
        self.assertEqual(status["batch_metrics"]["failed"], 0)
        printed = self.cortex("get", "image-classifier", self.item_job)
        self.assertIn("\nstatus: succeeded\n", printed)

    def test_c29_one_result_a_batch_and_the_aggregate(self):
        wanted = {f"{self.web.url}/{name}": class_of(name) for name in PICTURES}
        results = self.check_results(self.item_job, 3, wanted)
        in_log = re.findall("processing batch (.*)", self.item_log)
        self.assertEqual(sorted(in_log), sorted(name[:-5] for name in results))

    def test_c30_on_job_complete_ran_once_a_job(self):
        self.assertEqual(self.gate.count("complete"), 2)

    def test_c31_the_examples_are_listed_as_the_tutorial_lists_them(self):
        text = self.cluster.shell(
            f"/usr/bin/aws --no-cli-pager s3 ls s3://{EXAMPLES}/image-classifier/"
        )
        self.assertRegex(text.splitlines()[0], "^ +PRE inception/$")
        self.assertEqual(
            [line.split()[-1] for line in text.splitlines()],
            ["inception/", "samples/", "urls_0.json", "urls_1.json"],
        )

    def test_c30b_the_aggregate_is_downloaded_with_the_aws_cli(self):
        self.cluster.shell(
            f"/usr/bin/aws --no-cli-pager s3 cp --quiet"
            f" $CORTEX_DEST_S3_DIR/{self.item_job}/aggregated_results.json .",
            CORTEX_DEST_S3_DIR=DESTINATION,
        )
        with open(
            os.path.join(self.cluster.home, "aggregated_results.json"), encoding="utf-8"
        ) as file:
            self.assertEqual(len(json.load(file)), 5)

    def test_c32_dry_run_of_delimited_files(self):
        printed = self.submit_as_typed("?dryRun=true", self.delimited_body())
        self.assertEqual(printed, shape.expected("dry_run_delimited_files").rstrip("\n"))

    def test_c33_a_dry_run_makes_no_job(self):
        before = self.cluster.http("GET", "/image-classifier").json
        self.submit_as_typed("?dryRun=true", self.delimited_body())
        after = self.cluster.http("GET", "/image-classifier").json
        self.assertEqual(len(before["job_statuses"]), len(after["job_statuses"]))

    def test_c34_delimited_files(self):
        job = self.check_submitted(self.submit_as_typed("", self.delimited_body()))
        type(self).delimited_log = self.follow_logs(job)
        type(self).delimited_job = job

    def test_c35_logs_of_delimited_files(self):
        shape.match_file("logs_delimited_files", self.delimited_log)

    def test_c36_results_of_delimited_files(self):
        wanted = {f"{self.web.url}/{name}": class_of(name) for name in MORE}
        self.check_results(self.delimited_job, 8, wanted)

    def test_c37_dry_run_of_a_file_path_lister(self):
        printed = self.submit_as_typed("?dryRun=true", self.lister_body())
        self.assertEqual(printed, shape.expected("dry_run_file_path_lister").rstrip("\n"))

    def test_c39_file_path_lister(self):
        job = self.check_submitted(self.submit_as_typed("", self.lister_body()))
        type(self).lister_log = self.follow_logs(job)
        type(self).lister_job = job

    def test_c40_logs_of_a_file_path_lister(self):
        shape.match_file("logs_file_path_lister", self.lister_log)
        self.assertNotIn("partitioning", self.lister_log)

    def test_c41_results_of_a_file_path_lister(self):
        folder = f"s3://{EXAMPLES}/image-classifier/samples"
        wanted = {
            f"{folder}/img_{i}.jpg": class_of(f"img_{i}") for i in range(16)
        }
        self.check_results(self.lister_job, 8, wanted)

    def test_c42_delete_stops_a_job_by_every_form_of_address(self):
        for number in range(5):
            job = self.held_job()
            form = list(self.forms(job))[number]
            with self.subTest(form=form):
                answer = self.cluster.http("DELETE", form)
                self.assertEqual(answer.status, 200, answer.text)
                shape.match_file("stopped", answer.text, job=job)
                self.assertIn("text/plain", answer.headers["Content-Type"])
                status = self.cluster.wait_job("image-classifier", job)
                self.assertEqual(status["status"], "status_stopped")
            self.gate.release("predict")

    def test_c43_delete_answers_json_when_asked_for_it(self):
        job = self.held_job()
        answer = self.cluster.http(
            "DELETE", f"/image-classifier/{job}", headers={"Accept": "application/json"}
        )
        self.gate.release("predict")
        self.assertEqual(answer.json, {"message": f"stopped job {job}"})

    def test_c44_cortex_delete_stops_a_job(self):
        job = self.held_job()
        printed = self.cortex("delete", "image-classifier", job)
        self.gate.release("predict")
        shape.match_file("stopped", printed, job=job)

    def test_c44b_a_finished_job_cannot_be_stopped(self):
        answer = self.cluster.http("DELETE", f"/image-classifier/{self.item_job}")
        self.assertEqual(answer.status, 409, answer.text)
        self.assertEqual(answer.json["kind"], "batchapi.job_is_not_in_progress")
        self.assertIn(self.item_job, answer.json["message"])

    def test_c45_cortex_delete_deletes_the_api_and_stops_its_jobs(self):
        job = self.held_job()
        self.assertTrue(self.running_workers())
        printed = self.cortex("delete", "image-classifier")
        shape.match_file("deleting", printed, api="image-classifier")
        wait_until(lambda: not self.running_workers(), f"the workers of job {job} are gone")
        self.gate.release("predict")

    def test_c46_history_is_gone_and_the_cluster_is_up(self):
        answer = self.cluster.http("GET", f"/image-classifier/{self.item_job}")
        self.assertEqual(answer.status, 404, answer.text)
        printed = self.cortex("get")
        self.assertEqual(printed, "no apis are deployed\n")

    def test_c46b_the_name_can_be_used_again(self):
        printed = self.cluster.deploy(self.project)
        shape.match_file("deploy_created", printed, api="image-classifier")
        printed = self.cortex("get", "image-classifier")
        shape.match_file("get_no_jobs", printed, endpoint=self.endpoint)

    def test_c98_a_destination_without_a_key_is_a_worker_error(self):
        """C3: the tutorial's expression wants something behind the bucket."""
        source = {"items": ["x"], "batch_size": 1}
        config = {"dest_s3_dir": f"s3://{BUCKET}"}
        job = self.cluster.submit(
            "image-classifier", {"workers": 1, "item_list": source, "config": config}
        )
        status = self.cluster.wait_job("image-classifier", job)
        self.assertEqual(status["status"], "status_worker_error")
        self.assertIn("AttributeError", self.cluster.log("image-classifier", job))

    def test_c48_no_output_begins_or_ends_with_an_empty_line(self):
        for arguments in (("get",), ("get", "image-classifier"), ("version",)):
            printed = self.cortex(*arguments)
            self.assertNotRegex(printed, r"\A\n|\n\n\Z")
            self.assertTrue(printed.endswith("\n"))

    def test_c99_a_missing_destination_is_a_worker_error(self):
        """C2: the constructor's exception ends the job, its traceback is in the log."""
        job = self.cluster.submit(
            "image-classifier", {"workers": 1, "item_list": {"items": ["x"], "batch_size": 1}}
        )
        status = self.cluster.wait_job("image-classifier", job)
        self.assertEqual(status["status"], "status_worker_error")
        log = self.cluster.log("image-classifier", job)
        self.assertIn("Traceback (most recent call last):", log)
        self.assertIn("'dest_s3_dir' field was not provided in job submission", log)


if __name__ == "__main__":
    unittest.main(verbosity=2, failfast=False)
