#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_bad_input.py - is every wrong input refused with a sentence that helps, and is
nothing left of it?"""

import json
import os
import unittest

from s3 import S3Server
from support import Cluster, ClusterTest, write_project

GOOD = """
class PythonPredictor:
    def __init__(self, config):
        pass

    def predict(self, payload):
        return payload
"""
ITEMS = {"workers": 1, "item_list": {"items": [1, 2, 3], "batch_size": 2}}


def files(kind, **fields):
    return {"workers": 1, kind: {"s3_paths": ["s3://inputs/"], "batch_size": 1, **fields}}


class BadInput(ClusterTest):
    @classmethod
    def make_cluster(cls):
        cls.s3_server = S3Server().start()
        # No bucket of the server's refuses its owner: the cluster is the other user.
        return Cluster(env=cls.s3_server.stranger_env)

    @classmethod
    def prepare(cls):
        cls.fill_bucket("inputs", **{"good.json": b"1\n2\n3\n"})
        cls.fill_bucket(
            "broken",
            **{"fine.json": b'{"a": 1}\n', "worse.json": b'"a"\n{"b": 2}\n{"c": oops}\n'},
        )
        cls.s3_server.client().create_bucket(Bucket="forbidden")
        cls.cluster.deploy(cls.project("good", GOOD))

    @classmethod
    def cleanup(cls):
        super().cleanup()
        cls.s3_server.stop()

    @classmethod
    def fill_bucket(cls, bucket, **objects):
        """A bucket that the cluster may read, with objects of its own."""
        cls.s3_server.client().create_bucket(Bucket=bucket, ACL="public-read-write")
        s3 = cls.s3_server.client(cls.s3_server.stranger_env)
        for key, body in objects.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    @classmethod
    def project(cls, name, predictor=GOOD, **files_):
        folder = os.path.join(cls.cluster.folder, "projects", name)
        return write_project(folder, predictor, api=name, **files_)

    def trace(self):
        """All that a refused input could have left behind."""
        apis = json.loads(self.cluster.cortex("get", "--env", "aws", "--output", "json").stdout)
        names = sorted(one["spec"]["name"] for one in apis)
        jobs = self.cluster.http("GET", "/good?limit=1000").json["job_statuses"]
        folder = os.path.join(self.cluster.state)
        segments = [
            os.path.join(path, name)
            for path, _, found in os.walk(folder)
            for name in found
            if "segment" in path or ".tmp" in name
        ]
        return names, [job["job_id"] for job in jobs], sorted(segments)

    # cortex.yaml and the project

    def check_deploy_refused(self, config, *said, predictor=GOOD, **files_):
        before = self.trace()
        folder = self.project("refused", predictor, **{"cortex.yaml": config, **files_})
        done = self.cluster.cortex("deploy", "--env", "aws", cwd=folder, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        for words in said:
            self.assertIn(words, done.stderr)
        self.assertEqual(self.trace(), before)

    def config(self, extra="", predictor="", name="refused", compute="", kind="BatchAPI"):
        return (
            f"- name: {name}\n  kind: {kind}\n"
            f"  predictor:\n    type: python\n    path: predictor.py\n{predictor}"
            f"{compute}{extra}"
        )

    def test_unknown_keys_are_named(self):
        self.check_deploy_refused(self.config("  colour: red\n"), "cortex.yaml", "colour")
        self.check_deploy_refused(self.config(predictor="    pth: x\n"), "predictor", "pth")
        self.check_deploy_refused(
            self.config(compute="  compute:\n    cpus: 1\n"), "compute", "cpus"
        )

    def test_wrong_types_are_named_with_their_value(self):
        self.check_deploy_refused("just text\n", "cortex.yaml")
        self.check_deploy_refused("name: refused\nkind: BatchAPI\n", "cortex.yaml")
        self.check_deploy_refused(self.config(predictor="    config: 7\n"), "config", "7")
        self.check_deploy_refused(
            self.config(compute="  compute:\n    gpu: many\n"), "gpu", "many"
        )
        self.check_deploy_refused(
            self.config(compute="  compute:\n    cpu: [1]\n"), "cpu"
        )
        self.check_deploy_refused(self.config(kind="Batch"), "kind", "Batch")
        self.check_deploy_refused(self.config(name="Not_A_Name"), "name", "Not_A_Name")

    def test_broken_yaml_is_pointed_at(self):
        self.check_deploy_refused("- name: [unclosed\n", "cortex.yaml", "line")

    def test_a_missing_cortex_yaml_is_said(self):
        folder = os.path.join(self.cluster.folder, "projects", "empty")
        os.makedirs(folder, exist_ok=True)
        done = self.cluster.cortex("deploy", "--env", "aws", cwd=folder, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cortex.yaml", done.stderr)

    def test_a_missing_predictor_file_is_named(self):
        config = self.config().replace("predictor.py", "prodictor.py")
        self.check_deploy_refused(config, "predictor", "path", "prodictor.py")

    def test_two_apis_of_one_name_are_refused(self):
        self.check_deploy_refused(self.config() + self.config(), "refused", "name")

    def test_too_much_compute_for_any_agent_is_refused(self):
        self.check_deploy_refused(
            self.config(compute="  compute:\n    cpu: 4000\n"), "compute", "cpu 4000000m", "the most that any offers is cpu"
        )

    # The submission

    def check_refused(self, body, status, *said, kind=None, path="/good", headers=None):
        before = self.trace()
        answer = self.cluster.http("POST", path, body, headers)
        self.assertEqual(answer.status, status, answer.text)
        self.assertIn("application/json", answer.headers["Content-Type"])
        self.assertTrue(answer.text.endswith("}\n"), answer.text)
        document = answer.json
        self.assertEqual(sorted(document), ["kind", "message"])
        for words in said:
            self.assertIn(words, document["message"])
        if kind:
            self.assertEqual(document["kind"], kind)
        self.assertEqual(self.trace(), before)

    def test_no_body_is_400(self):
        self.check_refused("", 400)

    def test_bad_json_is_400(self):
        for body in ("{", "[1", '{"workers": 1,}', "nonsense", '{"workers": 01}', "{} {}"):
            with self.subTest(body=body):
                self.check_refused(body, 400)

    def test_bad_utf8_is_400(self):
        self.check_refused(b'{"workers": 1, "item_list": {"items": ["\xff"], "batch_size": 1}}', 400)

    def test_wrong_types_name_field_and_value(self):
        cases = [
            ({**ITEMS, "workers": "three"}, ["workers", "three"]),
            ({**ITEMS, "workers": 1.5}, ["workers", "1.5"]),
            ({**ITEMS, "workers": 0}, ["workers", "0"]),
            ({**ITEMS, "workers": 10001}, ["workers", "10001"]),
            ({**ITEMS, "timeout": -5}, ["timeout", "-5"]),
            ({**ITEMS, "max_attempts": 101}, ["max_attempts", "101"]),
            ({**ITEMS, "config": [1]}, ["config"]),
            ({"workers": 1, "item_list": {"items": [1], "batch_size": 0}}, ["item_list", "batch_size", "0"]),
            ({"workers": 1, "item_list": {"items": {}, "batch_size": 1}}, ["items"]),
            ({"workers": 1, "item_list": 5}, ["item_list", "5"]),
            (files("delimited_files", s3_paths="s3://inputs/"), ["delimited_files", "s3_paths"]),
            (files("file_path_lister", includes=[3]), ["file_path_lister", "includes", "3"]),
        ]
        for body, said in cases:
            with self.subTest(body=body):
                self.check_refused(body, 400, *said)

    def test_no_input_and_two_inputs(self):
        self.check_refused({"workers": 1}, 400, "item_list", "file_path_lister",
                           "delimited_files", kind="batchapi.specify_exactly_one_key")
        both = {**ITEMS, **files("delimited_files")}
        self.check_refused(both, 400, "item_list", "delimited_files",
                           kind="batchapi.conflicting_fields")

    def test_no_items(self):
        body = {"workers": 1, "item_list": {"items": [], "batch_size": 1}}
        self.check_refused(body, 400, "items", kind="configreader.too_few_elements")
        self.check_refused(files("delimited_files", s3_paths=[]), 400, "s3_paths",
                           kind="configreader.too_few_elements")

    def test_a_bad_glob_is_quoted(self):
        for field in ("includes", "excludes"):
            self.check_refused(files("file_path_lister", **{field: ["[z-a]"]}), 400,
                               "file_path_lister", field, "[z-a]")

    def test_a_malformed_path_is_quoted(self):
        for path in ("inputs/", "s3:/inputs", "gs://inputs/x", "s3://"):
            with self.subTest(path=path):
                self.check_refused(files("file_path_lister", s3_paths=[path]), 400, path,
                                   kind="aws.invalid_s3_path")

    def test_a_missing_bucket_is_named(self):
        for path in ("s3://nowhere-at-all/x", "s3://nowhere-at-all"):
            self.check_refused(files("file_path_lister", s3_paths=[path]), 400,
                               f"{path}: the bucket 'nowhere-at-all' does not exist")

    def test_a_forbidden_bucket_is_named(self):
        for path in ("s3://forbidden/x", "s3://forbidden"):
            self.check_refused(files("delimited_files", s3_paths=[path]), 400,
                               f"{path}: ", "the bucket 'forbidden' refuses access")

    def test_nothing_that_matches(self):
        self.check_refused(files("delimited_files", includes=["**.parquet"]), 400,
                           kind="batchapi.no_s3_files_found")

    def test_an_unknown_dry_run_value(self):
        self.check_refused(ITEMS, 400, "dryRun", "yes", path="/good?dryRun=yes")

    def test_a_body_over_10_mib(self):
        body = {"workers": 1, "item_list": {"items": ["x" * (11 << 20)], "batch_size": 1}}
        self.check_refused(body, 413)

    def test_an_item_over_8_mib(self):
        body = {"workers": 1, "item_list": {"items": [1, "x" * (9 << 20)], "batch_size": 1}}
        self.check_refused(body, 413, "1", "8", kind="batchapi.item_size_exceeds_limit")

    def test_an_unknown_api(self):
        self.check_refused(ITEMS, 404, "nosuch", path="/nosuch")
        answer = self.cluster.http("GET", "/nosuch")
        self.assertEqual(answer.status, 404)
        for command in (["get", "nosuch"], ["delete", "nosuch"]):
            done = self.cluster.cortex(*command, "--env", "aws", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "^error: .*nosuch")

    def test_an_unknown_job(self):
        job = "00000000deadbeef"
        for method in ("GET", "DELETE"):
            for form in (f"/good/{job}", f"/good?jobID={job}", f"/good?{job}"):
                answer = self.cluster.http(method, form)
                self.assertEqual(answer.status, 404, answer.text)
                self.assertEqual(answer.json["kind"], "batchapi.job_not_found")
                self.assertIn(job, answer.json["message"])
        for command in (["get"], ["logs"], ["delete"]):
            done = self.cluster.cortex(*command, "good", job, "--env", "aws", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f"^error: .*{job}")

    def test_a_wrong_method_is_405(self):
        self.assertEqual(self.cluster.http("PUT", "/good", "x").status, 405)

    # What shows only after the submission was taken

    def ended(self, body, api="good"):
        job = self.cluster.submit(api, body)
        status = self.cluster.wait_job(api, job)
        return status, self.cluster.log(api, job)

    def test_a_malformed_line_fails_the_enqueuing_and_is_shown(self):
        status, log = self.ended(files("delimited_files", s3_paths=["s3://broken/"]))
        self.assertEqual(status["status"], "status_enqueue_failed")
        self.assertEqual(status["total_batch_count"], 0)
        self.assertIn("failed to enqueue all batches: ", log)
        self.assertIn("s3://broken/worse.json", log)
        self.assertRegex(log, "item 2")
        self.assertRegex(log, "line 3")
        self.assertIn("oops", log)

    def test_a_batch_over_16_mib_fails_the_enqueuing_and_says_the_limit(self):
        line = json.dumps("x" * (6 << 20)).encode() + b"\n"
        self.fill_bucket("large", **{"x.json": line * 3})
        body = files("delimited_files", s3_paths=["s3://large/"], batch_size=3)
        status, log = self.ended(body)
        self.assertEqual(status["status"], "status_enqueue_failed")
        self.assertRegex(log, r"16777216|16 MiB")

    def test_files_without_items_fail_the_enqueuing(self):
        self.fill_bucket("hollow", **{"x.json": b"\n \n"})
        status, _ = self.ended(files("delimited_files", s3_paths=["s3://hollow/"]))
        self.assertEqual(status["status"], "status_enqueue_failed")

    def check_worker_error(self, name, predictor, *said, **files_):
        self.cluster.deploy(self.project(name, predictor, **files_))
        status, log = self.ended(ITEMS, api=name)
        self.assertEqual(status["status"], "status_worker_error", log)
        for words in said:
            self.assertIn(words, log)
        self.cluster.cortex("delete", name, "--env", "aws")

    def test_a_predictor_that_cannot_be_imported(self):
        self.check_worker_error(
            "unimportable", "import no_such_module\n" + GOOD,
            "Traceback (most recent call last):", "No module named 'no_such_module'",
        )

    def test_a_predictor_with_a_syntax_error(self):
        self.check_worker_error("misspelt", "class PythonPredictor\n", "SyntaxError", "predictor.py")

    def test_a_project_without_the_class(self):
        self.check_worker_error("classless", "x = 1\n", "PythonPredictor")

    def test_a_wrong_signature(self):
        predictor = GOOD.replace("payload):", "payload, colour):")
        self.check_worker_error("misdrawn", predictor, "predict", "colour")

    def test_requirements_that_cannot_be_installed(self):
        self.check_worker_error(
            "unsatisfied", GOOD, "no-such-file-anywhere",
            **{"requirements.txt": "./no-such-file-anywhere.whl\n"},
        )

    def test_a_predict_that_raises_fails_its_batch_alone(self):
        predictor = GOOD.replace(
            "return payload",
            "if 3 in payload:\n            raise ValueError('three is too many')\n        return payload",
        )
        self.cluster.deploy(self.project("raising", predictor))
        status, log = self.ended(ITEMS, api="raising")
        self.assertEqual(status["status"], "status_completed_with_failures", log)
        self.assertEqual(status["batch_metrics"]["succeeded"], 1)
        self.assertEqual(status["batch_metrics"]["failed"], 1)
        self.assertIn("failed processing batch ", log)
        self.assertIn("three is too many", log)
        failed = self.cluster.http(
            "GET", f"/raising/{status['job_id']}/batches?state=failed"
        ).json
        rows = failed["batches"] if isinstance(failed, dict) else failed
        self.assertEqual([row["index"] for row in rows], [1])
        self.assertIn("three is too many", rows[0]["error"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
