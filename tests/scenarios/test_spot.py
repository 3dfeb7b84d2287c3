#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_spot.py - does a job notice that EC2 takes an agent's machine away?

An instance metadata service of the test's own tells one of two agents, at a random
moment, that its spot instance is going to be interrupted. What it has not begun is begun
elsewhere, and what it has begun it ends: no batch runs twice, and none costs an attempt.
"""

import http.server
import json
import os
import random
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone

from ledger import Ledgered
from support import children_of, dose, said, start_time, wait_until

ITEMS = 120


class Metadata:
    """The instance metadata services of two machines: http://.../<number>/latest/..."""

    def __init__(self):
        self.notices = {}
        self.asked = {0: 0, 1: 0}
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self):
                self.answer(200, b"a-token")

            def do_GET(self):
                number = int(self.path.split("/")[1])
                right = (self.headers.get("X-aws-ec2-metadata-token") == "a-token"
                         and self.path.endswith("/latest/meta-data/spot/instance-action"))
                service.asked[number] += right
                if right and number in service.notices:
                    self.answer(200, service.notices[number])
                else:
                    self.answer(404 if right else 401, b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, number):
        return f"http://127.0.0.1:{self.server.server_port}/{number}"

    def tell(self, number, seconds):
        when = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        self.notices[number] = json.dumps(
            {"action": "terminate", "time": when.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Spot(Ledgered):
    agents = 2
    agent_cpu = 2
    env = {"AWS_EC2_METADATA_DISABLED": "false"}

    @classmethod
    def make_cluster(cls):
        cls.metadata = Metadata()
        cls.addClassCleanup(cls.metadata.stop)
        # Each agent has a machine, and so a metadata service, of its own.
        cls.preamble = "".join(
            f'case "$*" in *agent-{number + 1}*) export '
            f"AWS_EC2_METADATA_SERVICE_ENDPOINT={cls.metadata.url(number)};; esac\n"
            for number in range(2))
        return super().make_cluster()

    def test_a_job_does_not_notice_that_a_machine_is_taken_away(self):
        moment = random.Random(9)
        longest, notices = 0, dose(1, 300)
        for number in range(notices):
            victim = number % 2
            agent = self.cluster.daemon("agent", victim)
            job = self.submit(ITEMS, workers=4, sleep_s=0.05)
            self.wait_predicted(job, 4)
            time.sleep(moment.random() * 0.5)
            workers = set(children_of(agent["pid"]))
            self.metadata.tell(victim, 120)
            wait_until(lambda: "is going to terminate this spot instance" in said(agent),
                       "the agent has heard of it", 30)
            since = time.monotonic()
            wait_until(lambda: not start_time(agent["pid"]), "the agent has left", 30)
            longest = max(longest, time.monotonic() - since)
            self.assertFalse([pid for pid in workers if start_time(pid)])
            self.check_exact(job, ITEMS, once=True)
            self.wait_ended(job)
            self.metadata.notices.clear()
            os.truncate(agent["log"], 0)
            self.cluster.restart()
        verdict = self.assert_exact("a spot notice to an agent while a job runs", notices, longest)
        self.assertEqual({row["attempts"] for row in verdict.tables["batch"]}, {1})
        self.cluster.restart()


if __name__ == "__main__":
    unittest.main(verbosity=2)
