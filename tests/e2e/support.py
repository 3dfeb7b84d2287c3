# SPDX-License-Identifier: Apache-2.0
"""support.py - a real cluster for a test, and the ways a user talks to it

CORTEX_BIN names the folder of the built programs (ctest sets it). A Cluster is started
by `cortex cluster up` on free ports with a state folder, a home and an environment of
its own, and whatever it started is gone after stop(), even if a test killed parts of
it. stop() also fails the test if a sanitizer said something in a daemon's log.
"""

import http.client
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from urllib.parse import urlsplit

from ports import free_ports

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("CORTEX_BIN", os.path.join(ROOT, "build", "dev", "bin"))
PYTHON = "/usr/bin/python3"  # Debian's, with boto3 and requests
FULL = os.environ.get("CORTEX_FULL") == "1"
PATIENCE_S = 120  # a safety net, never an expectation

TERMINAL = {
    "status_succeeded",
    "status_completed_with_failures",
    "status_enqueue_failed",
    "status_worker_error",
    "status_worker_oom",
    "status_timed_out",
    "status_stopped",
    "status_unexpected_error",
}
SANITIZER = re.compile(
    r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:)[^\n]*"
)


def dose(usual, full):
    """How often a fault is planted: the usual dose, or the full one."""
    return full if FULL else usual


def wait_until(question, what, patience_s=PATIENCE_S):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s} s in vain until {what}")
        time.sleep(0.02)


def said(row):
    """What a daemon, a row of Cluster.processes(), has written into its log."""
    with open(row["log"], encoding="utf-8") as log:
        return log.read()


class Answer:
    """An HTTP response, read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Cluster:
    """`programs` is another folder of the built programs, such as one with a wrapper."""

    def __init__(self, env=None, agents=1, agent_cpu=8, options=(), programs=BIN):
        self.programs = programs
        self.folder = tempfile.mkdtemp(prefix="cortex-test-")
        self.state = os.path.join(self.folder, "state")
        self.home = os.path.join(self.folder, "home")
        os.makedirs(self.home)
        bridge, master = free_ports(2)
        self.url = f"http://127.0.0.1:{bridge}"
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "CORTEX_", "PYENV", "PYTHON"))
        }
        self.env.update(env or {})
        self.env.update(
            HOME=self.home,
            CORTEX_CLI_CONFIG_DIR=os.path.join(self.home, ".cortex"),
            PATH=f"{programs}:/usr/local/bin:/usr/bin:/bin",
            TZ="UTC",
        )
        self.up_options = [
            "--env", "aws",
            "--state-dir", self.state,
            "--bridge-listen", f"127.0.0.1:{bridge}",
            "--master-listen", f"tcp://127.0.0.1:{master}",
            "--agents", str(agents),
            "--agent-cpu", str(agent_cpu),
            "--python", PYTHON,
            *options,
        ]
        self.seen = {}  # pid -> start time of every daemon ever seen

    # Life

    def start(self):
        try:
            self.cortex("cluster", "up", *self.up_options)
            self.processes()
        except BaseException:
            self.stop(check=False)
            raise
        return self

    def processes(self):
        """What `cluster info` says of each daemon: role, pid, address, log, state."""
        done = self.cortex("cluster", "info", "--state-dir", self.state, "--output", "json")
        found = json.loads(done.stdout)
        daemons = found["daemons"] if isinstance(found, dict) else found
        for one in daemons:
            start = start_time(one.get("pid"))
            if start:
                self.seen[one["pid"]] = start
        return daemons

    def daemon(self, role, number=0):
        return [one for one in self.processes() if one["role"] == role][number]

    def kill(self, role, number=0, how=signal.SIGKILL):
        """Kills a daemon and waits until it is gone; returns its row."""
        row = self.daemon(role, number)
        kill_process(row["pid"], how)
        return row

    def restart(self):
        """Takes up again what is down."""
        self.cortex("cluster", "up", *self.up_options)
        return self.processes()

    def stop(self, check=True):
        try:
            if os.path.exists(self.state):
                self.cortex("cluster", "down", "--state-dir", self.state, check=False)
        finally:
            for pid, start in self.seen.items():
                if start_time(pid) == start:
                    kill_process(pid, signal.SIGKILL)
            self.kill_strays()
        reports = [report for path in self.logs() for report in sanitizer_reports(path)]
        if os.environ.get("CORTEX_KEEP") == "1":
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        if check and reports:
            raise AssertionError("a sanitizer reports:\n" + "\n".join(reports))

    def kill_strays(self):
        """Ends what still lives and was started with this cluster's state folder."""
        for pid in pids():
            if self.state in command_line(pid):
                kill_process(pid, signal.SIGKILL)

    def logs(self):
        return [
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.state)
            for name in names
            if name.endswith(".log")
        ]

    # The user's ways

    def cortex(self, *arguments, check=True, cwd=None, stdin=None, timeout=PATIENCE_S):
        """Runs `cortex ...`; stdout and stderr as text."""
        done = subprocess.run(
            [os.path.join(self.programs, "cortex"), *map(str, arguments)],
            env=self.env, cwd=cwd or self.home, input=stdin,
            capture_output=True, text=True, timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(
                f"cortex {' '.join(map(str, arguments))}: exit status {done.returncode}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done

    def shell(self, script, **env):
        """Runs commands as a user types them into bash; returns what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**self.env, **env}, cwd=self.home,
            capture_output=True, text=True, timeout=PATIENCE_S,
        )
        if done.returncode:
            raise AssertionError(f"{script}\n{done.stdout}{done.stderr}")
        return done.stdout

    def http(self, method, path, body=None, headers=None, timeout=PATIENCE_S):
        """One request to the bridge."""
        if not path.startswith("http"):
            path = self.url + path
        parts = urlsplit(path)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
        try:
            connection.request(method, target, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    # Short cuts

    def deploy(self, project):
        return self.cortex("deploy", "--env", "aws", cwd=project).stdout

    def submit(self, api, body, headers=None):
        """Submits and returns the job id; anything but 200 fails the test."""
        answer = self.http("POST", f"/{api}", body, headers)
        if answer.status != 200:
            raise AssertionError(f"submit: {answer.status} {answer.text}")
        return answer.json["job_id"]

    def job(self, api, job):
        answer = self.http("GET", f"/{api}/{job}")
        if answer.status != 200:
            raise AssertionError(f"status: {answer.status} {answer.text}")
        return answer.json["job_status"]

    def wait_job(self, api, job, patience_s=PATIENCE_S):
        """Waits until the job is terminal; returns its status document."""

        def ended():
            try:
                status = self.job(api, job)
            except OSError:  # the bridge may be on its way back
                return None
            return status if status["status"] in TERMINAL else None

        try:
            return wait_until(ended, f"job {job} is terminal", patience_s)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.job(api, job)}\n{self.log(api, job)}")

    def log(self, api, job):
        return self.http("GET", f"/{api}/{job}/logs").text

    def events_of(self, api, job):
        return self.log(api, job).splitlines()


class ClusterTest(unittest.TestCase):
    """Tests that share one cluster, made by make_cluster()."""

    @classmethod
    def make_cluster(cls):
        return Cluster()

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make_cluster()
        try:
            cls.cluster.start()
            cls.prepare()
        except BaseException:
            cls.cleanup()
            raise

    @classmethod
    def prepare(cls):
        """What the class needs beside the cluster."""

    @classmethod
    def cleanup(cls):
        cls.cluster.stop(check=False)

    @classmethod
    def tearDownClass(cls):
        try:
            cls.cluster.stop()
        finally:
            cls.cleanup()


def write_project(folder, predictor, api="thing", cpu="100m", **files):
    """A project folder with cortex.yaml and predictor.py; returns the folder."""
    os.makedirs(folder, exist_ok=True)
    files.setdefault(
        "cortex.yaml",
        f"- name: {api}\n  kind: BatchAPI\n"
        f"  predictor:\n    type: python\n    path: predictor.py\n"
        f"  compute:\n    cpu: {cpu}\n",
    )
    for name, text in {"predictor.py": predictor, **files}.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return folder


# Processes, by /proc: a pid is only ever signalled while it is the process we saw.


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def start_time(pid):
    """What tells a process from a later one with its pid; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    if fields[0] != "Z":
        return fields[19]
    try:  # a first thread that has ended leaves the files open while others have not
        return fields[19] if len(os.listdir(f"/proc/{pid}/task")) > 1 else None
    except OSError:
        return None


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children_of(pid):
    """The process's descendants."""
    found, row = [], [pid]
    table = {one: parent_of(one) for one in pids()}
    while row:
        row = [one for one, parent in table.items() if parent in row]
        found += row
    return found


def kill_process(pid, how=signal.SIGKILL):
    """Signals a process and, unless it may live on, waits until it is gone."""
    start = start_time(pid)
    if not start:
        return
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    if how in (signal.SIGKILL, signal.SIGTERM):
        wait_until(lambda: start_time(pid) != start, f"process {pid} is gone")


def sanitizer_reports(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    found = SANITIZER.search(text)
    return [f"{path}:\n{text[found.start():found.start() + 4000]}"] if found else []


# Fixtures


class WebServer:
    """Answers GET for the paths it was given, with the bytes it was given."""

    def __init__(self, pages):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = pages.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Gate:
    """Holds predictors up at named points. A project with GATE_SOURCE as gate.py calls
    gate.wait("point"), which returns at once unless the point is held."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def source(self):
        return (
            "import os, time\n"
            "def reached(point):\n"
            f"    open(os.path.join({self.folder!r}, 'reached-' + point), 'a').write('x')\n"
            "def wait(point):\n"
            "    reached(point)\n"
            f"    while os.path.exists(os.path.join({self.folder!r}, 'hold-' + point)):\n"
            "        time.sleep(0.01)\n"
        )

    def hold(self, point):
        open(os.path.join(self.folder, f"hold-{point}"), "w", encoding="utf-8").close()

    def release(self, point):
        os.unlink(os.path.join(self.folder, f"hold-{point}"))

    def count(self, point):
        """How often the point was reached, by any process."""
        try:
            return os.path.getsize(os.path.join(self.folder, f"reached-{point}"))
        except FileNotFoundError:
            return 0

    def wait_reached(self, point, times=1):
        wait_until(lambda: self.count(point) >= times, f"{point} is reached")
