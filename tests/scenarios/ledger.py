# SPDX-License-Identifier: Apache-2.0
"""ledger.py - what a client was told, and whether cluster and results agree with it

A Ledgered scenario remembers each submission that was acknowledged. settle() takes the
cluster down, lets the master export its state and has tests/checker/check.py judge it.
assert_exact() does so, and writes the row of the fault that was planted: what the
checker counted, and the dose and the longest recovery that the test says.
The attributes at the head of the class shape the daemons that `cortex cluster up`
starts, by scripts in a folder of programs.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

from scenario import Scenario

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), name) for name in ("checker", "support")]

import check  # noqa: E402
from fault_table import add_row  # noqa: E402
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
    cluster_class = Cluster
    master_options = ()
    master_program = os.path.join(BIN, "cortex-master")
    agent_program = os.path.join(BIN, "cortex-agent")
    agent_options = ()
    bridge_program = os.path.join(BIN, "cortex-bridge")
    bridge_options = ()
    agent_runner = ""  # a command that runs the agent's
    preamble = ""  # what the shell that becomes a daemon does first
    env = {}

    @classmethod
    def make_cluster(cls):
        cls.scratch = tempfile.mkdtemp(prefix="cortex-faults-")
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)
        master = [cls.master_program, '"$@"', *cls.master_options]
        agent = [cls.agent_runner, cls.agent_program, '"$@"', *cls.agent_options]
        scripts = {
            name: f"{cls.preamble}\nexec {' '.join(words)}\n"
            for name, words in (("cortex-master", master), ("cortex-agent", agent))
        }
        # The master's options are not those of `cortex-master init` and `keys`.
        plain = f'case "$1" in init|keys) exec {os.path.join(BIN, "cortex-master")} "$@";; esac\n'
        scripts["cortex-master"] = plain + scripts["cortex-master"]
        bridge = [cls.bridge_program, '"$@"', *cls.bridge_options]
        scripts["cortex-bridge"] = f"exec {' '.join(bridge)}\n"
        programs = make_programs(os.path.join(cls.scratch, "bin"), scripts)
        cls.ledger = {"jobs": []}
        return cls.cluster_class(agents=cls.agents, agent_cpu=cls.agent_cpu,
                                 options=cls.options, env=cls.env, programs=programs)

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
        """Takes the cluster down and returns what the checker says."""
        self.cluster.cortex("cluster", "down", "--state-dir", self.cluster.state)
        tables = check.read_export(self.export_of(self.master_folder()))
        return check.check(self.ledger, tables, self.results_of)

    def results_of(self, entry):
        """Batch name -> what is stored for it, of an entry of the ledger."""
        return check.folder_results(entry["results"])

    def master_folder(self):
        return os.path.join(self.cluster.state, "master")

    def assert_exact(self, fault=None, dose=1, longest_s=None):
        verdict = self.settle()
        if fault:
            add_row(fault, dose, verdict.lost, verdict.doubled, longest_s)
        self.assertEqual(verdict.faults, [], "\n".join(verdict.faults[:20]))
        return verdict
