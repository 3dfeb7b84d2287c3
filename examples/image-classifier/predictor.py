# SPDX-License-Identifier: Apache-2.0
"""What is in a picture? torchvision's AlexNet says, one of ImageNet's 1,000 classes.

An item is where a picture is: "https://...", "http://..." or "s3://bucket/key". A
batch's answers go to <dest_s3_dir>/<job id>/<batch id>.json, and when all batches are
done they are gathered into aggregated_results.json beside them.
"""

import io
import json
from urllib.parse import urlsplit

import boto3
import requests
import torch
from PIL import Image
from torchvision.models import AlexNet_Weights, alexnet

FETCH_TIMEOUT_S = 30
GATHERED_NAME = "aggregated_results.json"


class PythonPredictor:
    def __init__(self, config, job_spec):
        destination = urlsplit(config.get("dest_s3_dir", ""))
        if destination.scheme != "s3" or not destination.path.strip("/"):
            raise ValueError(
                f"config.dest_s3_dir is {config.get('dest_s3_dir')!r}: expected s3://bucket/folder"
            )
        self.bucket = destination.netloc
        self.folder = f"{destination.path.strip('/')}/{job_spec['job_id']}/"
        self.s3 = boto3.client("s3")

        weights = AlexNet_Weights.IMAGENET1K_V1
        self.model = alexnet(weights=weights).eval()
        self.prepare = weights.transforms()
        self.classes = weights.meta["categories"]

    def predict(self, payload, batch_id):
        pictures = torch.stack([self.prepare(self.load(url)) for url in payload])
        with torch.inference_mode():
            best = self.model(pictures).argmax(dim=1).tolist()
        answers = [
            {"url": url, "class": self.classes[index]}
            for url, index in zip(payload, best)
        ]
        self.store(f"{batch_id}.json", answers)

    def on_job_complete(self):
        gathered = []
        pages = self.s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.folder):
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/" + GATHERED_NAME):
                    gathered += json.loads(self.read(self.bucket, entry["Key"]))
        self.store(GATHERED_NAME, gathered)

    def load(self, url):
        parts = urlsplit(url)
        if parts.scheme == "s3":
            content = self.read(parts.netloc, url.split("/", 3)[3])
        else:
            answer = requests.get(url, timeout=FETCH_TIMEOUT_S)
            answer.raise_for_status()
            content = answer.content
        return Image.open(io.BytesIO(content)).convert("RGB")

    def read(self, bucket, key):
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def store(self, name, value):
        body = json.dumps(value).encode()
        self.s3.put_object(Bucket=self.bucket, Key=self.folder + name, Body=body)
