#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_capture.py - what does somebody on the wire learn, and what can he do with it?

The bridge and an agent reach their master through a relay that keeps every byte. What
was said must not be found in them; all of it is sent again to the same master, in order
and not, to one that was started anew, and while a job runs; and nothing comes of it.
"""

import base64
import collections
import os
import random
import re
import struct
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))

from relayed import Relayed  # noqa: E402
from stranger import Stranger  # noqa: E402
from support import dose, wait_until  # noqa: E402

CONFIDENTIAL = "what-only-the-predictor-should-read"


def messages(stream):
    """What nng sent on a connection: its greeting, then each message with its size."""
    yield stream[:8]
    at = 8
    while at + 8 <= len(stream):
        size = 8 + struct.unpack(">Q", stream[at:at + 8])[0]
        yield stream[at:at + size]
        at += size


class Capture(Relayed):
    bridge_is_relayed = True

    @classmethod
    def make_cluster(cls):
        cluster = super().make_cluster()
        cls.taken = {"up": collections.defaultdict(bytes), "down": collections.defaultdict(bytes)}
        cls.relay.tap = cls.take
        return cluster

    @classmethod
    def take(cls, way, client, data):
        cls.taken[way][client] += data

    def body(self, *arguments, **options):
        body = super().body(*arguments, **options)
        body["config"]["confidential"] = CONFIDENTIAL
        return body

    def all_bytes(self):
        return b"".join(data for way in self.taken.values() for data in way.copy().values())

    def replay(self, streams, shuffled):
        """Sends what clients sent, on connections of their own."""
        url = self.cluster.daemon("master")["address"]
        for stream in streams:
            greeting, *rest = messages(stream)
            if shuffled:
                random.shuffle(rest)
            for message in rest:
                stranger = Stranger(url, greet=False)
                stranger.send(greeting)
                stranger.receive(8)
                stranger.send(message)
                stranger.hang_up()

    def seen(self):
        """What a user sees of all jobs."""
        text = self.cluster.http("GET", "/squares").text
        return re.sub(r'"(heard_ms_ago|last_updated)": ?[^,}]+', "", text)

    def test_nothing_is_in_the_clear_and_a_replay_changes_nothing(self):
        job = self.submit(20)
        self.wait_ended(job)
        self.check_exact(job, 20, once=True)
        self.assert_nothing_is_told(job)
        streams = [data for data in self.taken["up"].copy().values() if data]
        self.assertGreater(sum(map(len, streams)), 2000)

        before = self.seen()
        for shuffled in (False, True):
            self.replay(streams, shuffled)
        self.assertEqual(self.seen(), before)

        self.cluster.kill("master")
        self.cluster.restart()
        wait_until(lambda: self.seen() == before, "the master is back")
        self.replay(streams, shuffled=False)
        self.assertEqual(self.seen(), before)

        running = self.submit(dose(100, 1000), sleep_s=0.01)
        self.wait_predicted(running, 1)
        self.replay(streams, shuffled=True)
        self.replay([data for data in self.taken["up"].copy().values() if data], shuffled=False)
        self.wait_ended(running)
        self.check_exact(running, dose(100, 1000), once=True)
        self.assert_exact()

    def assert_nothing_is_told(self, job):
        """No name, payload, result, setting or key."""
        wire = self.all_bytes()
        names = [b"cortex.v1", b"AgentService", b"SubmitJob", b"squares", b"PythonPredictor",
                 b"predictor.py", CONFIDENTIAL.encode(), job.encode(), self.notes.encode()]
        for name in names:
            self.assertNotIn(name, wire)
        for name in ("master/master.key", "agent-1/key", "bridge/key"):
            with open(os.path.join(self.cluster.state, name), encoding="ascii") as file:
                key = re.search(r"[\w-]{43}$", file.read().strip()).group()
            self.assertNotIn(key.encode(), wire)
            self.assertNotIn(base64.urlsafe_b64decode(key + "="), wire)


if __name__ == "__main__":
    unittest.main(verbosity=2)
