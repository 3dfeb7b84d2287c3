#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_services.py - do the units run under systemd, as their README says?

A machine with systemd of its own (support/systemd_machine.py) is set up by the README's
commands; then master, bridge and agent run a job in their sandboxes.
"""

import json
import os
import re
import subprocess
import sys
import unittest

from support import BIN, ROOT, wait_until

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

from systemd_machine import Machine  # noqa: E402

PREDICTOR = """
import os

class PythonPredictor:
    def __init__(self, config, job_spec):
        pass

    def predict(self, payload, batch_id):
        status = open("/proc/self/status").read()
        lines = [open(f"/proc/{pid}/cmdline").read() for pid in os.listdir("/proc") if pid.isdigit()]
        return {"sum": sum(payload), "uid": os.getuid(),
                "capabilities": status.split("CapEff:")[1].split()[0], "seen": lines}
"""
API = """
- name: sums
  kind: BatchAPI
  predictor: {type: python, path: predictor.py}
  compute: {cpu: 100m}
"""


def can_boot():
    """Whether namespaces and overlays can be made here."""
    probe = ('mount -t tmpfs tmpfs /mnt && mkdir /mnt/a /mnt/b /mnt/c && '
             'mount -t overlay -o lowerdir=/,upperdir=/mnt/a,workdir=/mnt/b overlay /mnt/c && '
             'mount -t cgroup2 cgroup2 /mnt/b')
    return os.geteuid() == 0 and os.path.exists("/lib/systemd/systemd") and subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--cgroup", "--fork", "sh", "-c", probe],
        capture_output=True,
    ).returncode == 0


def readme_commands():
    """The blocks of commands in the README, in order."""
    with open(os.path.join(ROOT, "deploy", "systemd", "README.md"), encoding="utf-8") as file:
        return re.findall(r"```bash\n(.*?)```", file.read(), re.DOTALL)


@unittest.skipUnless(can_boot(), "needs root, overlayfs and namespaces")
class Services(unittest.TestCase):
    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.stop)
        self.run_in = self.machine.run

    def journal(self, name):
        return self.run_in(f"journalctl --no-pager -o cat -u cortex-{name}")

    def said(self, name, pattern):
        return wait_until(lambda: re.search(pattern, self.journal(name)),
                          f"the {name} says {pattern}", 30)

    def install(self):
        """The README's way, with its address and its placeholders filled in."""
        self.machine.bring(BIN, "/opt/build/release/bin")
        self.machine.bring(os.path.join(ROOT, "deploy"), "/opt/deploy")
        programs, master, bridge, agent = readme_commands()
        self.run_in("cd /opt\n" + programs)
        said = self.run_in(master.replace("10.0.0.5", "127.0.0.1"))
        join = re.search(r"cortex1:\S+", said)[0]
        self.run_in(bridge.replace("cortex1:...", join))
        let_in = self.said("bridge", r"cortex-master (keys add --role bridge \S+)")[1]
        self.run_in(f"runuser -u cortex -- cortex-master {let_in}")
        token = self.run_in("runuser -u cortex -- cortex-master keys token")
        token = re.search(r"cortex1:\S+#\S+", token)[0]
        self.run_in(agent.replace("cortex1:...#...", token))
        self.said("agent", "registered with")
        return join, token

    def deploy(self, join):
        said = self.run_in(f"cortex env configure work --join {join}")
        key = re.search(r"cortex-public:\S+", said)[0]
        self.run_in(f"runuser -u cortex -- cortex-master keys add --role submit {key}")
        self.run_in("mkdir /root/sums; cat >/root/sums/predictor.py <<'X'\n" + PREDICTOR + "X")
        self.run_in("cat >/root/sums/cortex.yaml <<'X'\n" + API + "X")
        wait_until(lambda: "created sums" in self.run_in(
            "cd /root/sums; cortex deploy --env work || true"), "the api is deployed", 30)

    def ask(self, path, *options):
        words = " ".join(f"'{word}'" for word in options)
        return json.loads(self.run_in(f"curl -sS http://127.0.0.1:8888{path} {words}"))

    def run_job(self):
        """A job of three batches; what its workers answered."""
        body = {"workers": 1, "item_list": {"items": [1, 2, 3], "batch_size": 1},
                "config": {"dest_s3_dir": "file:///var/results"}}
        job = self.ask("/sums", "-d", json.dumps(body))["job_id"]
        status = wait_until(
            lambda: next((one for one in [self.ask(f"/sums/{job}")["job_status"]]
                          if one["status"] not in ("status_running", "status_enqueuing")), None),
            "the job has ended", 60)
        self.assertEqual(status["status"], "status_succeeded", status)
        return [json.loads(line)
                for line in self.run_in(
                    f"for each in /var/results/{job}/*; do cat $each; echo; done").splitlines()]

    def test_services_are_set_up_as_the_readme_says_and_run_jobs_in_their_sandboxes(self):
        join, token = self.install()
        self.run_in("mkdir /var/results")
        self.run_in("echo CORTEX_AGENT_OPTIONS=--allow-file >>/etc/cortex/agent.env")
        self.run_in("sed -i 's/$/ --allow-file/' /etc/cortex/master.env")
        self.run_in("systemctl restart cortex-agent cortex-master")
        self.deploy(join)
        results = self.run_job()
        self.assertEqual(sorted(result["sum"] for result in results), [1, 2, 3])
        for result in results:
            self.assertGreaterEqual(result["uid"], 2_000_000_000)
            self.assertEqual(int(result["capabilities"], 16), 0)
            self.assertNotIn(token.split("#")[1], " ".join(result["seen"]))
        for name in ("master", "bridge", "agent"):  # what is killed is there again
            pid = self.run_in(f"systemctl show -P MainPID cortex-{name}")
            self.run_in(f"systemctl kill -s KILL --kill-who=main cortex-{name}")
            wait_until(lambda: self.run_in(f"systemctl show -P MainPID cortex-{name}")
                       not in (pid, "0\n"), f"the {name} is there again", 30)
        self.said("agent", "(?s)registered with.*registered with.*registered with")
        wait_until(lambda: self.run_in("curl -fsS http://127.0.0.1:8888/sums", check=False),
                   "the bridge answers again", 30)
        self.assertEqual(len(self.run_job()), 3)
        self.run_in("systemctl stop cortex-bridge cortex-agent cortex-master")
        self.assertEqual(self.run_in("systemctl --failed --no-legend"), "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
