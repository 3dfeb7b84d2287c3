#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_units.py - do the systemd units name what there is, and is their sandbox tight?

systemd's analyzer reads the units, and the programs are started as ExecStart says, with
folders of the test's own; test_services.py has systemd start them.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import unittest

from ports import free_ports
from support import BIN, ROOT, wait_until

UNITS = os.path.join(ROOT, "deploy", "systemd")
NAMES = ("master", "bridge", "agent")
EXPOSURE_MAX = {"master": 2.5, "bridge": 2.5, "agent": 7.0}


def unit(name):
    with open(os.path.join(UNITS, f"cortex-{name}.service"), encoding="utf-8") as file:
        return file.read()


def setting(name, key):
    """The values of a key, in order."""
    return re.findall(rf"^{key}=(.*)$", unit(name), re.MULTILINE)


class Units(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cortex-units-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def command(self, name, **options):
        """ExecStart's words, as systemd would expand them."""
        line = setting(name, "ExecStart")[0].replace("%S", self.folder)
        line = line.replace("/usr/bin", BIN)
        return shlex.split(line.replace(f"$CORTEX_{name.upper()}_OPTIONS", options.get("given", "")))

    def test_systemd_finds_no_mistake_in_them(self):
        for name in NAMES:
            path = os.path.join(self.folder, f"cortex-{name}.service")
            with open(path, "w", encoding="utf-8") as file:
                file.write(unit(name).replace("/usr/bin", BIN))
            done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
            said = [line for line in done.stderr.splitlines() if "cortex-" in line]
            self.assertEqual((done.returncode, said), (0, []), done.stderr)

    def test_the_sandbox_leaves_little_open(self):
        for name in NAMES:
            done = subprocess.run(
                ["systemd-analyze", "security", "--offline=true", "--no-pager",
                 os.path.join(UNITS, f"cortex-{name}.service")],
                capture_output=True, text=True,
            )
            found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
            self.assertIsNotNone(found, done.stdout + done.stderr)
            print(f"exposure of cortex-{name}: {found.group(1)}")
            self.assertLessEqual(float(found.group(1)), EXPOSURE_MAX[name])

    def test_each_has_its_state_folder_and_starts_again(self):
        for name in NAMES:
            self.assertEqual(setting(name, "StateDirectory"), [f"cortex/{name}"])
            # An agent that EC2's notice has told to leave is not to come back.
            again = "on-failure" if name == "agent" else "always"
            self.assertEqual(setting(name, "Restart"), [again])
            self.assertIn(f"%S/cortex/{name}", setting(name, "ExecStart")[0])
        self.assertEqual(setting("agent", "Delegate"), ["yes"])
        self.assertEqual(setting("agent", "User"), [])

    def test_the_programs_start_and_leave_as_the_units_have_it(self):
        master, bridge = free_ports(2)
        url = f"tcp://127.0.0.1:{master}"
        given = {
            "master": f"--listen {url}",
            "bridge": f"--master {url} --listen 127.0.0.1:{bridge}",
            "agent": f"--master {url} --user none --cpu 1",
        }
        said = {"master": "listening on", "bridge": "listening on", "agent": "registered with"}
        started = []
        try:
            for name in NAMES:
                log = os.path.join(self.folder, f"{name}.log")
                state = os.path.join(self.folder, "cortex", name)
                os.makedirs(state, mode=0o700)  # as StateDirectory does
                with open(log, "wb") as file:
                    started.append(subprocess.Popen(
                        self.command(name, given=given[name]), stderr=file, stdout=file,
                        env={"PATH": "/usr/bin:/bin"},
                    ))

                def is_there():
                    self.assertIsNone(started[-1].poll(), self.read(log))
                    return said[name] in self.read(log)

                wait_until(is_there, f"the {name} is there")
            for one in reversed(started):
                one.send_signal(signal.SIGTERM)
                self.assertEqual(one.wait(60), 0)
        finally:
            for one in started:
                if one.poll() is None:
                    one.kill()
                    one.wait()

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read()


if __name__ == "__main__":
    unittest.main(verbosity=2)
