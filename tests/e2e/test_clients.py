#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_clients.py - do clients that others wrote see the same objects as the cluster?

boto3, the AWS CLI, rclone and curl beside the agent, which stores results under odd
prefixes, and the master, which lists and reads odd keys, on a real S3 server that
checks signatures. What one client cannot express is said where it is left out.
"""

import json
import os
import subprocess
import unittest
from urllib.parse import quote

from s3 import S3Server
from support import PATIENCE_S, Cluster, ClusterTest, write_project

BUCKET = "clients"
RESULTS = "results"

# Each is used as a whole key below "in/", and as a prefix of results.
ODD = [
    "plain",
    "with space",
    "plus+and&and=equals",
    "percent%2Fescaped%20",
    "hive/year=2024/month=02",
    "dots/../up",
    "double//slash",
    "ünïcode/日本語/🚀",
    "quotes'\"<>&;?#[]{}|^`~!*(),:@$",
]
LONG = "k" * (1024 - len("in/"))  # as long as a key may be

PREDICTOR = """
import boto3

class PythonPredictor:
    def __init__(self, config):
        self.s3 = boto3.client("s3")

    def predict(self, payload, batch_id):
        found = []
        for item in payload:
            if isinstance(item, str) and item.startswith("s3://"):
                bucket, key = item[5:].split("/", 1)
                body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                self.s3.put_object(Bucket="copies", Key=key, Body=body)
                found.append([item, body.decode()])
            else:
                found.append(item)
        return found
"""


class Clients(ClusterTest):
    maxDiff = 3000

    @classmethod
    def make_cluster(cls):
        cls.server = S3Server().start()
        return Cluster(env=cls.server.env)

    @classmethod
    def prepare(cls):
        cls.boto = cls.server.client()
        for bucket in (BUCKET, RESULTS, "copies"):
            cls.boto.create_bucket(Bucket=bucket)
        cls.keys = sorted((f"in/{key}" for key in [*ODD, LONG]), key=str.encode)
        for key in cls.keys:
            cls.boto.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(key).encode())
        folder = os.path.join(cls.cluster.folder, "reader")
        cls.cluster.deploy(write_project(folder, PREDICTOR, api="reader"))
        theirs = {name: value for name, value in os.environ.items() if name[:4] != "AWS_"}
        cls.env = {**theirs, **cls.server.env}
        cls.rclone_config = os.path.join(cls.cluster.folder, "rclone.conf")
        with open(cls.rclone_config, "w", encoding="utf-8") as file:
            file.write(
                "[it]\ntype = s3\nprovider = Other\nenv_auth = true\nregion = us-east-1\n"
                f"endpoint = {cls.server.endpoint}\nencoding = None\nlist_version = 2\n"
            )

    @classmethod
    def cleanup(cls):
        super().cleanup()
        cls.server.stop()

    # Each client's ways to list a bucket's keys below a prefix, and to read one

    def run_client(self, *arguments):
        done = subprocess.run(
            arguments, env=self.env, capture_output=True, timeout=PATIENCE_S
        )
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr.decode()}")
        return done.stdout

    def boto3_list(self, bucket, prefix):
        pages = self.boto.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def boto3_read(self, bucket, key):
        return self.boto.get_object(Bucket=bucket, Key=key)["Body"].read()

    def aws(self, *arguments):
        return self.run_client(
            "/usr/bin/aws", "--no-cli-pager", "--endpoint-url", self.server.endpoint,
            "--output", "json", "s3api", *arguments,
        )

    def aws_list(self, bucket, prefix):
        found = self.aws("list-objects-v2", "--bucket", bucket, "--prefix", prefix)
        return [one["Key"] for one in json.loads(found or "{}").get("Contents", [])]

    def aws_read(self, bucket, key):
        path = os.path.join(self.cluster.folder, "read")
        self.aws("get-object", "--bucket", bucket, "--key", key, path)
        with open(path, "rb") as file:
            return file.read()

    def rclone(self, *arguments):
        return self.run_client("/usr/bin/rclone", "--config", self.rclone_config, *arguments)

    def rclone_list(self, bucket, prefix):
        rows = json.loads(self.rclone("lsjson", "-R", "--files-only", f"it:{bucket}"))
        return [row["Path"] for row in rows if row["Path"].startswith(prefix)]

    def rclone_read(self, bucket, key):
        return self.rclone("cat", f"it:{bucket}/{key}")

    def curl_read(self, bucket, key):
        """The key's access id has a colon, which --user would take for its end."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        user = ":".join(quote(self.env[name], safe="") for name in names)
        endpoint = self.server.endpoint.replace("://", f"://{user}@")
        return self.run_client(
            "/usr/bin/curl", "-gsS", "--fail", "--path-as-is",
            "--aws-sigv4", "aws:amz:us-east-1:s3",
            "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
            f"{endpoint}/{bucket}/{quote(key, safe='/~')}",
        )

    @staticmethod
    def rclone_can(key):
        """rclone works on cleaned paths."""
        return "//" not in key and ".." not in key.split("/")

    # The cluster's ways

    def finished(self, body):
        job = self.cluster.submit("reader", json.dumps(body))
        status = self.cluster.wait_job("reader", job)
        self.assertEqual(status["status"], "status_succeeded", self.cluster.log("reader", job))
        return job

    def lister(self, kind, path, size=100, **fields):
        return {"workers": 1, kind: {"s3_paths": [path], "batch_size": size}, **fields}

    def results(self, prefix):
        """What the agent stored below the prefix of RESULTS, by boto3: keys to values."""
        keys = self.boto3_list(RESULTS, prefix)
        return {key: json.loads(self.boto3_read(RESULTS, key)) for key in keys}

    # The tests

    def test_the_master_lists_the_keys_that_others_list(self):
        body = self.lister("file_path_lister", f"s3://{BUCKET}/in")
        printed = self.cluster.http("POST", "/reader?dryRun=true", body).text
        lines = printed.split("\n")
        self.assertEqual(lines.pop(), "validations passed")
        self.assertEqual(lines, [f"s3://{BUCKET}/{key}" for key in self.keys])
        self.assertEqual(self.boto3_list(BUCKET, "in"), self.keys)
        self.assertEqual(self.aws_list(BUCKET, "in"), self.keys)
        simple = [key for key in self.keys if self.rclone_can(key)]
        seen = set(self.rclone_list(BUCKET, "in")) & set(simple)  # it renames the others
        self.assertEqual(sorted(seen, key=str.encode), simple)

    def test_each_odd_key_is_one_prefix_of_itself(self):
        for key in self.keys:
            with self.subTest(key=key[:60]):
                url = f"s3://{BUCKET}/{key}"
                body = self.lister("file_path_lister", url)
                printed = self.cluster.http("POST", "/reader?dryRun=true", body).text
                self.assertEqual(printed, f"{url}\nvalidations passed")

    def test_predictors_read_listed_keys_with_boto3_and_write_others(self):
        config = {"dest_s3_dir": f"s3://{RESULTS}/listed"}
        self.finished(self.lister("file_path_lister", f"s3://{BUCKET}/in", config=config))
        (found,) = self.results("listed/").values()
        self.assertEqual(found, [[f"s3://{BUCKET}/{key}", json.dumps(key)] for key in self.keys])
        for key in self.keys:
            self.assertEqual(self.curl_read("copies", key), json.dumps(key).encode())

    def test_the_master_reads_what_others_wrote_under_odd_keys(self):
        writers = {
            "boto3": lambda key, path: self.boto.upload_file(path, BUCKET, key),
            "aws": lambda key, path: self.aws(
                "put-object", "--bucket", BUCKET, "--key", key, "--body", path
            ),
            "rclone": lambda key, path: self.rclone("copyto", path, f"it:{BUCKET}/{key}"),
        }
        wanted = []
        for number, key in enumerate(ODD):
            able = [name for name in writers if name != "rclone" or self.rclone_can(key)]
            name = able[number % len(able)]
            path = os.path.join(self.cluster.folder, "to-write")
            with open(path, "w", encoding="utf-8") as file:
                json.dump([name, key], file)
            writers[name](f"written/{key}/{name}.json", path)
            wanted.append([name, key])
        self.assertEqual({name for name, _ in wanted}, set(writers))
        config = {"dest_s3_dir": f"s3://{RESULTS}/read"}
        job = self.finished(
            self.lister("delimited_files", f"s3://{BUCKET}/written/", config=config)
        )
        (found,) = self.results("read/").values()
        self.assertEqual(sorted(found), sorted(wanted))
        log = self.cluster.log("reader", job)
        for name, key in wanted:
            self.assertIn(
                f"enqueuing contents from file s3://{BUCKET}/written/{key}/{name}.json\n", log
            )

    def test_results_under_odd_prefixes_are_seen_by_everyone(self):
        wanted = {}
        for number, prefix in enumerate(ODD):
            source = {"items": [number, prefix], "batch_size": 2}
            config = {"dest_s3_dir": f"s3://{RESULTS}/odd/{prefix}"}
            job = self.finished({"workers": 1, "item_list": source, "config": config})
            batches = self.cluster.http("GET", f"/reader/{job}/batches").json["batches"]
            wanted[f"odd/{prefix}/{job}/{batches[0]['id']}.json"] = [number, prefix]
        keys = sorted(wanted, key=str.encode)
        simple = [key for key in keys if self.rclone_can(key)]
        self.assertEqual(self.boto3_list(RESULTS, "odd/"), keys)
        self.assertEqual(self.aws_list(RESULTS, "odd/"), keys)
        self.assertEqual(
            sorted(set(self.rclone_list(RESULTS, "odd/")) & set(simple), key=str.encode), simple
        )
        for key in keys:
            with self.subTest(key=key):
                self.assertEqual(json.loads(self.boto3_read(RESULTS, key)), wanted[key])
                self.assertEqual(json.loads(self.curl_read(RESULTS, key)), wanted[key])
        for key in simple[-1:]:
            self.assertEqual(json.loads(self.rclone_read(RESULTS, key)), wanted[key])
        for key in [key for key in keys if key not in simple][:1]:
            self.assertEqual(json.loads(self.aws_read(RESULTS, key)), wanted[key])

    def test_a_result_whose_key_is_as_long_as_one_may_be(self):
        tail = len("/0123456789abcdef/") + len("00000000-0000-0000-0000-000000000000.json")
        prefix = "k" * (1024 - tail)
        source = {"items": [1], "batch_size": 1}
        config = {"dest_s3_dir": f"s3://{RESULTS}/{prefix}"}
        self.finished({"workers": 1, "item_list": source, "config": config})
        (key,) = self.boto3_list(RESULTS, prefix)
        self.assertEqual(len(key), 1024)
        self.assertEqual(self.curl_read(RESULTS, key), b"[1]")
        self.assertEqual(self.rclone_read(RESULTS, key), b"[1]")

    def test_2500_keys_are_enqueued_over_pages(self):
        self.boto.create_bucket(Bucket="many")
        keys = [f"x y/{number:04}" for number in range(2500)]
        self.server.add_keys("many", keys)
        body = self.lister("file_path_lister", "s3://many", size=25)
        lines = self.cluster.http("POST", "/reader?dryRun=true", body).text.split("\n")
        self.assertEqual(lines, [f"s3://many/{key}" for key in keys] + ["validations passed"])
        self.assertEqual(self.aws_list("many", ""), keys)
        body["file_path_lister"]["excludes"] = ["**"]
        answer = self.cluster.http("POST", "/reader", body)
        self.assertEqual(answer.json["kind"], "batchapi.no_s3_files_found", answer.text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
