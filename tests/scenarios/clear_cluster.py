# SPDX-License-Identifier: Apache-2.0
"""clear_cluster.py - a cluster without keys, whose frames a test can read and write

`cortex cluster up` seals what the daemons say. Here they are started one by one with
nothing but each other's addresses, as a master on loopback allows.
"""

import os
import subprocess

from support import Cluster, kill_process, start_time


class ClearCluster(Cluster):
    def start(self):
        self.rows = {}
        options = dict(zip(self.up_options[::2], self.up_options[1::2]))
        self.address = options["--master-listen"]
        python = ("--python", options["--python"], "--user", "none", "--allow-file")
        self.commands = {
            "master": ("--listen", self.address, "--bridge-url", self.url, "--allow-file"),
            "bridge": ("--listen", self.url.removeprefix("http://"), "--master", self.address),
        }
        for number in range(int(options["--agents"])):
            self.commands[f"agent-{number + 1}"] = (
                "--master", self.address, "--cpu", options["--agent-cpu"], *python)
        try:
            self.restart()
            self.cortex("env", "configure", "aws", "--master", self.address, "--bridge", self.url)
        except BaseException:
            self.stop(check=False)
            raise
        return self

    def restart(self):
        for name in self.commands:
            row = self.rows.get(name)
            if not row or start_time(row["pid"]) != row["start"]:
                self.run(name)
        return self.processes()

    def run(self, name):
        folder = os.path.join(self.state, name)
        os.makedirs(folder, exist_ok=True)
        log = f"{folder}.log"
        role = name.split("-")[0]
        with open(log, "a", encoding="utf-8") as file:
            process = subprocess.Popen(
                [os.path.join(self.programs, f"cortex-{role}"), "--state-dir", folder,
                 "--ready-fd", "1", *self.commands[name]],
                env=self.env, stdout=subprocess.PIPE, stderr=file, text=True,
            )
        with process.stdout:
            if not process.stdout.readline():
                with open(log, encoding="utf-8") as file:
                    raise AssertionError(f"{name} does not get ready: {file.read()}")
        self.rows[name] = {
            "role": role, "pid": process.pid, "start": start_time(process.pid),
            "address": self.address, "log": log, "state_dir": folder, "process": process,
        }

    def processes(self):
        self.seen.update({row["pid"]: row["start"] for row in self.rows.values()})
        return list(self.rows.values())

    def kill(self, role, number=0, **how):
        row = super().kill(role, number, **how)
        row["process"].wait()
        return row

    def cortex(self, *words, **options):
        if words[:2] != ("cluster", "down"):
            return super().cortex(*words, **options)
        for row in reversed(self.rows.values()):  # agents before their master
            row["process"].terminate()
            row["process"].wait(60)
        return None
