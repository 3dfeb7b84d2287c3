# SPDX-License-Identifier: Apache-2.0
"""s3.py - a real S3 server on loopback for a test, and how boto3 finds it

The server is OpenStack Swift, started by tests/support/s3-server/up with a folder and
ports of its own, so that tests may run side by side. Our own programs find it by
AWS_ENDPOINT_URL_S3. Debian 12's boto3 and awscli do not know that variable; a
predictor that calls boto3.client("s3") and nothing more, as users do, is led there by
botocore's own means: AWS_DATA_PATH names a folder with another endpoint rule set.
"""

import glob
import json
import os
import shutil
import subprocess
import tempfile

import boto3

from ports import free_ports

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(os.path.dirname(HERE), "support", "s3-server")
PORT_NAMES = ["PORT", "APORT", "CPORT", "OPORT", "MPORT", "TLSPORT"]


def rule_set(endpoint):
    """An endpoint rule set of botocore that sends all of S3 to `endpoint`."""
    scheme = {
        "name": "sigv4",
        "signingName": "s3",
        "signingRegion": "us-east-1",
        "disableDoubleEncoding": True,
    }

    def rule(conditions, url):
        properties = {"authSchemes": [scheme]}
        return {
            "type": "endpoint",
            "conditions": conditions,
            "endpoint": {"url": url, "properties": properties, "headers": {}},
        }

    has_bucket = [{"fn": "isSet", "argv": [{"ref": "Bucket"}]}]
    return {
        "version": "1.0",
        "parameters": {
            "Bucket": {"type": "String", "required": False},
            "Region": {"builtIn": "AWS::Region", "type": "String", "required": False},
        },
        "rules": [rule(has_bucket, endpoint + "/{Bucket}"), rule([], endpoint)],
    }


class S3Server:
    """start() to stop(). `env` is what a process needs to reach it as its owner,
    `stranger_env` as a valid user who owns nothing."""

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="cortex-s3-")
        ports = dict(zip(PORT_NAMES, map(str, free_ports(len(PORT_NAMES)))))
        self.script_env = {**os.environ, "S3_SERVER_STATE": self.folder, **ports}
        done = subprocess.run(
            [os.path.join(SCRIPTS, "up")],
            env=self.script_env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            self.stop()
            raise RuntimeError(f"the S3 server does not start:\n{done.stdout}")
        settings = self.read_settings()
        self.endpoint = settings["S3_ENDPOINT"]
        self.tls_endpoint = settings["S3_TLS_ENDPOINT"]
        self.ca = settings["S3_CA"]
        data = os.path.join(self.folder, "aws-data")
        os.makedirs(os.path.join(data, "s3", "2006-03-01"))
        rules = os.path.join(data, "s3", "2006-03-01", "endpoint-rule-set-1.json")
        with open(rules, "w", encoding="utf-8") as file:
            json.dump(rule_set(self.endpoint), file)
        self.env = {
            "AWS_ACCESS_KEY_ID": settings["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": settings["AWS_SECRET_ACCESS_KEY"],
            "AWS_DEFAULT_REGION": settings["AWS_DEFAULT_REGION"],
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_DATA_PATH": data,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.stranger_env = {
            **self.env,
            "AWS_ACCESS_KEY_ID": settings["S3_ACCESS_KEY2"],
            "AWS_SECRET_ACCESS_KEY": settings["S3_SECRET_KEY2"],
        }
        return self

    def read_settings(self):
        script = f". {self.folder}/swift.env && env -0"
        text = subprocess.run(
            ["bash", "-c", script], check=True, capture_output=True, text=True
        ).stdout
        return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)

    def stop(self):
        subprocess.run(
            [os.path.join(SCRIPTS, "down")],
            env=self.script_env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_keys(self, bucket, keys):
        """Writes objects of one byte, "x", into the bucket's listing only: putting
        thousands takes Swift minutes."""
        from swift.common.utils import Timestamp  # here, since they take a second
        from swift.container.backend import ContainerBroker

        pattern = os.path.join(self.folder, "disk", "containers", "*", "*", "*", "*.db")
        brokers = [ContainerBroker(path) for path in glob.glob(pattern)]
        names = {broker.get_info()["container"]: broker for broker in brokers}
        row = {
            "created_at": Timestamp.now().internal,
            "size": 1,
            "content_type": "text/plain",
            "etag": "9dd4e461268c8034f5c8564e155c67a6",
            "deleted": 0,
            "storage_policy_index": 0,
        }
        names[bucket].merge_items([{**row, "name": key} for key in keys])

    def client(self, env=None):
        env = env or self.env
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=env["AWS_DEFAULT_REGION"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        )
