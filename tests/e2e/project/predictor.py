# SPDX-License-Identifier: Apache-2.0
"""A predictor with the tutorial's shape: it takes urls, downloads over HTTP or S3, and
uses boto3 for all else as the tutorial's does. In place of a neural network the bytes'
hash decides on the class, so that a test can tell what must come out. gate.py, written
by the test, can hold it up."""

import hashlib
import json
import os
import re

import boto3
import requests

import gate


class PythonPredictor:
    def __init__(self, config, job_spec):
        gate.wait("init")
        self.labels = requests.get(gate.LABELS_URL).text.split("\n")

        if len(config.get("dest_s3_dir", "")) == 0:
            raise Exception("'dest_s3_dir' field was not provided in job submission")

        self.s3 = boto3.client("s3")
        self.bucket, self.key = re.match("s3://(.+?)/(.+)", config["dest_s3_dir"]).groups()
        self.key = os.path.join(self.key, job_spec["job_id"])

    def predict(self, payload, batch_id):
        gate.wait("predict")
        results = []
        for image_url in payload:
            if image_url.startswith("s3://"):
                bucket, image_key = re.match("s3://(.+?)/(.+)", image_url).groups()
                image = self.s3.get_object(Bucket=bucket, Key=image_key)["Body"].read()
            else:
                image = requests.get(image_url).content
            index = hashlib.sha256(image).digest()[0] % len(self.labels)
            results.append({"url": image_url, "class": self.labels[index]})
        self.s3.put_object(
            Bucket=self.bucket, Key=f"{self.key}/{batch_id}.json", Body=json.dumps(results)
        )

    def on_job_complete(self):
        gate.reached("complete")
        all_results = []
        paginator = self.s3.get_paginator("list_objects_v2")
        for page in paginator.paginate(Bucket=self.bucket, Prefix=self.key):
            for obj in page["Contents"]:
                body = self.s3.get_object(Bucket=self.bucket, Key=obj["Key"])["Body"]
                all_results += json.loads(body.read().decode("utf8"))
        self.s3.put_object(
            Bucket=self.bucket,
            Key=os.path.join(self.key, "aggregated_results.json"),
            Body=json.dumps(all_results),
        )
