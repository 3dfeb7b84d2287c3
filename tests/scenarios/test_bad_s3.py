#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_bad_s3.py - is a job right whose results go to a store that misbehaves?

The store is a real one behind support/bad_proxy.py, which spoils a third of all requests.
The checker reads what was stored, past the proxy. What is large goes in parts; it is
read again through the proxy and compared.
"""

import json
import os
import random
import subprocess
import unittest
from urllib.parse import urlsplit

from ledger import Ledgered, add_row, check
from bad_proxy import FAULTS, BadProxy
from s3 import S3Server
from support import BIN, dose

BUCKET = "results"
OBJECT_TOOL = os.path.join(os.path.dirname(BIN), "tests", "object_tool")
LARGE = 17 << 20  # three parts


class BadS3(Ledgered):
    @classmethod
    def make_cluster(cls):
        cls.server = S3Server()
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()
        cls.boto = cls.server.client()
        cls.boto.create_bucket(Bucket=BUCKET)
        cls.proxy = BadProxy(urlsplit(cls.server.endpoint).port, 0.33, seed=17)
        cls.addClassCleanup(cls.proxy.stop)
        cls.env = {**cls.server.env, "AWS_ENDPOINT_URL_S3": cls.proxy.url}
        return super().make_cluster()

    def results_of(self, entry):
        found = {}
        pages = self.boto.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{entry['job_id']}/")
        for page in pages:
            for one in page.get("Contents", []):
                name = one["Key"].split("/")[-1]
                if check.RESULT.fullmatch(name):
                    body = self.boto.get_object(Bucket=BUCKET, Key=one["Key"])["Body"]
                    found[name[:-5]] = json.loads(body.read())
        return found

    def planted(self):
        return sum(self.proxy.counts[fault] for fault in FAULTS)

    def test_results_are_all_there_though_requests_fail(self):
        batches = dose(60, 7000)
        before = self.planted()
        with open(os.path.join(self.cluster.folder, "items"), "w+b") as file:
            file.write("".join(f"{number}\n" for number in range(batches)).encode())
            file.seek(0)
            self.boto.put_object(Bucket=BUCKET, Key="items", Body=file)
        body = self.body(batches, workers=8)
        body["delimited_files"]["s3_paths"] = [f"s3://{BUCKET}/items"]
        body["config"]["dest_s3_dir"] = f"s3://{BUCKET}"
        job = self.cluster.submit("squares", body)
        self.acknowledge(job, batches)
        self.cluster.wait_job("squares", job, patience_s=3600)
        self.wait_ended(job)
        planted = self.planted() - before
        self.assertGreater(planted, batches // 10)
        verdict = self.assert_exact("S3 behind agents and master spoils requests", planted)
        failed = [row["error"] for row in verdict.tables["batch"]
                  if row["state"] != check.SUCCEEDED]
        # With a third of all requests spoilt, one upload in thousands is out of luck.
        self.assertLessEqual(len(failed), batches // 1000, failed)

    def tool(self, *arguments, data=None):
        done = subprocess.run([OBJECT_TOOL, *arguments], input=data, capture_output=True,
                              env=self.cluster.env, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done.stdout

    def test_what_is_put_in_parts_is_read_again_as_it_was(self):
        objects, before, wrong = dose(3, 300), self.planted(), 0
        bytes_of = random.Random(3)
        for number in range(objects):
            data = bytes_of.randbytes(LARGE)
            url = f"s3://{BUCKET}/large/{number}"
            self.tool("put", url, data=data)
            stored = self.boto.get_object(Bucket=BUCKET, Key=f"large/{number}")["Body"].read()
            wrong += stored != data
            wrong += self.tool("read", url, "0") != data
            self.tool("delete", url)
        add_row("S3: uploads in parts, and what is read, are spoilt", self.planted() - before,
                wrong, 0)
        self.assertEqual(wrong, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
