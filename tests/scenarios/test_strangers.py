#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_strangers.py - is everybody else served while strangers misbehave?

Strangers come to the master's RPC port and to the bridge: with garbage, with lengths
that are not meant, with many requests at once and a hang-up, without ever reading, and
with a byte a second. Meanwhile a job runs and its status is asked for, whose times are
printed. Afterwards descriptors and memory are what they were.
"""

import os
import random
import socket
import struct
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))

from clear_frame import frame  # noqa: E402
from scenario import Scenario  # noqa: E402
from stranger import GREETING, Stranger, packet  # noqa: E402
from support import dose, wait_until  # noqa: E402

SANITIZED = bool(os.environ.get("CORTEX_SANITIZED"))  # freed memory is kept there
HURRIED, UNREAD, SLOW = dose(200, 10000), dose(50, 500), dose(100, 2000)
WHILE_S = dose(2, 30)
SPARE_DESCRIPTORS, SPARE_MB = 45, 48  # nng may be wedged by up to 32 and stay so
GET = b"GET /squares HTTP/1.1\r\nHost: here\r\n\r\n"


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def percentile(times, part):
    return 1000 * sorted(times)[int(part * (len(times) - 1))]


class Asker(threading.Thread):
    """Somebody else, who asks for a job's status again and again; a context."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.times, self.failure = ask, [], None
        self.over = threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                began = time.monotonic()
                self.ask()
                self.times.append(time.monotonic() - began)
                time.sleep(0.01)
        except Exception as failure:  # is raised where the test sees it
            self.failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        if self.failure:
            raise self.failure


class Rpc:
    """How strangers come to the master."""

    role = "master"
    drip = GREETING + packet(frame(b"cortex.v1.Client/Info"))

    def come(self, url, silent):
        return Stranger(url, greet=not silent and random.random() < 0.8)

    def hurried(self):
        return packet(frame(b"cortex.v1.Client/Info")) * random.randrange(2, 20)

    def unread(self):
        return packet(frame(b"cortex.v1.Client/ListApis")) * 400

    def garbage(self):
        length = struct.pack(">Q", random.choice([0, 1, 3, 1 << 24, 1 << 31, 1 << 63, 2**64 - 1]))
        return random.choice([b"", length, struct.pack(">Q", 1 << 20), packet(b"")]) + os.urandom(
            random.randrange(200)
        )


class Http:
    """How they come to the bridge."""

    role = "bridge"
    drip = GET

    def come(self, url, silent):
        return Stranger(url, greet=False)

    def hurried(self):
        return GET * random.randrange(2, 20)

    def unread(self):
        return GET * 400

    def garbage(self):
        post = b"POST /squares HTTP/1.1\r\nHost: here\r\n"
        lengths = [b"-1", b"99999999999999999999", b"1e9", b"2147483648"]
        return random.choice([
            os.urandom(random.randrange(1, 200)),
            post + b"Content-Length: " + random.choice(lengths) + b"\r\n\r\n",
            post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            b"GET /" + b"a" * 100_000,
        ])


def come(ways, url, silent=False):
    """A stranger, once the master is not being executed anew."""
    while True:
        try:
            return ways.come(url, silent)
        except OSError:
            time.sleep(0.05)


def hurry(what, seconds):
    """Strangers, spread over the seconds, who say one of their ways' things and leave."""
    def come_and_go(url, ways):
        began = time.monotonic()
        for number in range(HURRIED):
            time.sleep(max(0, began + seconds * number / HURRIED - time.monotonic()))
            stranger = come(ways, url)
            stranger.send(what(ways))
            random.choice((Stranger.hang_up, Stranger.close))(stranger)

    return come_and_go


def never_read(url, ways):
    there = []
    for _ in range(UNREAD):
        time.sleep(WHILE_S / UNREAD)
        stranger = come(ways, url)
        there.append(stranger)
        stranger.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stranger.socket.setblocking(False)
        try:
            stranger.send(ways.unread())
        except BlockingIOError:
            pass  # it is not read any more
    for stranger in there:
        stranger.close()


def be_slow(url, ways):
    there = [come(ways, url, silent=True) for _ in range(SLOW)]
    for second in range(WHILE_S):
        for stranger in there:
            stranger.send(ways.drip[second:second + 1])
        time.sleep(1)
    for stranger in there:
        stranger.close()


def elsewhere(strangers, url, ways):
    """In a process of their own, which leaves the processors to everybody else: it is not
    on the machine of who is asked."""
    pid = os.fork()
    if pid == 0:
        try:
            os.nice(19)
            strangers(url, ways)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the strangers ended with {status}"


KINDS = [
    ("nobody", lambda *_: time.sleep(WHILE_S)),
    (f"{HURRIED} in {WHILE_S} s with many requests at once and a hang-up",
     hurry(lambda ways: ways.hurried(), WHILE_S)),
    (f"{HURRIED} in {WHILE_S} s with garbage",
     hurry(lambda ways: ways.garbage(), WHILE_S)),
    (f"{UNREAD} that never read", never_read),
    (f"{SLOW} with a byte a second", be_slow),
    (f"{HURRIED} as fast as they can, with many requests at once",
     hurry(lambda ways: ways.hurried(), 0)),
    (f"{HURRIED} as fast as they can, with garbage", hurry(lambda ways: ways.garbage(), 0)),
]


class Strangers(Scenario):
    agents = 1
    agent_cpu = 2

    def attack(self, ways):
        """Sends strangers of each kind while others are served; then looks at what they
        left behind."""
        row = self.cluster.daemon(ways.role)
        items = dose(300, 6000)
        job = self.submit(items, sleep_s=0.01)
        self.wait_predicted(job, 1)
        pid, before, before_mb = row["pid"], descriptors(row["pid"]), memory_mb(row["pid"])
        with Asker(lambda: self.cluster.job("squares", job)) as asker:
            time.sleep(0.5)
            for kind, strangers in KINDS:
                elsewhere(strangers, row["address"], ways)
                wait_until(lambda: len(asker.times) > 20 or asker.failure, "others are served")
                times, asker.times = asker.times, []
                print(f"{ways.role}, {kind}: of {len(times)} others 99 % answered within "
                      f"{percentile(times, 0.99):.0f} ms", flush=True)
        wait_until(lambda: descriptors(pid) <= before + SPARE_DESCRIPTORS,
                   f"the {ways.role} is back at {before} descriptors")
        self.assertEqual(self.cluster.daemon(ways.role)["pid"], pid)
        print(f"{ways.role}: {memory_mb(pid) - before_mb:+.0f} MB afterwards")
        if not SANITIZED:
            self.assertLess(memory_mb(pid), before_mb + SPARE_MB)
        self.check_exact(job, items, once=True)

    def test_the_master_serves_others_and_keeps_nothing(self):
        self.attack(Rpc())

    def test_the_bridge_serves_others_and_keeps_nothing(self):
        self.attack(Http())


if __name__ == "__main__":
    unittest.main(verbosity=2)
