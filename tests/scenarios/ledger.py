# SPDX-License-Identifier: Apache-2.0
"""ledger.py - what a client was told, and whether cluster and results agree with it

A Ledgered scenario remembers each submission that was acknowledged. settle() takes the
cluster down, lets the master export its state and has tests/checker/check.py judge it;
it returns the faults. `master_options`, `agent_options` and `master_program` shape the
daemons that `cortex cluster up` starts, by scripts in a folder of programs.

Recovery counts and times that a test notes with note() are printed as a table's row.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

from scenario import Scenario

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "checker"))

import check  # noqa: E402
from support import BIN, Cluster  # noqa: E402


def make_programs(folder, scripts):
    """A folder of the built programs in which some are scripts: name -> text."""
    os.makedirs(folder)
    for name in ("cortex", "cortex-master", "cortex-agent", "cortex-bridge"):
        path = os.path.join(folder, name)
        if name in scripts:
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n" + scripts[name])
            os.chmod(path, 0o755)
        else:
            shutil.copy2(os.path.join(BIN, name), path)  # it looks beside itself
    return folder


class Ledgered(Scenario):
    master_options = ()
    master_program = os.path.join(BIN, "cortex-master")
    agent_options = ()
    env = {}

    @classmethod
    def make_cluster(cls):
        cls.scratch = tempfile.mkdtemp(prefix="cortex-faults-")
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)
        # Its options are not those of `cortex-master init` and `keys`.
        master = f'case "$1" in init|keys) exec {cls.master_program} "$@";; esac\n' + " ".join(
            ["exec", cls.master_program, '"$@"', *cls.master_options])
        agent = " ".join(["exec", os.path.join(BIN, "cortex-agent"), '"$@"', *cls.agent_options])
        programs = make_programs(
            os.path.join(cls.scratch, "bin"),
            {"cortex-master": master + "\n", "cortex-agent": agent + "\n"},
        )
        cls.ledger = {"jobs": []}
        return Cluster(agents=cls.agents, agent_cpu=cls.agent_cpu, options=cls.options,
                       env=cls.env, programs=programs)

    def submit(self, items, batch_size=1, key=None, **options):
        headers = {"Idempotency-Key": key} if key else None
        job = super().submit(items, batch_size=batch_size, headers=headers, **options)
        self.acknowledge(job, items, batch_size, key)
        return job

    def acknowledge(self, job, items, batch_size=1, key=None):
        self.ledger["jobs"].append({
            "job_id": job, "api": "squares", "key": key, "items": list(range(items)),
            "batch_size": batch_size, "results": os.path.join(self.results, job),
            "ended": False,
        })

    def wait_ended(self, job):
        status = self.cluster.wait_job("squares", job)
        for entry in self.ledger["jobs"]:
            if entry["job_id"] == job:
                entry["ended"] = True
        return status

    def export(self):
        """The lines of the state, of a master that is down."""
        folder = self.cluster.daemon("master")["state_dir"]
        return self.export_of(folder)

    def export_of(self, folder):
        done = subprocess.run(
            [os.path.join(BIN, "cortex-master"), "--state-dir", folder, "--export"],
            capture_output=True, text=True, timeout=120,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def settle(self):
        """Takes the cluster down and returns what the checker finds wrong."""
        self.cluster.cortex("cluster", "down", "--state-dir", self.cluster.state)
        tables = check.read_export(self.export_of(self.master_folder()))
        return check.check(self.ledger, tables)

    def master_folder(self):
        return os.path.join(self.cluster.state, "master")

    def assert_exact(self):
        faults = self.settle()
        self.assertEqual(faults, [], "\n".join(faults[:20]))


def note(fault, dose, longest_s=None):
    """A row of what was shown: the checker found nothing lost and nothing doubled."""
    row = f"{fault:<56} {dose:>7}  lost 0  doubled 0"
    print(row + (f"  longest recovery {longest_s:.2f} s" if longest_s is not None else ""))
