# SPDX-License-Identifier: Apache-2.0
"""Which digit is it? The nearest of 597 known handwritten digits says.

An item is {"id": 597, "label": 7, "pixels": [64 numbers from 0 to 16]}. The label is
what the writer meant; it is carried along to measure the answer by, and `predict` does
not look at it to find the answer. What `predict` returns is stored as
<dest_s3_dir>/<job id>/<batch id>.json; when all batches are done, `on_job_complete`
reads those files back and writes summary.json beside them.
"""

import json
import os
import re
from urllib.parse import urlsplit

RESULT_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")
SUMMARY_NAME = "summary.json"


def distance(left, right):
    return sum((a - b) * (a - b) for a, b in zip(left, right))


def summarize(results):
    """Accuracy and confusion matrix: matrix[label][predicted] counts images."""
    matrix = [[0] * 10 for _ in range(10)]
    for result in results:
        matrix[result["label"]][result["predicted"]] += 1
    correct = sum(matrix[digit][digit] for digit in range(10))
    return {
        "images": len(results),
        "correct": correct,
        "accuracy": round(correct / len(results), 4) if results else None,
        "confusion_matrix": matrix,
    }


class FolderResults:
    """The results of a job in a folder, file:///path."""

    def __init__(self, url):
        self.path = urlsplit(url).path

    def read_all(self):
        for name in sorted(os.listdir(self.path)):
            if RESULT_NAME.fullmatch(name):
                with open(os.path.join(self.path, name), encoding="utf-8") as file:
                    yield json.load(file)

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
            file.write(text)


class BucketResults:
    """The results of a job in a bucket, s3://bucket/prefix."""

    def __init__(self, url):
        import boto3

        self.s3 = boto3.client("s3")
        parts = urlsplit(url)
        self.bucket, self.prefix = parts.netloc, parts.path.lstrip("/") + "/"

    def read_all(self):
        pages = self.s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
            for entry in page.get("Contents", []):
                if RESULT_NAME.fullmatch(entry["Key"].rsplit("/", 1)[-1]):
                    found = self.s3.get_object(Bucket=self.bucket, Key=entry["Key"])
                    yield json.load(found["Body"])

    def write(self, name, text):
        self.s3.put_object(
            Bucket=self.bucket, Key=self.prefix + name, Body=text.encode()
        )


class PythonPredictor:
    def __init__(self, config, job_spec):
        with open(config["train"], encoding="utf-8") as file:
            known = [json.loads(line) for line in file]
        self.known = [(image["pixels"], image["label"]) for image in known]

        folder = config.get("dest_s3_dir", "").rstrip("/")
        if not folder.startswith(("s3://", "file:///")):
            raise ValueError(
                f"config.dest_s3_dir is {folder!r}: expected s3://bucket/folder or file:///folder"
            )
        kind = BucketResults if folder.startswith("s3://") else FolderResults
        self.results = kind(f"{folder}/{job_spec['job_id']}")

    def predict(self, payload):
        return [
            {
                "id": image["id"],
                "label": image["label"],
                "predicted": self.nearest(image["pixels"]),
            }
            for image in payload
        ]

    def nearest(self, pixels):
        return min(self.known, key=lambda one: distance(one[0], pixels))[1]

    def on_job_complete(self):
        results = [result for batch in self.results.read_all() for result in batch]
        summary = summarize(results)
        self.results.write(SUMMARY_NAME, json.dumps(summary) + "\n")
        print(
            f"{summary['correct']} of {summary['images']} digits right:"
            f" accuracy {summary['accuracy']}"
        )
