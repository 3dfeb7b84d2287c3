# SPDX-License-Identifier: Apache-2.0
"""nth.py - the n-th write or allocation of a program fails; see tests/support/nth.c

Nth is the memory that a test shares with the programs it preloads the library into.
Medic starts again what has died of it, while the test's own thread goes on with what
Struck has it do.
"""

import mmap
import os
import struct
import subprocess
import tempfile
import threading
import time
from http.client import HTTPException

from ledger import Ledgered
from scenario import PREDICTOR
from support import BIN, TERMINAL, start_time, wait_until, write_project

LIBRARY = os.path.join(os.path.dirname(BIN), "tests", "nth.so")
ITEMS = 6
FIELDS = ("strike_at", "writes", "fail_at", "allocations", "signal", "struck",
          "error", "power_cut")


class Nth:
    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(4096)
            self.memory = mmap.mmap(file.fileno(), 4096)

    def get(self, field):
        return struct.unpack_from("=Q", self.memory, 8 * FIELDS.index(field))[0]

    def set(self, **values):
        for field, value in values.items():
            struct.pack_into("=Q", self.memory, 8 * FIELDS.index(field), value)

    def arm(self, **what):
        """Counts from nothing, and strikes at strike_at or fail_at."""
        self.set(strike_at=0, fail_at=0, error=0, power_cut=0)
        self.set(writes=0, allocations=0, signal=0, struck=0)
        self.set(**what)

    def environment(self):
        return {"LD_PRELOAD": LIBRARY, "CORTEX_NTH": self.path}

    def command(self):
        """What stands before a program in a shell's command line."""
        return f"env LD_PRELOAD={LIBRARY} CORTEX_NTH={self.path} "


class Medic(threading.Thread):
    """Until it is stopped, whatever daemon of the cluster has died is taken up again, and
    nothing more strikes the new one."""

    def __init__(self, cluster, nth):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.nth = nth
        self.deaths = []  # of which signal each died; 0: it ended by itself
        self.over = threading.Event()
        self.pids = {row["pid"]: start_time(row["pid"]) for row in cluster.processes()}

    def run(self):
        while not self.over.wait(0.02):
            if any(start_time(pid) != start for pid, start in self.pids.items()):
                self.deaths.append(self.nth.get("signal"))
                self.nth.set(strike_at=0, fail_at=0, signal=0)
                self.revive()

    def revive(self):
        while not self.over.is_set():
            try:
                rows = self.cluster.restart()
            except (AssertionError, subprocess.TimeoutExpired):
                time.sleep(0.1)
                continue
            self.pids = {row["pid"]: start_time(row["pid"]) for row in rows}
            return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Struck(Ledgered):
    """A cluster whose master, agent or bridge (`victim`) is preloaded, and a short piece
    of work that a client goes on with until all of it is answered."""

    victim = "master"

    @classmethod
    def make_cluster(cls):
        folder = tempfile.TemporaryDirectory(prefix="cortex-nth-")
        cls.addClassCleanup(folder.cleanup)
        cls.nth = Nth(os.path.join(folder.name, "nth"))
        program = cls.nth.command() + os.path.join(BIN, f"cortex-{cls.victim}")
        setattr(cls, f"{cls.victim}_program", program)
        return super().make_cluster()

    def answered(self, *request, **options):
        try:
            answer = self.cluster.http(*request, timeout=10, **options)
        except (OSError, HTTPException):  # the bridge waits for its master, or lost it
            return None
        return answer if answer.status == 200 else None

    def until_answered(self, *request, **options):
        return wait_until(lambda: self.answered(*request, **options), f"{request} is answered")

    def deploy(self, api, number):
        project = os.path.join(self.cluster.folder, api)
        write_project(project, f"# {number}\n{PREDICTOR}", api=api, cpu="1",
                      **{"gate.py": self.gate.source()})
        wait_until(
            lambda: self.cluster.cortex(
                "deploy", "--env", "aws", cwd=project, check=False).returncode == 0,
            "it is deployed",
        )

    def work(self, number):
        key = f"{self.victim}-{number}"
        self.deploy("squares", number)
        self.deploy("passing", number)
        answer = self.until_answered("POST", "/squares", self.body(ITEMS, batch_size=2),
                                     headers={"Idempotency-Key": key})
        job = answer.json["job_id"]
        self.acknowledge(job, ITEMS, 2, key)
        self.ledger["jobs"][-1]["ended"] = True
        wait_until(lambda: self.has_ended(job), f"job {job} ends")
        self.until_answered("GET", f"/squares/{job}/logs")
        wait_until(
            lambda: self.cluster.cortex(
                "delete", "passing", "--force", "--env", "aws", check=False
            ).returncode == 0 or "passing" not in self.cluster.cortex(
                "get", "--env", "aws", check=False).stdout,
            "the passing api is gone",
        )

    def has_ended(self, job):
        answer = self.answered("GET", f"/squares/{job}")
        return answer and answer.json["job_status"]["status"] in TERMINAL
