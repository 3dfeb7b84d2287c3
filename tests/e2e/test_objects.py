#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_objects.py - does common/object.h agree with a real S3 server, and with boto3?

Signatures are enforced there, so each key that arrives shows that what was signed is
what was sent.
"""

import os
import subprocess
import unittest

from botocore.exceptions import ClientError

from s3 import S3Server
from support import BIN

TOOL = os.path.join(os.path.dirname(BIN), "tests", "object_tool")
BUCKET = "objects.test"  # with a dot, which path style has to bear

ODD_KEYS = [
    "plain",
    "with space",
    " leading and trailing ",
    "plus+and&and=equals",
    "percent%2Fescaped%20",
    "hive/year=2024/month=02/part-0.json",
    "dots/../up",
    "./here",
    "double//slash",
    "/leading slash",
    "ünïcode/日本語/🚀",
    "quotes'\"<>&;?#[]{}|\\^`~!*(),:@$",
    "new\nline",
    "tab\tand\x7fdelete",
    "k" * 1024,
]


class Objects(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.server = S3Server()
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()
        cls.boto = cls.server.client()
        cls.boto.create_bucket(Bucket=BUCKET)

    def run_tool(self, *arguments, data=b"", **changes):
        env = {**os.environ, **self.server.env, **changes}
        return subprocess.run([TOOL, *arguments], input=data, capture_output=True, env=env)

    def tool(self, *arguments, data=b"", **changes):
        done = self.run_tool(*arguments, data=data, **changes)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refusal(self, *arguments, **changes):
        done = self.run_tool(*arguments, **changes)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr.decode().rstrip("\n")

    def listing(self, prefix, after=""):
        rows = self.tool("list", prefix, after).split(b"\0")[:-1]
        return [row.split(b" ", 2) for row in rows]

    def urls(self, prefix, after=""):
        return [url.decode() for _, _, url in self.listing(prefix, after)]

    def stored(self, key):
        return self.boto.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def test_odd_keys_go_there_and_back_and_boto3_sees_them(self):
        for key in ODD_KEYS:
            with self.subTest(key=key):
                url = f"s3://{BUCKET}/odd/{key}"[: len(f"s3://{BUCKET}/") + 1024]
                key = url[len(f"s3://{BUCKET}/"):]
                data = f"data of {key!r}".encode()
                self.tool("put", url, data=data)
                self.assertEqual(self.stored(key), data)
                self.assertEqual(self.tool("get", url, "0", "5000", ""), data)
                self.assertEqual(self.urls(url), [url])
        urls = self.urls(f"s3://{BUCKET}/odd/")
        self.assertEqual(len(urls), len(ODD_KEYS))
        self.assertEqual(urls, sorted(urls, key=str.encode))
        for url in urls:
            self.tool("delete", url)
        self.assertEqual(self.urls(f"s3://{BUCKET}/odd/"), [])

    def test_a_large_object_goes_in_parts_over_http_and_tls(self):
        data = os.urandom(40 << 20)
        tls = {"AWS_ENDPOINT_URL_S3": self.server.tls_endpoint, "AWS_CA_BUNDLE": self.server.ca}
        for name, changes in [("http", {}), ("tls", tls)]:
            with self.subTest(name):
                url = f"s3://{BUCKET}/large/{name}"
                self.tool("put", url, data=data, **changes)
                self.assertEqual(self.stored(f"large/{name}"), data)
                self.assertEqual(self.tool("read", url, "0", **changes), data)
                self.assertEqual(self.tool("read", url, "20000000", **changes), data[20000000:])
                size, etag = self.tool("stat", url, **changes).split()
                self.assertEqual(int(size), len(data))
                self.assertTrue(etag.endswith(b'-5"'), etag)  # parts of 8 MiB
        uploads = self.boto.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        self.assertEqual(uploads, [])

    def test_a_server_whose_certificate_is_unknown_is_not_talked_to(self):
        message = self.refusal(
            "stat", f"s3://{BUCKET}/x", AWS_ENDPOINT_URL_S3=self.server.tls_endpoint
        )
        self.assertTrue(message.startswith(f"FAILED_PRECONDITION s3://{BUCKET}/x: "), message)
        self.assertIn("AWS_CA_BUNDLE", message)

    def test_listings_are_paged_in_order_and_begin_where_asked(self):
        keys = [f"many/{i // 100:02}/{i:04}" for i in range(2500)]
        self.server.add_keys(BUCKET, keys)
        want = [f"s3://{BUCKET}/{key}" for key in keys]
        rows = self.listing(f"s3://{BUCKET}/many")
        self.assertEqual([url.decode() for _, _, url in rows], want)
        self.assertEqual({(size, etag) for size, etag, _ in rows},
                         {(b"1", b'"9dd4e461268c8034f5c8564e155c67a6"')})  # of b"x"
        self.assertEqual(self.urls(f"s3://{BUCKET}/many", want[1234]), want[1235:])
        self.assertEqual(self.urls(f"s3://{BUCKET}/many/07/07"), want[700:800])

    def test_ranges_and_ends(self):
        url = f"s3://{BUCKET}/range"
        self.tool("put", url, data=b"0123456789")
        for offset, size, want in [
            (0, 4, b"0123"), (3, 4, b"3456"), (8, 4, b"89"), (10, 4, b""), (0, 0, b""),
            (0, 2**64 - 1, b"0123456789"), (4, 2**64 - 1, b"456789"), (12, 2**64 - 1, b""),
        ]:
            self.assertEqual(self.tool("get", url, str(offset), str(size), ""), want)
        self.assertEqual(self.tool("read", url, "10"), b"")
        empty = f"s3://{BUCKET}/empty"
        self.tool("put", empty, data=b"")
        self.assertEqual(self.tool("get", empty, "0", "100", ""), b"")
        self.assertEqual(self.tool("read", empty, "0"), b"")
        self.assertEqual(self.tool("stat", empty).split()[0], b"0")

    def test_an_object_that_has_changed_is_not_read_on(self):
        url = f"s3://{BUCKET}/changing"
        self.tool("put", url, data=b"one")
        etag = self.tool("stat", url).split()[1].decode()
        self.assertEqual(self.tool("get", url, "0", "9", etag), b"one")
        self.tool("put", url, data=b"two")
        self.assertRegex(self.refusal("get", url, "0", "9", etag), f"^ABORTED {url}: ")

    def test_what_is_missing_is_named(self):
        for verb in [("stat",), ("get", "0", "9", ""), ("read", "0")]:
            missing = self.refusal(verb[0], f"s3://{BUCKET}/none", *verb[1:])
            self.assertRegex(missing, f"^NOT_FOUND s3://{BUCKET}/none: there is no such object")
            bucket = self.refusal(verb[0], "s3://no-bucket/none", *verb[1:])
            self.assertRegex(bucket, "^NOT_FOUND s3://no-bucket/none: the bucket 'no-bucket' does not")
        self.assertRegex(self.refusal("put", "s3://no-bucket/x"), "^NOT_FOUND s3://no-bucket/x: ")
        self.assertRegex(self.refusal("list", "s3://no-bucket/x", ""), "^NOT_FOUND s3://no-bucket/")
        self.tool("delete", f"s3://{BUCKET}/none")

    def test_who_is_not_allowed_is_told_where(self):
        url = f"s3://{BUCKET}/private"
        self.tool("put", url, data=b"x")
        stranger = self.server.stranger_env
        wrong = {"AWS_SECRET_ACCESS_KEY": "wrong"}
        for changes in [stranger, wrong]:
            for verb in [("stat",), ("get", "0", "9", ""), ("put",), ("delete",), ("list", "")]:
                message = self.refusal(verb[0], url, *verb[1:], **changes)
                self.assertRegex(message, f"^PERMISSION_DENIED s3://{BUCKET}/")
                self.assertIn(f"the bucket '{BUCKET}' refuses access", message)
        with self.assertRaises(ClientError):
            self.server.client(stranger).get_object(Bucket=BUCKET, Key="private")

    def test_the_region_the_server_names_is_used(self):
        url = f"s3://{BUCKET}/region"
        self.tool("put", url, data=b"x", AWS_DEFAULT_REGION="eu-west-1")
        self.assertEqual(self.tool("read", url, "0", AWS_DEFAULT_REGION="eu-west-1"), b"x")
        self.assertEqual(
            self.tool("stat", url, AWS_DEFAULT_REGION="eu-west-1").split()[0], b"1"
        )

    def test_who_we_are_is_told(self):
        self.assertEqual(
            self.tool("describe").decode(), f"environment, {self.server.endpoint}"
        )


if __name__ == "__main__":
    unittest.main()
