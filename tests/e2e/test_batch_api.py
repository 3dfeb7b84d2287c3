#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_batch_api.py - what the Batch API promises beyond the tutorial, on a real cluster"""

import ctypes
import gzip
import json
import os
import pty
import re
import signal
import subprocess
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support import (
    PATIENCE_S,
    Cluster,
    ClusterTest,
    Gate,
    dose,
    wait_until,
    write_project,
)

CLOSING = "no batches left in queue, job has been completed"
CLOSING_LINE = rf"^[0-9-]{{10}} [0-9:.]{{15}}:cortex:pid-[0-9]+:INFO:{CLOSING}$"

THING = """
import os
import gate

class PythonPredictor:
    def __init__(self, config):
        print("version 1 with", os.environ["GREETING"])

    def predict(self, payload, batch_id):
        gate.wait("predict")
        print("seen", payload)
        if "bad" in payload:
            raise ValueError("a bad item")
"""

NOISY = r"""
import os, time

class PythonPredictor:
    def __init__(self, config):
        pass

    def predict(self):
        bar = b"".join(b"\r%3d%%" % (i % 101) for i in range(29835)) + b"\rdone"
        lines = b"".join(b"line %d\n" % i for i in range(5))
        os.write(2, lines)
        rest = bar + b"\n"
        while rest:
            rest = rest[os.write(2, rest):]
        os.write(1, b"junk \xff\xfe\x00\x01 end\n")
        os.write(1, b"no newline at the end")
"""

BUSY = """
import time

class PythonPredictor:
    def __init__(self, config):
        pass

    def predict(self, payload):
        time.sleep(0.02)
"""

CONFIG = """
- name: thing
  kind: BatchAPI
  predictor:
    type: python
    path: thing.py
    env: {GREETING: hello}
  compute:
    cpu: 100m

- name: noisy
  kind: BatchAPI
  predictor:
    type: python
    path: noisy.py
  networking:
    endpoint: /very/noisy
  compute:
    cpu: 100m

- name: busy
  kind: BatchAPI
  predictor:
    type: python
    path: busy.py
  compute:
    cpu: 4
"""


def items(count, batch_size=1, workers=1, **fields):
    source = {"items": list(range(count)), "batch_size": batch_size}
    return {"workers": workers, "item_list": source, **fields}


def compressed_by_zstd(data):
    library = ctypes.CDLL("libzstd.so.1")
    out = ctypes.create_string_buffer(len(data) + 1024)
    library.ZSTD_compress.restype = ctypes.c_size_t
    size = library.ZSTD_compress(
        out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3
    )
    return out.raw[:size]


class SilentStore:
    """An S3 that lists one object and never gives its bytes: enqueuing takes for ever."""

    LISTING = (
        b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>'
        b'<Contents><Key>x.json</Key><Size>5</Size><ETag>"e"</ETag></Contents>'
        b"</ListBucketResult>"
    )

    def __init__(self):
        self.asked = threading.Event()
        self.over = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if "list-type" not in self.path:
                    store.asked.set()
                    store.over.wait(PATIENCE_S)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(store.LISTING)))
                self.end_headers()
                self.wfile.write(store.LISTING)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.env = {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class BatchApi(ClusterTest):
    maxDiff = 2000

    @classmethod
    def make_cluster(cls):
        cls.silent = SilentStore()
        return Cluster(env=cls.silent.env)

    @classmethod
    def prepare(cls):
        cls.gate = Gate(os.path.join(cls.cluster.folder, "gate"))
        cls.project = write_project(
            os.path.join(cls.cluster.folder, "several"),
            "",
            **{
                "cortex.yaml": CONFIG,
                "thing.py": THING,
                "noisy.py": NOISY,
                "busy.py": BUSY,
                "gate.py": cls.gate.source(),
            },
        )
        cls.deployed = cls.cluster.deploy(cls.project)

    @classmethod
    def cleanup(cls):
        super().cleanup()
        cls.silent.stop()

    # Ways of this test

    def cortex(self, *arguments, **options):
        return self.cluster.cortex(*arguments, "--env", "aws", **options).stdout

    def ended(self, api, body, want="status_succeeded"):
        job = self.cluster.submit(api, body)
        status = self.cluster.wait_job(api, job)
        self.assertEqual(status["status"], want, self.cluster.log(api, job))
        return job

    def held_job(self, body=None):
        """A job of "thing" that runs until release()."""
        self.gate.hold("predict")
        before = self.gate.count("predict")
        job = self.cluster.submit("thing", body or items(2))
        self.gate.wait_reached("predict", before + 1)
        return job

    def release(self, job=None):
        self.gate.release("predict")
        if job:
            self.cluster.wait_job("thing", job)

    def folder(self, name, **files):
        path = os.path.join(self.cluster.folder, name)
        os.makedirs(path)
        for file_name, data in files.items():
            with open(os.path.join(path, file_name), "wb") as file:
                file.write(data)
        return path

    def seen(self, job):
        """What the predictors were given, in order."""
        lines = self.cluster.log("thing", job).splitlines()
        return [json.loads(line[5:].replace("'", '"')) for line in lines if line.startswith("seen ")]

    def refused(self, method, path, status, *said, **options):
        answer = self.cluster.http(method, path, **options)
        self.assertEqual(answer.status, status, f"{path}: {answer.text}")
        for words in said:
            self.assertIn(words, answer.json["message"])
        return answer

    # Deploying

    def test_several_apis_of_one_file_are_deployed_together(self):
        self.assertEqual(
            self.deployed,
            "created thing (BatchAPI)\ncreated noisy (BatchAPI)\ncreated busy (BatchAPI)\n",
        )
        rows = [line.split()[0] for line in self.cortex("get").splitlines()[1:]]
        for name in ("busy", "noisy", "thing"):
            self.assertIn(name, rows)
        self.assertEqual(rows, sorted(rows))

    def test_an_endpoint_of_its_own_is_where_the_api_is(self):
        job = self.cluster.http("POST", "/very/noisy", items(1)).json["job_id"]
        status = self.cluster.wait_job("very/noisy", job)
        self.assertEqual(status["api_name"], "noisy")
        document = self.cluster.http("GET", f"/very/noisy?{job}").json
        self.assertEqual(document["endpoint"], f"{self.cluster.url}/very/noisy")
        self.refused("GET", "/noisy", 404, "/noisy")

    def test_a_job_keeps_the_version_it_was_submitted_to(self):
        predictor = THING.replace('"hello"', '"x"')
        folder = os.path.join(self.cluster.folder, "pinned")
        config = CONFIG.split("\n- name: noisy")[0].replace("thing", "pinned")

        def deploy(version):
            self.cluster.deploy(write_project(folder, "", **{
                "cortex.yaml": config,
                "pinned.py": predictor.replace("version 1", f"version {version}"),
                "gate.py": self.gate.source(),
            }))

        deploy(1)
        self.gate.hold("predict")
        before = self.gate.count("predict")
        old = self.cluster.submit("pinned", items(3))
        self.gate.wait_reached("predict", before + 1)
        deploy(2)
        self.gate.release("predict")
        new = self.ended("pinned", items(1))
        self.cluster.wait_job("pinned", old)
        self.assertNotEqual(
            self.cluster.job("pinned", old)["api_id"], self.cluster.job("pinned", new)["api_id"]
        )
        self.assertIn("version 1 with hello\n", self.cluster.log("pinned", old))
        self.assertNotIn("version 2", self.cluster.log("pinned", old))
        self.assertIn("version 2 with hello\n", self.cluster.log("pinned", new))

    def test_deleting_an_api_ends_its_jobs_and_their_followers(self):
        folder = os.path.join(self.cluster.folder, "doomed")
        config = CONFIG.split("\n- name: noisy")[0].replace("thing", "doomed")
        files = {"cortex.yaml": config, "doomed.py": THING, "gate.py": self.gate.source()}
        self.cluster.deploy(write_project(folder, "", **files))
        self.gate.hold("predict")
        before = self.gate.count("predict")
        job = self.cluster.submit("doomed", items(3))
        self.gate.wait_reached("predict", before + 1)
        follower = subprocess.Popen(
            ["cortex", "logs", "doomed", job, "--env", "aws"],
            env=self.cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.assertEqual(follower.stdout.readline(), "started enqueuing batches to queue\n")
        self.assertEqual(self.cortex("delete", "doomed"), "deleting doomed\n")
        follower.communicate(timeout=PATIENCE_S)
        self.gate.release("predict")
        self.refused("GET", f"/doomed/{job}", 404)
        self.refused("GET", f"/doomed/{job}/logs", 404)

    # Submitting

    def test_the_answer_to_a_submission_has_all_keys_in_order(self):
        body = items(1, config={"b": 1.0, "a": [12345678901234567890]}, timeout=60)
        answer = self.cluster.http("POST", "/thing", json.dumps(body))
        self.assertEqual(
            list(answer.json),
            ["job_id", "api_name", "workers", "sqs_dead_letter_queue", "config", "timeout",
             "api_id", "spec_id", "predictor_id", "sqs_url", "total_batch_count", "start_time"],
        )
        self.assertIn('{"b": 1.0, "a": [12345678901234567890]}', answer.text)
        self.assertEqual(answer.text.count("\n"), 1)
        self.assertRegex(answer.json["start_time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")

    def test_a_key_makes_repeats_one_job_whatever_happens_between(self):
        body = json.dumps(items(2))
        headers = {"Idempotency-Key": "night 17"}
        first = self.cluster.http("POST", "/thing", body, headers)
        self.cluster.wait_job("thing", first.json["job_id"])
        self.assertEqual(self.cluster.http("POST", "/thing", body, headers).body, first.body)
        self.cluster.kill("master")
        self.cluster.restart()
        self.assertEqual(self.cluster.http("POST", "/thing", body, headers).body, first.body)
        self.refused(
            "POST", "/thing", 409, "night 17", body=json.dumps(items(3)), headers=headers
        )
        other = self.cluster.http("POST", "/thing", body, {"Idempotency-Key": "night 18"})
        self.assertNotEqual(other.json["job_id"], first.json["job_id"])

    def test_compressed_and_marked_inputs_are_read_as_what_they_hold(self):
        folder = self.folder("kinds", **{
            "a.json": b"\xef\xbb\xbf1\r\n2\r\n",
            "b.json.gz": gzip.compress(b"3\n") + gzip.compress(b"4\n"),
            "c.json.zst": compressed_by_zstd(b'"five"\n'),
            "d.json": b'6 7{"x":\n8}["y"]\n\n',
            "e.json": b"",
        })
        source = {"s3_paths": [f"file://{folder}/"], "batch_size": 4}
        job = self.ended("thing", {"workers": 1, "delimited_files": source})
        self.assertEqual(self.seen(job), [[1, 2, 3, 4], ["five", 6, 7, {"x": 8}], [["y"]]])
        files = [line for line in self.cluster.log("thing", job).splitlines() if "contents" in line]
        self.assertEqual(files, [
            f"enqueuing contents from file file://{folder}/{name}"
            for name in ("a.json", "b.json.gz", "c.json.zst", "d.json", "e.json")
        ])

    def test_a_malformed_file_is_pointed_into(self):
        lines = b'{"a": 1}\n[2]\n{"b": nope}\n'
        for name, data in {"plain.json": lines, "packed.json.gz": gzip.compress(lines)}.items():
            folder = self.folder(f"malformed-{name}", **{name: data})
            source = {"s3_paths": [f"file://{folder}/"], "batch_size": 1}
            body = {"workers": 1, "delimited_files": source}
            job = self.ended("thing", body, "status_enqueue_failed")
            line = self.cluster.log("thing", job).splitlines()[-1]
            self.assertRegex(line, "^failed to enqueue all batches: ")
            for words in (f"file://{folder}/{name}", "item 2", "line 3", "byte 20", "nope"):
                self.assertIn(words, line)
            self.assertEqual(self.cluster.job("thing", job)["reason"], line)

    def test_an_item_of_a_file_over_8_mib_says_the_limit(self):
        folder = self.folder("wide", **{"x.json": b'1\n"' + b"x" * (9 << 20) + b'"\n'})
        source = {"s3_paths": [f"file://{folder}/"], "batch_size": 1}
        body = {"workers": 1, "delimited_files": source}
        job = self.ended("thing", body, "status_enqueue_failed")
        self.assertRegex(self.cluster.log("thing", job), "x.json: item 1.*(8388608|8 MiB)")

    def test_files_without_items_fail_and_the_log_says_what_to_look_at(self):
        folder = self.folder("empty", **{"x.json": b" \n"})
        source = {"s3_paths": [f"file://{folder}/"], "batch_size": 1}
        body = {"workers": 1, "delimited_files": source}
        job = self.ended("thing", body, "status_enqueue_failed")
        log = self.cluster.log("thing", job)
        self.assertIn("no data was found", log)
        self.assertIn("dryRun=true", log)
        printed = self.cortex("get", "thing", job)
        self.assertIn("\nstatus: failed while enqueuing\n", printed)

    def test_a_covered_path_is_skipped_and_both_are_named(self):
        folder = self.folder("covered", **{"a.json": b"1", "ab.json": b"2"})
        paths = [f"file://{folder}/ab", f"file://{folder}/a", f"file://{folder}/a"]
        source = {"s3_paths": paths, "batch_size": 5}
        job = self.ended("thing", {"workers": 1, "delimited_files": source})
        self.assertEqual(self.seen(job), [[1, 2]])
        log = self.cluster.log("thing", job)
        self.assertEqual(log.count(f"skipping {paths[0]}, since {paths[1]} covers it\n"), 1)
        self.assertEqual(log.count(f"skipping {paths[1]}, since {paths[1]} covers it\n"), 1)

    def test_many_files_are_listed_and_every_100_batches_are_said(self):
        count = dose(2500, 100_000)
        folder = os.path.join(self.cluster.folder, "many")
        os.makedirs(folder)
        for number in range(count):
            os.close(os.open(os.path.join(folder, f"{number}"), os.O_CREAT | os.O_WRONLY, 0o644))
        size = count // 250
        source = {"s3_paths": [f"file://{folder}/"], "batch_size": size}
        body = {"workers": 1, "file_path_lister": source}
        lines = self.cluster.http("POST", "/thing?dryRun=true", body).text.split("\n")
        self.assertEqual(lines[-1], "validations passed")
        self.assertEqual(lines[:-1], sorted(f"file://{folder}/{i}" for i in range(count)))
        job = self.ended("thing", body)
        self.assertEqual(
            self.cluster.log("thing", job).splitlines()[:5],
            ["started enqueuing batches to queue", "enqueued 100 batches", "enqueued 200 batches",
             "completed enqueuing a total of 250 batches", "spinning up workers..."],
        )
        last = self.cluster.http("GET", f"/thing/{job}/batches?limit=1&after=248").json["batches"][0]
        payload = self.cluster.http("GET", f"/thing/{job}/batches/{last['id']}/payload").json
        self.assertEqual(payload, lines[-1 - size:-1])

    def test_a_job_is_stopped_while_it_is_enqueued(self):
        source = {"s3_paths": ["s3://bucket/x"], "batch_size": 1}
        job = self.cluster.submit("thing", {"workers": 1, "delimited_files": source})
        self.assertTrue(self.silent.asked.wait(PATIENCE_S))
        document = self.cluster.job("thing", job)
        self.assertEqual(document["status"], "status_enqueuing")
        self.assertIsNone(document["batch_metrics"])
        self.assertIsNone(document["worker_counts"])
        printed = self.cortex("get", "thing", job)
        self.assertIn("\nstatus: enqueuing\n", printed)
        self.assertEqual(self.cortex("delete", "thing", job), f"stopped job {job}\n")
        self.assertEqual(self.cluster.job("thing", job)["status"], "status_stopped")
        self.assertIn("stop", self.cluster.log("thing", job).splitlines()[-1])

    # Asking

    def test_two_ids_are_refused_unless_they_are_one(self):
        job = self.held_job()
        other = "0" * 16
        for method in ("GET", "DELETE"):
            for query in (f"jobID={other}", f"job_id={other}", f"jobId={other}", other):
                self.refused(method, f"/thing/{job}?{query}", 400, job, other)
            self.refused(method, f"/thing?jobID={job}&job_id={other}", 400, job, other)
        self.assertEqual(self.cluster.job("thing", job)["status"], "status_running")
        self.assertEqual(self.cluster.http("GET", f"/thing/{job}?jobID={job}").status, 200)
        answer = self.cluster.http("DELETE", f"/thing/{job}?{job}")
        self.assertEqual(answer.text, f"stopped job {job}\n")
        self.release()

    def test_questions_that_make_no_sense_are_quoted(self):
        job = self.ended("thing", items(1))
        for query, said in {
            "limit=many": "many", "limit=-1": "-1", "after=zz": "zz", "status=happy": "happy",
        }.items():
            self.refused("GET", f"/thing?{query}", 400, said)
        for query, said in {
            "state=happy": "happy", "limit=x": "x", "after=x": "x",
        }.items():
            self.refused("GET", f"/thing/{job}/batches?{query}", 400, said)
        for query, said in {"offset=-1": "-1", "follow=maybe": "maybe"}.items():
            self.refused("GET", f"/thing/{job}/logs?{query}", 400, said)
        self.refused("GET", f"/thing/{job}/batches/{'0' * 8}/payload", 404)
        self.refused("GET", f"/thing/{job}/nothing", 404)
        self.refused("GET", "/_/metrics", 404)
        self.refused("DELETE", "/thing", 400)

    def test_jobs_in_progress_are_found_by_status(self):
        done = self.ended("thing", items(1))
        job = self.held_job()
        for status in ("running", "status_running"):
            page = self.cluster.http("GET", f"/thing?status={status}&limit=1000").json
            found = [one["job_id"] for one in page["job_statuses"]]
            self.assertIn(job, found)
            self.assertNotIn(done, found)
        page = self.cluster.http("GET", "/thing?limit=1").json
        self.assertEqual([one["job_id"] for one in page["job_statuses"]], [job])
        self.release(job)

    def test_batches_are_found_by_state_and_in_pages_with_their_items(self):
        values = [1, 'x"y', "bad", 4.50, {"k": None}, "bad", 7]
        text = '[1, "x\\"y", "bad", 4.50, {"k": null}, "bad", 7]'
        body = f'{{"workers": 2, "item_list": {{"items": {text}, "batch_size": 1}}}}'
        job = self.cluster.submit("thing", body)
        self.cluster.wait_job("thing", job)
        path = f"/thing/{job}/batches"
        rows, after = [], ""
        while True:
            page = self.cluster.http("GET", f"{path}?limit=3{after}").json
            rows += page["batches"]
            if page["next_after"] is None:
                break
            self.assertEqual(len(page["batches"]), 3)
            after = f"&after={page['next_after']}"
        self.assertEqual([row["index"] for row in rows], list(range(7)))
        self.assertEqual(len({row["id"] for row in rows}), 7)
        for row, value in zip(rows, values):
            self.assertEqual(row["state"], "failed" if value == "bad" else "succeeded")
            self.assertRegex(row["worker"], "^[0-9a-f]{16}$")
            self.assertGreater(row["duration"], 0)
            payload = self.cluster.http("GET", f"{path}/{row['id']}/payload")
            self.assertEqual(payload.json, [value])
        self.assertEqual(
            self.cluster.http("GET", f"{path}/{rows[3]['id']}/payload").text.strip(), "[4.50]"
        )
        for state, want in {"failed": [2, 5], "succeeded": [0, 1, 3, 4, 6], "queued": []}.items():
            found = self.cluster.http("GET", f"{path}?state={state}").json["batches"]
            self.assertEqual([row["index"] for row in found], want)
        second = self.cluster.http("GET", f"{path}?state=failed&limit=1&after=2").json["batches"]
        self.assertEqual([row["index"] for row in second], [5])
        self.assertIn("a bad item", second[0]["error"])

    def test_batches_of_a_running_job_are_in_hand_or_queued(self):
        job = self.held_job(items(50))
        path = f"/thing/{job}/batches"
        for state in ("in_hand", "queued"):
            found = self.cluster.http("GET", f"{path}?state={state}").json["batches"]
            self.assertTrue(found)
            self.assertEqual({row["state"] for row in found}, {state})
        payload = self.cluster.http("GET", f"{path}/{found[-1]['id']}/payload").json
        self.assertEqual(payload, [found[-1]["index"]])
        self.release(job)

    # Logs

    def test_several_readers_follow_one_log_from_where_they_like(self):
        job = self.held_job(items(3))
        found = {}

        def follow(offset):
            path = f"/thing/{job}/logs?follow=true&offset={offset}"
            found[offset] = self.cluster.http("GET", path).body

        readers = [threading.Thread(target=follow, args=(offset,)) for offset in (0, 1, 50, 200)]
        for reader in readers:
            reader.start()
        printed = subprocess.Popen(
            ["cortex", "logs", "thing", job, "--env", "aws"],
            env=self.cluster.env, stdout=subprocess.PIPE,
        )
        self.assertEqual(printed.stdout.readline(), b"started enqueuing batches to queue\n")
        self.release(job)
        rest = printed.stdout.read()
        self.assertEqual(printed.wait(PATIENCE_S), 0)
        printed.stdout.close()
        for reader in readers:
            reader.join()
        whole = self.cluster.http("GET", f"/thing/{job}/logs").body
        self.assertEqual(b"started enqueuing batches to queue\n" + rest, whole)
        for offset, text in found.items():
            self.assertEqual(text, whole[offset:])
        beyond = self.cluster.http("GET", f"/thing/{job}/logs?follow=true&offset=1000000")
        self.assertEqual((beyond.status, beyond.body), (200, b""))

    def test_progress_bars_and_binary_junk_become_lines_of_text(self):
        job = self.cluster.http("POST", "/very/noisy", items(1)).json["job_id"]
        self.cluster.wait_job("very/noisy", job)
        body = self.cluster.http("GET", f"/very/noisy/{job}/logs?follow=true").body
        lines = body.decode().splitlines()  # it is valid UTF-8
        self.assertLess(len(body), 10_000)
        for number in range(5):
            self.assertIn(f"line {number}", lines)
        self.assertIn("done", lines)
        self.assertIn("junk \ufffd\ufffd\ufffd\ufffd end", lines)
        self.assertIn("no newline at the end", lines)
        self.assertNotIn(b"\r", body)
        self.assertRegex(lines[-1], CLOSING_LINE)

    def test_the_closing_line_is_the_last_of_many_workers(self):
        for _ in range(dose(3, 30)):
            job = self.ended("thing", items(40, workers=4))
            lines = self.cluster.http("GET", f"/thing/{job}/logs?follow=true").text.splitlines()
            self.assertRegex(lines[-1], CLOSING_LINE)
            self.assertEqual(sum(line.endswith(CLOSING) for line in lines), 1)

    def test_ctrl_c_on_a_log_leaves_the_job_alone(self):
        job = self.held_job()
        reader = subprocess.Popen(
            ["cortex", "logs", "thing", job, "--env", "aws"],
            env=self.cluster.env, stdout=subprocess.PIPE,
        )
        reader.stdout.readline()
        reader.send_signal(signal.SIGINT)
        reader.communicate(timeout=PATIENCE_S)
        self.assertNotEqual(reader.returncode, 0)
        self.assertEqual(self.cluster.job("thing", job)["status"], "status_running")
        self.release(job)

    # Sharing

    def test_a_later_job_gets_workers_while_a_large_one_runs(self):
        large = self.cluster.submit("busy", items(100_000, workers=2))
        wait_until(
            lambda: (self.cluster.job("busy", large)["worker_counts"] or {}).get("running") == 2,
            "the large job has the whole agent",
        )
        self.ended("busy", items(5))
        status = self.cluster.job("busy", large)
        self.assertEqual(status["status"], "status_running")
        self.assertEqual(status["batch_metrics"]["failed"], 0)
        wait_until(
            lambda: (self.cluster.job("busy", large)["worker_counts"] or {}).get("running") == 2,
            "the large job has the whole agent again",
        )
        self.cluster.http("DELETE", f"/busy/{large}")

    def test_what_cannot_be_placed_is_pending_and_blocks_nobody(self):
        folder = os.path.join(self.cluster.folder, "whole")
        config = CONFIG.split("\n- name: noisy")[0].replace("thing", "whole")
        config = config.replace("100m", "8")
        files = {"cortex.yaml": config, "whole.py": THING, "gate.py": self.gate.source()}
        self.cluster.deploy(write_project(folder, "", **files))
        held = self.held_job()
        waiting = self.cluster.submit("whole", items(1))
        wait_until(
            lambda: (self.cluster.job("whole", waiting)["worker_counts"] or {}).get("pending") == 1,
            "the worker that needs the whole agent is pending",
        )
        self.assertRegex(
            self.cortex("get", "whole", waiting),
            r"requested   pending   initializing   running   failed   succeeded\n"
            r"1           1         0              0         0        0\n",
        )
        self.ended("busy", items(1))
        self.release(held)
        self.cluster.wait_job("whole", waiting)

    # The command line

    def test_every_command_that_prints_a_result_prints_json_when_asked(self):
        job = self.held_job()

        def printed(*arguments, **options):
            return json.loads(
                self.cluster.cortex(*arguments, "--output", "json", **options).stdout
            )

        env = ("--env", "aws")
        row = printed("deploy", *env, cwd=self.project)[0]
        self.assertEqual(row["message"], "thing (BatchAPI) is up to date")
        self.assertEqual(
            {one["spec"]["name"] for one in printed("get", *env)} & {"thing", "noisy", "busy"},
            {"thing", "noisy", "busy"},
        )
        api = printed("get", "thing", *env)
        self.assertEqual(api["job_statuses"][0]["job_id"], job)
        self.assertEqual(printed("get", "thing", job, *env)["job_status"]["job_id"], job)
        self.assertEqual(
            printed("delete", "thing", job, *env), {"message": f"stopped job {job}"}
        )
        self.release()
        self.assertIn("cli_version", printed("version", *env))
        self.assertEqual(printed("env", "list")[0]["name"], "aws")
        self.assertEqual(
            len(printed("cluster", "info", "--state-dir", self.cluster.state)["daemons"]), 3
        )

    def test_verbose_adds_versions_and_configuration(self):
        job = self.ended("thing", items(1, config={"depth": 7}))
        brief, full = self.cortex("get", "thing"), self.cortex("get", "thing", "--verbose")
        self.assertEqual(full[:len(brief)].split("\n")[0], brief.split("\n")[0])
        self.assertRegex(full, r"\napi id +last deployed\n")
        self.assertRegex(full, r"\napi configuration\n  \{\n")
        self.assertIn('"path": "thing.py"', full)
        full = self.cortex("get", "thing", job, "-v")
        self.assertRegex(full, r"\njob configuration\n  \{\n")
        self.assertIn('"depth": 7', full)

    def test_watch_draws_on_a_terminal_and_ends_with_the_job(self):
        job = self.held_job()
        main, side = pty.openpty()
        watch = subprocess.Popen(
            ["cortex", "get", "thing", job, "--watch", "--env", "aws"],
            env={**self.cluster.env, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
            stdin=side, stdout=side, stderr=side, close_fds=True,
        )
        os.close(side)
        seen = b""
        while b"[" not in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen):  # the bar
            seen += os.read(main, 65536)
        self.assertIn(b"running", seen)
        self.release()
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not part:
                break
            seen += part
        os.close(main)
        self.assertEqual(watch.wait(PATIENCE_S), 0)
        self.assertIn(b"succeeded", seen)
        self.assertIn(f"$ cortex get thing {job}".encode(), seen)

    def test_commands_may_be_cut_short_if_only_one_is_meant(self):
        full = self.cortex("version")
        self.assertEqual(self.cortex("vers"), full)
        info = self.cluster.cortex("clu", "i", "--state-dir", self.cluster.state).stdout
        self.assertIn("master", info)
        done = self.cluster.cortex("c", check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, '^error: ambiguous command "c".*cluster, completion')

    def test_wrong_arguments_are_exit_status_1_with_a_sentence(self):
        for arguments, said in {
            ("get", "thing", "xyz"): "xyz",
            ("logs", "thing"): "JOB_ID",
            ("delete",): "API",
            ("get", "--watchh"): "watchh",
            ("get", "--output", "yaml"): "yaml",
            ("get", "a", "b", "c"): "c",
            ("completion", "fish"): "fish",
            ("deploy", "nowhere.yaml", "--env", "aws"): "nowhere.yaml",
        }.items():
            with self.subTest(arguments=arguments):
                done = self.cluster.cortex(*arguments, check=False)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertRegex(done.stderr, "^error: .*" + re.escape(said))

    def test_environments_are_added_listed_chosen_and_deleted(self):
        self.cluster.cortex(
            "env", "configure", "other", "--master", "tcp://127.0.0.1:1", "--bridge", "http://b:1"
        )
        self.assertRegex(self.cluster.cortex("env", "list").stdout, r"(?m)^name: +other$")
        self.cluster.cortex("env", "default", "other")
        self.assertRegex(
            self.cluster.cortex("env", "list").stdout, r"(?m)^name: +other \(default\)$"
        )
        self.cluster.cortex("env", "default", "aws")
        self.cluster.cortex("env", "delete", "other")
        self.assertNotIn("other", self.cluster.cortex("env", "list").stdout)
        done = self.cluster.cortex("env", "delete", "other", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("other", done.stderr)

    def test_bash_completes_commands_options_and_shells(self):
        def completed(*words):
            typed = " ".join(f"'{word}'" for word in words)
            script = (
                "source <(cortex completion bash)\n"
                f"COMP_WORDS=({typed}) COMP_CWORD={len(words) - 1}\n"
                "_cortex\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
            )
            return self.cluster.shell(script).split()

        self.assertEqual(completed("cortex", "de"), ["deploy", "delete"])
        self.assertEqual(completed("cortex", "cluster", "u"), ["up"])
        self.assertEqual(completed("cortex", "get", "--w"), ["--watch"])
        self.assertEqual(completed("cortex", "completion", "b"), ["bash"])
        self.assertIn("complete", self.cluster.shell("source <(cortex completion bash); complete -p cortex"))

    def test_zsh_completes_commands_options_and_files(self):
        def completed(*words):
            typed = " ".join(f"'{word}'" for word in words)
            script = (
                "compdef() { :; }\n"
                'compadd() { shift; print -l -- ${(M)@:#${words[CURRENT]}*}; }\n'
                "_files() { echo FILES; }\n"
                "source <(cortex completion zsh)\n"
                f"words=({typed}) CURRENT={len(words)}\n"
                "_cortex\n"
            )
            return self.cluster.shell(f"zsh -f <<'EOF'\n{script}EOF").split()

        self.assertEqual(completed("cortex", "de"), ["deploy", "delete"])
        self.assertEqual(completed("cortex", "deploy", "x"), ["FILES"])
        self.assertEqual(completed("cortex", "cluster", "u"), ["up"])
        self.assertEqual(completed("cortex", "get", "thing", "--w"), ["--watch"])
        self.assertEqual(completed("cortex", "completion", "z"), ["zsh"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
