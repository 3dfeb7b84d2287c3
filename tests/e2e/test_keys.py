#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_keys.py - does each key let in whom it should, and keep out everybody else?

Real processes, sealed calls: users with keys of their own, agents that join with
tokens, and keys that are taken back while work is under way.
"""

import json
import os
import re
import signal
import subprocess
import unittest

from support import (
    BIN, PYTHON, Cluster, ClusterTest, dose, kill_process, said, wait_until, write_project,
)

MASTER = os.path.join(BIN, "cortex-master")
PREDICTOR = """
class PythonPredictor:
    def __init__(self, config):
        pass

    def predict(self, payload):
        pass
"""
# On the first agent a batch never ends.
STUCK = """
import os, time

class PythonPredictor:
    def __init__(self, config):
        pass

    def predict(self, payload):
        time.sleep(600 if "/agent-1/" in os.path.abspath(__file__) else 0.01)
"""


def body(items, workers=1):
    return {"workers": workers, "item_list": {"items": list(range(items)), "batch_size": 1}}


class User:
    """Somebody with a key of his own and an environment "work"."""

    def __init__(self, cluster, name, join=None):
        self.cluster = cluster
        self.env = {**cluster.env, "CORTEX_CLI_CONFIG_DIR": os.path.join(cluster.folder, name)}
        said = self.run("env", "configure", "work", "--join", join or master_join(cluster)).stdout
        self.said = said
        self.key = re.search(r"cortex-public:[\w-]{43}", said).group()

    def run(self, *arguments, check=True, cwd=None):
        done = subprocess.run(
            [os.path.join(BIN, "cortex"), *arguments], env=self.env, cwd=cwd or self.cluster.home,
            capture_output=True, text=True, timeout=60, check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def refused(self, *arguments, cwd=None):
        done = self.run(*arguments, check=False, cwd=cwd)
        if done.returncode == 0:
            raise AssertionError(f"{arguments} was not refused: {done.stdout}")
        return done.stderr


def master_folder(cluster):
    return os.path.join(cluster.state, "master")


def master_join(cluster):
    with open(os.path.join(master_folder(cluster), "join"), encoding="utf-8") as file:
        return file.read().strip()


def keys(cluster, verb, *arguments):
    """Runs `cortex-master keys ...`; what it prints on standard output."""
    return subprocess.run(
        [MASTER, "keys", verb, "--state-dir", master_folder(cluster), *arguments],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout


def listed(cluster, comment):
    """The key that is listed with this comment."""
    row = next(line for line in keys(cluster, "list").splitlines() if line.endswith(comment))
    return row.split()[0]


def let_in(user, role, *options):
    keys(user.cluster, "add", "--role", role, *options, user.key, f"{role} of a test")
    # A master takes up to two seconds to notice.
    wait_until(lambda: user.run("get", "--env", "work", check=False).returncode == 0,
               f"{role} is let in", 10)


class Keys(ClusterTest):
    @classmethod
    def make_cluster(cls):
        return Cluster(agents=2, agent_cpu=1)

    @classmethod
    def prepare(cls):
        cls.image = write_project(os.path.join(cls.cluster.folder, "image"), PREDICTOR, api="image-a")
        cls.audio = write_project(os.path.join(cls.cluster.folder, "audio"), PREDICTOR, api="audio")
        cls.cluster.deploy(cls.audio)

    def test_a_key_that_is_not_known_is_told_what_to_do(self):
        user = User(self.cluster, "stranger")
        self.assertIn(f"cortex-master keys add --role submit {user.key}", user.said)
        said = user.refused("get", "--env", "work")
        self.assertIn("is not known here", said)
        self.assertIn("cortex-master keys add", said)

    def test_a_submitter_sees_and_changes_his_apis_only(self):
        user = User(self.cluster, "submitter")
        let_in(user, "submit", "--api", "image-*")
        user.run("deploy", "--env", "work", cwd=self.image)
        self.assertIn("image-a", user.run("get", "--env", "work").stdout)
        self.assertNotIn("audio", user.run("get", "--env", "work").stdout)
        absent = user.refused("get", "--env", "work", "nothing")
        hidden = user.refused("get", "--env", "work", "audio")
        self.assertEqual(hidden.replace("audio", "nothing"), absent)
        self.assertIn("this key is for other apis", user.refused("deploy", "--env", "work", cwd=self.audio))
        self.assertIn("role submit may not call",
                      user.refused("delete", "--env", "work", "--force", "image-a"))

    def test_a_reader_changes_nothing(self):
        user = User(self.cluster, "reader")
        let_in(user, "read")
        self.assertIn("audio", user.run("get", "--env", "work").stdout)
        self.assertIn("role read may not call", user.refused("deploy", "--env", "work", cwd=self.audio))

    def test_a_revoked_key_is_refused_and_told_so(self):
        user = User(self.cluster, "former")
        let_in(user, "read")
        self.assertIn("revoked", keys(self.cluster, "revoke", user.key))
        wait_until(lambda: user.run("get", "--env", "work", check=False).returncode != 0,
                   "the key is refused", 5)
        self.assertIn("this key has been revoked", user.refused("get", "--env", "work"))

    def test_a_user_changes_his_key_by_himself(self):
        user = User(self.cluster, "careful")
        let_in(user, "read")
        said = user.run("env", "rotate", "work").stdout
        self.assertIn("is a new key, known to the masters of 1 environments", said)
        self.assertIn("audio", user.run("get", "--env", "work").stdout)
        rows = [row for row in keys(self.cluster, "list").splitlines() if "read of a test" in row]
        old = next(row for row in rows if row.startswith(user.key))
        self.assertNotIn(" never ", old)
        again = user.run("env", "configure", "work", "--join", master_join(self.cluster)).stdout
        self.assertNotIn(user.key, again)

    def test_a_master_with_another_key_is_not_spoken_to(self):
        folder = os.path.join(self.cluster.folder, "other-master")
        address = master_join(self.cluster).split("@")[1]
        join = subprocess.run(
            [MASTER, "init", "--state-dir", folder, "--address", address],
            capture_output=True, text=True, timeout=30, check=True,
        ).stdout.strip()
        said = User(self.cluster, "deceived", join).refused("get", "--env", "work")
        self.assertIn("expected the master that the join string is of", said)

    def test_a_master_with_a_key_takes_nothing_that_is_not_sealed(self):
        user = User(self.cluster, "clear")
        address = master_join(self.cluster).split("@")[1]
        user.run("env", "configure", "open", "--master", address)
        self.assertIn("cannot reach the cluster", user.refused("get", "--env", "open"))

    def test_an_agent_joins_with_a_token_that_is_then_used_up(self):
        join = keys(self.cluster, "token", "--uses", "1", "a test's machines").strip()
        folders = [os.path.join(self.cluster.state, f"joiner-{i}") for i in range(2)]
        first = self.start_agent(folders[0], "--join", join, "--name", "joiner")
        self.addCleanup(kill_process, first.pid)
        self.assertEqual(first.stdout.readline(), "ready\n")
        self.assertIn("joiner", keys(self.cluster, "list"))
        second = self.start_agent(folders[1], "--join", join, "--name", "latecomer")
        self.assertNotEqual(second.wait(60), 0)
        self.assertIn("used up", second.stderr.read())
        second.stderr.close()
        # The first is known by its own key from then on.
        kill_process(first.pid)
        first.wait()
        again = self.start_agent(folders[0])
        self.addCleanup(kill_process, again.pid)
        self.assertEqual(again.stdout.readline(), "ready\n")
        again.kill()
        again.wait()
        for process in (first, second, again):
            process.stdout.close()
        first.stderr.close()
        again.stderr.close()

    def test_an_agent_that_has_another_key_stays_who_it_is(self):
        row = self.cluster.daemon("agent", 1)
        old = listed(self.cluster, "  agent-2")
        rotate = [os.path.join(BIN, "cortex-agent"), "rotate", "--state-dir", os.path.join(self.cluster.state, "agent-2")]
        said = subprocess.run(rotate, capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertIn("within an hour", said)
        rows = [line for line in keys(self.cluster, "list").splitlines() if line.endswith("agent-2")]
        self.assertEqual(len(rows), 2)
        job = self.cluster.submit("audio", body(20, workers=2))
        self.cluster.wait_job("audio", job)  # with the old key
        self.cluster.kill("master")  # and with it all sessions
        self.cluster.restart()
        keys(self.cluster, "revoke", old)
        job = self.cluster.submit("audio", body(20, workers=2))
        self.cluster.wait_job("audio", job)  # with the new one, in the same process
        self.assertIn("agent-2", self.agents())
        self.assertEqual(self.cluster.daemon("agent", 1)["pid"], row["pid"])
        kill_process(row["pid"], signal.SIGTERM)
        self.cluster.restart()
        self.assertIn("agent-2", self.agents())
        job = self.cluster.submit("audio", body(20, workers=2))
        self.assertEqual(self.cluster.wait_job("audio", job)["status"], "status_succeeded")
        export = self.export()
        names = {row["name"] for row in export if row["table"] == "event"
                 and row["subject"] == "agent" and row["detail"] == "agent-2"}
        self.assertEqual(len(names), 1)

    def agents(self):
        return self.cluster.cortex("cluster", "info", "--state-dir", self.cluster.state).stdout

    def export(self):
        self.cluster.kill("master")
        try:
            text = subprocess.run(
                [MASTER, "--state-dir", master_folder(self.cluster), "--export"],
                capture_output=True, text=True, timeout=30, check=True,
            ).stdout
        finally:
            self.cluster.restart()
        return [json.loads(line) for line in text.splitlines()]

    def start_agent(self, folder, *options):
        return subprocess.Popen(
            [os.path.join(BIN, "cortex-agent"), "--state-dir", folder, "--cpu", "100m",
             "--python", PYTHON, "--user", "none", "--ready-fd", "1", *options],
            env=self.cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def test_what_was_commanded_is_on_record_with_the_key(self):
        user = User(self.cluster, "recorded")
        let_in(user, "submit")
        user.refused("delete", "audio", "--env", "work")
        self.assertIn(f"refused: cortex.v1.Client/DeleteApi by role=submit key={user.key}",
                      said(self.cluster.daemon("master")))
        project = write_project(os.path.join(self.cluster.folder, "rec"), PREDICTOR + "# on record\n",
                                api="recorded")
        user.run("deploy", "--env", "work", cwd=project)
        job = self.cluster.submit("recorded", body(1))
        self.cluster.wait_job("recorded", job)
        user.run("env", "rotate", "work")
        commands = [row for row in self.export()
                    if row["table"] == "event" and row["subject"] == "command"]
        deploys = [row["detail"] for row in commands
                   if row["name"] == "Deploy" and user.key in row["detail"]]
        self.assertEqual(deploys, [f"role=submit key={user.key} object=recorded"])
        self.assertEqual(
            len([row for row in commands if row["name"] == "PutProject"
                 and re.fullmatch(f"role=submit key={user.key} object=[0-9a-f]{{64}}",
                                  row["detail"])]), 1)
        rotations = [row["detail"] for row in commands if row["name"] == "RotateKey"]
        self.assertTrue(any(re.fullmatch(
            f"role=submit key={user.key} object=cortex-public:[\\w-]{{43}}", one)
            for one in rotations), rotations)
        bridge = listed(self.cluster, "  bridge")
        self.assertIn(f"role=bridge key={bridge} for=admin object=recorded/{job}",
                      [row["detail"] for row in commands if row["name"] == "SubmitJob"])

    def test_a_job_goes_on_over_a_restart_of_the_master(self):
        project = write_project(
            os.path.join(self.cluster.folder, "long"),
            PREDICTOR.replace("pass\n\n", "pass\n\n    def on_job_complete(self):\n        pass\n\n")
            .replace("def predict(self, payload):\n        pass",
                     "def predict(self, payload):\n        import time; time.sleep(0.05)"),
            api="long")
        self.cluster.deploy(project)
        job = self.cluster.submit("long", body(dose(40, 400), workers=2))
        wait_until(lambda: (self.cluster.job("long", job)["batch_metrics"] or {"succeeded": 0})
                   ["succeeded"] > 2, "it runs")
        self.cluster.kill("master")
        self.cluster.restart()
        self.assertEqual(self.cluster.wait_job("long", job)["status"], "status_succeeded")


class Rotation(ClusterTest):
    """The master gets another key while a job runs, and nobody has to be told."""

    @classmethod
    def make_cluster(cls):
        return Cluster(agents=2, agent_cpu=1)

    def said(self, role, sentence, number=0):
        return sentence in said(self.cluster.daemon(role, number))

    def wait_all_said(self, sentence):
        def hears(role, number):
            self.cluster.http("GET", "/long")  # the bridge calls when it is asked
            return self.said(role, sentence, number)

        for role, number in (("agent", 0), ("agent", 1), ("bridge", 0)):
            wait_until(lambda: hears(role, number), f"{role} {number} has it", 30)

    def test_all_who_call_learn_the_masters_next_key_and_work_goes_on(self):
        project = write_project(
            os.path.join(self.cluster.folder, "long"),
            PREDICTOR.replace("predict(self, payload):\n        pass",
                              "predict(self, payload):\n        import time; time.sleep(0.1)"),
            api="long", cpu="1")
        self.cluster.deploy(project)
        user, absent = User(self.cluster, "present"), User(self.cluster, "absent")
        let_in(user, "submit")
        keys(self.cluster, "add", "--role", "read", absent.key)
        old = master_join(self.cluster)
        job = self.cluster.submit("long", body(150, workers=2))
        next_key = keys(self.cluster, "rotate").strip()
        self.assertEqual(keys(self.cluster, "rotate").strip(), next_key)
        self.wait_all_said("going to change its key")
        user.run("get", "--env", "work")
        new = keys(self.cluster, "rotate", "--finish").strip()
        self.assertEqual(new, master_join(self.cluster))
        self.assertNotEqual(new, old)
        wait_until(lambda: self.said("master", "has another key now"), "the master has it", 10)
        self.wait_all_said("has changed its key")
        user.run("get", "--env", "work")
        self.assertIn("rejects", absent.refused("get", "--env", "work"))
        absent.run("env", "configure", "work", "--join", new)
        absent.run("get", "--env", "work")
        self.assertEqual(self.cluster.wait_job("long", job)["status"], "status_succeeded")
        self.assertEqual(self.cluster.job("long", job)["batch_metrics"]["succeeded"], 150)
        self.cluster.cortex("cluster", "down", "--state-dir", self.cluster.state)
        self.cluster.restart()  # with what is in the folders
        self.cluster.wait_job("long", self.cluster.submit("long", body(4, workers=2)))


class Revocation(ClusterTest):
    @classmethod
    def make_cluster(cls):
        return Cluster(agents=2, agent_cpu=1)

    def test_an_agent_whose_key_is_revoked_gives_its_batches_to_others(self):
        project = write_project(os.path.join(self.cluster.folder, "stuck"), STUCK, api="stuck", cpu="1")
        self.cluster.deploy(project)
        job = self.cluster.submit("stuck", body(8, workers=2))
        log = self.cluster.daemon("agent", 0)["log"]
        wait_until(lambda: self.cluster.log("stuck", job).count("processing batch") >= 7,
                   "the second agent has done what the first has not got", 60)
        keys(self.cluster, "revoke", listed(self.cluster, "  agent-1"))

        def hung_up():
            with open(log, encoding="utf-8") as file:
                return "this key has been revoked" in file.read()

        wait_until(hung_up, "the agent is told", 5)
        status = self.cluster.wait_job("stuck", job, 60)
        self.assertEqual(status["status"], "status_succeeded")
        self.cluster.kill("agent", 0)  # it would wait for the batch that never ends


if __name__ == "__main__":
    unittest.main()
