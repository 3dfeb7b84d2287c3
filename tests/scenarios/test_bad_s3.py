#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_bad_s3.py - is a job right whose results go to a store that misbehaves?

The store is a real one behind support/bad_proxy.py, which refuses, resets, cuts and
holds up a third of all requests. The checker reads what was stored, past the proxy.
"""

import json
import unittest
from urllib.parse import urlsplit

from ledger import Ledgered, check
from bad_proxy import FAULTS, BadProxy
from s3 import S3Server
from support import dose

BUCKET = "results"


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

    def test_results_are_all_there_though_requests_fail(self):
        batches = dose(60, 3000)
        body = self.body(batches, workers=4)
        body["config"]["dest_s3_dir"] = f"s3://{BUCKET}"
        job = self.cluster.submit("squares", body)
        self.acknowledge(job, batches)
        self.wait_ended(job)
        planted = sum(self.proxy.counts[fault] for fault in FAULTS)
        self.assertGreater(planted, batches // 10)
        verdict = self.assert_exact("S3: 503, 429, 500, resets, stalls, cut answers", planted)
        states = {row["state"] for row in verdict.tables["batch"]}
        self.assertEqual(states, {check.SUCCEEDED}, "every upload was tried often enough")


if __name__ == "__main__":
    unittest.main(verbosity=2)
