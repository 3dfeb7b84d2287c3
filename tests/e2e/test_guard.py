# SPDX-License-Identifier: Apache-2.0
"""test_guard.py - does the bridge let in whom it should, by TLS, and nobody else?

Real bridges in front of a real master that has two apis, "image-a" and "other", each with
a running job (there is nobody to work on it).
"""

import contextlib
import itertools
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import unittest
from http.client import HTTPConnection, HTTPSConnection

from support import BIN, Cluster, ClusterTest, sanitizer_reports
from support import command_line, wait_until, write_project

PREDICTOR = "class PythonPredictor:\n    def __init__(self, config): pass\n"
PROGRAM = os.path.join(BIN, "cortex-bridge")
BODY = '{"workers": 1, "item_list": {"items": [1], "batch_size": 1}}'


def make_certificate(folder, name):
    """A certificate and its key, by openssl; returns their paths."""
    certificate = os.path.join(folder, f"{name}.pem")
    key = os.path.join(folder, f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )
    return certificate, key


def tokens(*arguments):
    """Runs `cortex-bridge tokens ...`."""
    return subprocess.run(
        [PROGRAM, "tokens", *arguments], capture_output=True, text=True, check=False
    )


class Bridge:
    """A bridge of the test's own, with the key of the cluster's; a context."""

    def __init__(self, cluster, *options, listen="127.0.0.1:0"):
        words = command_line(cluster.daemon("bridge")["pid"]).split()
        self.log = os.path.join(cluster.folder, f"bridge-{time.monotonic_ns()}.log")
        folder = os.path.join(cluster.state, "bridge")
        with open(os.path.join(folder, "join"), encoding="ascii") as file:
            join = file.read().strip()
        read, write = os.pipe()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--master", words[words.index("--master") + 1],
                 "--join", join, "--key-file", os.path.join(folder, "key"),
                 "--listen", listen, "--ready-fd", str(write), *options],
                pass_fds=[write], stderr=log,
            )
        os.close(write)
        with open(read, encoding="ascii") as ready:
            self.url = ready.readline().strip()
        scheme, _, self.address = self.url.partition("://")
        self.tls = scheme == "https"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        reports = sanitizer_reports(self.log)
        if reports:
            raise AssertionError(reports[0])

    def said(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def connect(self, context=None):
        """A socket, in TLS if the bridge speaks it."""
        host, port = self.address.rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), timeout=60)
        return (context or trusting()).wrap_socket(plain) if self.tls else plain

    def ask(self, method, path, token=None, body=None, headers=()):
        """(status, headers, text)"""
        connection = (
            HTTPSConnection(self.address, timeout=60, context=trusting())
            if self.tls else HTTPConnection(self.address, timeout=60)
        )
        with contextlib.closing(connection):
            headers = dict(headers)
            if token:
                headers["Authorization"] = f"Bearer {token}"
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()

    def raw(self, request):
        """What is answered to bytes."""
        with self.connect() as connection:
            connection.sendall(request)
            answer = b""
            with contextlib.suppress(ssl.SSLError, ConnectionResetError):
                while more := connection.recv(65536):
                    answer += more
            return answer.decode()

    def subject(self):
        """Whose certificate a new connection sees."""
        return self.openssl()[1]

    def openssl(self, *options):
        """(protocol, subject) that `openssl s_client` sees; protocol None: refused."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", self.address, *options],
            input="", capture_output=True, text=True, timeout=60, check=False,
        )
        protocol = re.search(r"New, (TLSv[0-9.]+), Cipher is ", done.stdout)
        subject = re.search(r"subject=CN = (\S+)", done.stdout)
        return protocol and protocol.group(1), subject and subject.group(1)


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Guarded(ClusterTest):
    """A master with two apis, and certificates; one for all tests."""

    @classmethod
    def make_cluster(cls):
        return Cluster(agents=1)

    @classmethod
    def prepare(cls):
        for api in ("image-a", "other"):
            project = os.path.join(cls.cluster.folder, api)
            cls.cluster.deploy(write_project(project, PREDICTOR, api=api))
        cls.cluster.kill("agent")
        cls.jobs = {}
        for api in ("image-a", "other"):
            cls.jobs[api] = cls.cluster.submit(api, BODY)
        cls.certificates = {
            name: make_certificate(cls.cluster.folder, name) for name in ("old", "new")
        }

    def setUp(self):
        self.folder = os.path.join(self.cluster.folder, f"t{time.monotonic_ns()}")
        os.mkdir(self.folder)
        self.file = os.path.join(self.folder, "tokens")

    def add(self, *options):
        """A new token of the test's file."""
        done = tokens("add", "--tokens", self.file, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\Acortex_[0-9a-f]{64}\n\Z")
        return done.stdout.strip()

    def use(self, name, where=("tls.pem", "tls.key")):
        """Puts a certificate where a bridge looks; returns the options for it."""
        paths = [os.path.join(self.folder, one) for one in where]
        for source, path in zip(self.certificates[name], paths):
            shutil.copy2(source, path + ".new")
            os.replace(path + ".new", path)
        return ["--tls-cert", paths[0], "--tls-key", paths[1]]


class Tokens:
    ROUTES = (
        ("POST", ""),
        ("POST", "?dryRun=true"),
        ("GET", ""),
        ("HEAD", ""),
        ("DELETE", ""),
        ("PUT", ""),
        ("GET", "/{job}"),
        ("GET", "?jobID={job}"),
        ("GET", "/{job}/logs"),
        ("GET", "/{job}/logs?offset=0"),
        ("GET", "/{job}/batches"),
        ("GET", "/{job}/batches/x/payload"),
        ("GET", "/{job}/nothing"),
        ("POST", "/{job}"),
        ("DELETE", "/{job}"),
        ("DELETE", "?jobID={job}"),
    )

    @staticmethod
    def expected(kind, method, api):
        """401, 403, or None for "let in"."""
        role, _, scope = kind.partition(" ")
        if role not in ("admin", "submit", "read"):
            return 401
        if role == "read" and method not in ("GET", "HEAD"):
            return 403
        return 403 if scope and api != "image-a" else None

    def test_every_role_gets_its_methods_and_apis_and_nothing_else(self):
        kinds = {
            "nobody": None,
            "unknown": "cortex_" + "0" * 64,
            "expired": self.add("--role", "admin", "--expires", "2020-01-31"),
            "admin": self.add("--role", "admin"),
            "submit": self.add("--role", "submit", "--expires", "2999-01-01"),
            "submit image": self.add("--role", "submit", "--api", "x,image-*"),
            "read": self.add("--role", "read", "who reads"),
            "read image": self.add("--role", "read", "--api", "image-?"),
        }
        wrong = []
        before = {api: self.listed(api) for api in self.jobs}
        with Bridge(self.cluster, "--tokens", self.file) as bridge:
            # Those who may do least come first, so that what they may not do would show.
            for (kind, token), api, (method, path) in itertools.product(
                kinds.items(), ("other", "image-a", "nowhere"), self.ROUTES
            ):
                expected = self.expected(kind, method, api)
                if expected is None and method in ("POST", "DELETE"):
                    continue
                job = self.jobs.get(api, "0" * 16)
                body = BODY if method == "POST" else None
                target = f"/{api}{path.format(job=job)}"
                status, headers, text = bridge.ask(method, target, token, body)
                allowed = None if status not in (401, 403) else status
                if allowed != expected or ("WWW-Authenticate" in headers) != (status == 401):
                    wrong.append((kind, method, target, expected, status, text))
            for api in self.jobs:  # nothing of that did anything
                self.assertEqual(self.listed(api), before[api])
                self.assertEqual(self.cluster.job(api, self.jobs[api])["status"], "status_running")
            for kind, api in itertools.product(("submit image", "submit", "admin"), self.jobs):
                if self.expected(kind, "POST", api) is None:
                    self.assertEqual(self.submit_and_stop(bridge, api, kinds[kind]), [200, 200])
        self.assertEqual(wrong, [])

    def listed(self, api):
        page = self.cluster.http("GET", f"/{api}").json
        return [one["job_id"] for one in page["job_statuses"]]

    def submit_and_stop(self, bridge, api, token):
        status, _, text = bridge.ask("POST", f"/{api}", token, BODY)
        job = re.search(r'"job_id":"([0-9a-f]{16})"', text)
        return [status, bridge.ask("DELETE", f"/{api}/{job.group(1)}", token)[0]]

    def test_a_job_is_not_reached_by_another_apis_path(self):
        token = self.add("--role", "submit", "--api", "image-*")
        with Bridge(self.cluster, "--tokens", self.file) as bridge:
            for method, path in (("GET", ""), ("GET", "/logs"), ("GET", "/batches"), ("DELETE", "")):
                target = f"/image-a/{self.jobs['other']}{path}"
                self.assertEqual(bridge.ask(method, target, token)[0], 404, (method, path))
        self.assertEqual(self.cluster.job("other", self.jobs["other"])["status"], "status_running")

    def test_what_is_refused_is_said_the_same_way(self):
        good = self.add("--role", "read")
        with Bridge(self.cluster, "--tokens", self.file) as bridge:
            answers = set()
            for value in ("", "Bearer", "Bearer x", f"Basic {good}", good, f"Bearer {good}0"):
                status, headers, text = bridge.ask(
                    "GET", "/image-a", headers={"Authorization": value}
                )
                answers.add((status, headers["WWW-Authenticate"], text))
            answers.add(
                (401, 'Bearer realm="cortex"', bridge.ask("GET", "/nowhere")[2])
            )
            self.assertEqual(len(answers), 1, answers)
            self.assertIn('{"kind":"unauthenticated","message":"', answers.pop()[2])
            twice = (
                "GET /image-a HTTP/1.0\r\nAuthorization: Bearer x\r\n"
                f"Authorization: Bearer {good}\r\n\r\n"
            )
            self.assertIn(" 401 ", bridge.raw(twice.encode()))
            self.assertIn(" 401 ", bridge.raw(b"GET * HTTP/1.0\r\n\r\n"))
            scoped = self.add("--role", "read", "--api", "image-*")
            wait_until(lambda: bridge.ask("GET", "/image-a", scoped)[0] == 200, "it is read")
            self.assertEqual(  # whether an api is there is not told
                bridge.ask("GET", "/other", scoped)[2], bridge.ask("GET", "/nowhere", scoped)[2]
            )

    def test_a_strangers_body_is_not_kept(self):
        self.add("--role", "read")
        with Bridge(self.cluster, "--tokens", self.file) as bridge:
            self.assertEqual(bridge.ask("POST", "/image-a", None, b"x" * (20 << 20))[0], 401)
            asked = "POST /image-a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
            answer = bridge.raw(asked.encode())
            self.assertIn(" 401 ", answer.splitlines()[0])
            self.assertIn("Connection: close", answer)

    def test_health_is_told_to_everybody(self):
        self.add("--role", "read")
        with Bridge(self.cluster, "--tokens", self.file) as bridge:
            for path, method in itertools.product(("/_/healthz", "/_/readyz"), ("GET", "HEAD")):
                self.assertEqual(bridge.ask(method, path)[0], 200, path)
            self.assertEqual(bridge.ask("POST", "/_/healthz")[0], 405)
            self.assertEqual(bridge.ask("GET", "/_/nothing")[0], 401)
            self.assertEqual(bridge.ask("GET", "/")[0], 401)

    def test_tokens_come_and_go_while_the_bridge_runs(self):
        with Bridge(self.cluster, "--state-dir", self.folder) as bridge:
            self.assertEqual(bridge.ask("GET", "/other")[0], 200)  # there is no file
            token = self.add("--role", "read", "soon gone")
            other = self.add("--role", "admin", "stays")
            wait_until(lambda: bridge.ask("GET", "/other")[0] == 401, "tokens are demanded")
            self.assertEqual(bridge.ask("GET", "/other", token)[0], 200)
            follower = bridge.connect()
            path = f"/other/{self.jobs['other']}/logs?follow=true"
            follower.sendall(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            self.assertTrue(follower.recv(1))
            listed = tokens("list", "--tokens", self.file).stdout
            self.assertNotIn(token, listed)
            gone = re.search(r"^([0-9a-f]{12})  read .* soon gone$", listed, re.M).group(1)
            done = tokens("revoke", "--tokens", self.file, gone)
            self.assertEqual(done.returncode, 0, done.stderr)
            with follower:  # a log that is being followed ends, too
                while follower.recv(65536):
                    pass
            self.assertEqual(bridge.ask("GET", "/other", token)[0], 401)
            self.assertEqual(bridge.ask("GET", "/other", other)[0], 200)
            with open(self.file, "a", encoding="ascii") as file:
                file.write("role=king\n")
            wait_until(lambda: "line 2: role: got" in bridge.said(), "the error is told")
            self.assertEqual(bridge.ask("GET", "/other", other)[0], 200)
            os.unlink(self.file)
            wait_until(lambda: bridge.ask("GET", "/other", other)[0] == 401, "none holds")

    def test_the_file_is_for_its_owner_and_says_no_token(self):
        token = self.add("--role", "submit", "--api", "a,b", "who it is")
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        with open(self.file, encoding="ascii") as file:
            text = file.read()
        self.assertRegex(text, r"\Arole=submit api=a,b blake2b:[0-9a-f]{64} who it is\n\Z")
        self.assertNotIn(token[len("cortex_"):], text)
        for bad in (["add"], ["add", "--role", "king"], ["add", "--role", "read api=x"],
                    ["add", "--role", "admin", "--api", "x"], ["revoke", "0" * 12], ["steal"]):
            done = tokens(*bad, "--tokens", self.file)
            self.assertEqual((done.returncode, done.stdout), (1, ""), bad)
            self.assertIn("error: ", done.stderr)
        with open(self.file, encoding="ascii") as file:
            self.assertEqual(file.read(), text)


class Tls:
    def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(self):
        with Bridge(self.cluster, *self.use("old")) as bridge:
            self.assertTrue(bridge.url.startswith("https://127.0.0.1:"))
            self.assertEqual(bridge.openssl("-tls1_3"), ("TLSv1.3", "old"))
            self.assertEqual(bridge.openssl("-tls1_2"), ("TLSv1.2", "old"))
            for old in ("-tls1_1", "-tls1"):
                got = bridge.openssl(old, "-cipher", "ALL:@SECLEVEL=0")
                self.assertEqual(got, (None, None), old)
            plain = socket.create_connection(bridge.address.split(":"), timeout=60)
            with plain, contextlib.suppress(ConnectionResetError):
                plain.sendall(b"GET /_/healthz HTTP/1.0\r\n\r\n")
                self.assertNotIn(b"HTTP", plain.recv(1000))
            done = subprocess.run(
                ["curl", "-sS", "--cacert", self.certificates["old"][0], f"{bridge.url}/_/healthz"],
                capture_output=True, text=True, check=False,
            )
            self.assertEqual(done.stdout, "ok\n", done.stderr)

    def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on(self):
        job = self.cluster.submit("other", BODY)
        with Bridge(self.cluster, *self.use("old")) as bridge:
            kept = HTTPSConnection(bridge.address, timeout=60, context=trusting())
            kept.request("GET", "/_/healthz")
            self.assertEqual(kept.getresponse().read(), b"ok\n")
            follower = bridge.connect()
            follower.sendall(f"GET /other/{job}/logs?follow=true HTTP/1.0\r\n\r\n".encode())
            log = follower.recv(1)
            self.use("new")
            wait_until(lambda: bridge.subject() == "new", "the new certificate is shown")
            kept.request("GET", "/_/healthz")
            self.assertEqual(kept.getresponse().read(), b"ok\n")
            kept.close()
            self.assertEqual(self.cluster.http("DELETE", f"/other/{job}").status, 200)
            with follower:
                while more := follower.recv(65536):
                    log += more
            self.assertIn(b"stopped", log)

    def test_a_certificate_that_cannot_be_used_is_not_taken(self):
        with Bridge(self.cluster, *self.use("old")) as bridge:
            for spoil in (
                lambda path: shutil.copy(self.certificates["new"][0], path),  # another key's
                lambda path: open(path, "w", encoding="ascii").close(),
                os.unlink,
            ):
                told = bridge.said().count("the certificate stays as it was")
                spoil(os.path.join(self.folder, "tls.pem"))
                wait_until(
                    lambda: bridge.said().count("the certificate stays as it was") > told,
                    "the error is told",
                )
                self.assertEqual(bridge.subject(), "old")
            self.use("new")
            wait_until(lambda: bridge.subject() == "new", "the new certificate is shown")

    def test_a_doubtful_request_is_refused_inside_tls(self):
        post = "POST /image-a HTTP/1.1\r\nHost: x\r\n"
        with Bridge(self.cluster, *self.use("old")) as bridge:
            for headers in (
                "Content-Length: 2\r\nContent-Length: 3\r\n",
                "Content-Length: 2\r\nContent-Length: 2\r\n",
                "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: gzip, chunked\r\n",
                "Content-Length: +2\r\n",
                "Host: y\r\nContent-Length: 2\r\n",
                "Transfer-Encoding:\r\n chunked\r\nContent-Length: 2\r\n",
            ):
                answer = bridge.raw(f"{post}{headers}\r\n{{}}GET /_/healthz HTTP/1.0\r\n\r\n".encode())
                self.assertRegex(answer, r"\AHTTP/1.1 400 ", headers)
                self.assertNotIn("ok\n", answer, headers)  # what follows is no request

    def test_a_slow_client_is_cut_inside_tls(self):
        options = ["--header-timeout", "500ms", "--body-timeout", "500ms"]
        with Bridge(self.cluster, *self.use("old"), *options) as bridge:
            for begin in ("GET /_/healthz HTTP/1.1\r\n",
                          "POST /image-a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"):
                self.assertRegex(bridge.raw(begin.encode()), r"\AHTTP/1.1 408 ")
            plain = socket.create_connection(bridge.address.split(":"), timeout=60)
            with plain, contextlib.suppress(ConnectionResetError):
                plain.sendall(b"\x16\x03\x01")  # a handshake that never ends
                self.assertEqual(plain.recv(1000), b"")


class Door:
    def run_bridge(self, *options):
        return subprocess.run(
            [PROGRAM, "--listen", "0.0.0.0:0", *options],
            capture_output=True, text=True, timeout=60, check=False,
        )

    def test_other_machines_need_both_tls_and_tokens_to_be_served(self):
        self.add("--role", "read")
        tls = self.use("old")
        for options, missing in (
            ([], "neither TLS nor tokens"),
            (["--state-dir", os.path.join(self.folder, "none"), *tls], "no tokens"),
            (["--tokens", self.file], "no TLS"),
        ):
            done = self.run_bridge(*options)
            self.assertEqual(done.returncode, 1, options)
            self.assertIn(missing, done.stderr)
        for options in ([*tls, "--tokens", self.file], [*tls, "--state-dir", self.folder]):
            with Bridge(self.cluster, *options, listen="0.0.0.0:0") as bridge:
                self.assertTrue(bridge.url.startswith("https://0.0.0.0:"))
                self.assertEqual(bridge.ask("GET", "/other")[0], 401)
        with Bridge(self.cluster, "--insecure", listen="0.0.0.0:0") as bridge:
            self.assertEqual(bridge.ask("GET", "/other")[0], 200)

    def test_pages_of_no_other_site_are_let_in_but_of_one_that_is_set(self):
        ours, theirs = {"Origin": "https://app.example"}, {"Origin": "https://app.example.org"}
        token = self.add("--role", "submit")
        with Bridge(self.cluster, "--tokens", self.file) as bridge:
            for method in ("GET", "OPTIONS", "POST"):
                status, headers, _ = bridge.ask(method, "/other", token, headers=ours)
                self.assertNotIn("access-control", str(headers).lower())
                self.assertEqual(status, {"GET": 200, "OPTIONS": 405, "POST": 403}[method])
        allow = "Access-Control-Allow-Origin"
        with Bridge(
            self.cluster, "--tokens", self.file, "--cors-origin", ours["Origin"]
        ) as bridge:
            status, headers, text = bridge.ask("OPTIONS", "/other", headers=ours)
            self.assertEqual((status, headers[allow], text), (204, ours["Origin"], ""))
            self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
            self.assertEqual(bridge.ask("OPTIONS", "/other", headers=theirs)[0], 401)
            status, headers, _ = bridge.ask("GET", "/other", headers=ours)
            self.assertEqual((status, headers[allow]), (401, ours["Origin"]))
            status, headers, _ = bridge.ask("POST", "/other?dryRun=true", token, BODY, ours)
            self.assertEqual((status, headers[allow]), (200, ours["Origin"]))
            status, headers, _ = bridge.ask("GET", "/other", token, headers=theirs)
            self.assertEqual((status, headers[allow], headers["Vary"]), (200, None, "Origin"))
            self.assertEqual(bridge.ask("POST", "/other", token, BODY, theirs)[0], 403)
        for bad in ("*", "app.example", "https://App.example", "https://app.example/x"):
            self.assertIn("--cors-origin: got", self.run_bridge("--cors-origin", bad).stderr)

    def test_what_cannot_guard_is_told_at_the_start(self):
        tls = self.use("old")
        shutil.copy(self.certificates["new"][1], os.path.join(self.folder, "other.key"))
        open_key = shutil.copy(tls[3], os.path.join(self.folder, "open.key"))
        os.chmod(open_key, 0o644)
        for options, part in (
            (tls[:2], "--tls-key is missing"),
            (tls[2:], "--tls-cert is missing"),
            ([*tls[:3], os.path.join(self.folder, "other.key")], "do not match"),
            ([*tls[:3], open_key], "has mode 644"),
            (["--tls-cert", "/no/such/file", *tls[2:]], "/no/such/file"),
            (["--tokens", os.path.join(self.folder, "none")], "tokens add --tokens"),
        ):
            done = self.run_bridge("--insecure", *options)
            self.assertEqual(done.returncode, 1, options)
            self.assertIn(part, done.stderr)

    def test_one_address_has_its_share_of_connections(self):
        with Bridge(self.cluster, "--connections-per-address", "3") as bridge:
            held = [bridge.connect() for _ in range(3)]
            self.assertTrue(all(self.is_served(one) for one in held))
            with bridge.connect() as more:
                self.assertFalse(self.is_served(more))
            held.pop().close()
            wait_until(lambda: self.serves_one(bridge), "there is a place again")
            for one in held:
                one.close()

    def test_past_the_limit_connections_wait_for_a_place(self):
        with Bridge(self.cluster, "--connections", "2") as bridge:
            held = [bridge.connect() for _ in range(2)]
            self.assertTrue(all(self.is_served(one) for one in held))
            with bridge.connect() as more:
                more.sendall(b"GET /_/healthz HTTP/1.0\r\n\r\n")
                held.pop().close()
                self.assertIn(b" 200 ", more.recv(1000))
            held.pop().close()

    @staticmethod
    def is_served(connection):
        try:
            connection.sendall(b"GET /_/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            return b" 200 " in connection.recv(1000)
        except OSError:
            return False

    def serves_one(self, bridge):
        with bridge.connect() as one:
            return self.is_served(one)


class Guard(Tokens, Tls, Door, Guarded):
    pass


if __name__ == "__main__":
    unittest.main()
