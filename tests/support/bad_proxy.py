# SPDX-License-Identifier: Apache-2.0
"""bad_proxy.py - an S3 server that misbehaves, by a seed

Stands before a real one and passes requests on as they come, Host and all, since that
is signed. Some it answers itself (REFUSALS), some it cuts: before the server saw them,
in the middle of what is uploaded, after the server carried them out, or in the middle of
the answer; of some it turns a bit; some it holds up. The server finds a bit that was
turned, and a client that turned to a wrong region, by itself. A target is spoilt at most
IN_ROW_MAX times in a row, since a client gives up in the end, and sent for other keys, to
another region or by another clock once. `counts` says what was done how often.
"""

import collections
import http.client
import http.server
import random
import threading
import time

ERROR = ('<?xml version="1.0"?><Error><Code>{0}</Code><Message>planted</Message>'
         "</Error>")
REGION = "eu-central-1"
ELSEWHERE = {"x-amz-bucket-region": REGION}
REFUSALS = {  # the status, the code and the headers of what the proxy answers itself
    "slow down": (503, "SlowDown", {}),
    "too many": (429, "TooManyRequests", {}),
    "internal": (500, "InternalError", {}),
    "bad digest": (400, "BadDigest", {}),
    "moved": (301, "PermanentRedirect", ELSEWHERE),
    "redirect": (307, "TemporaryRedirect", ELSEWHERE),
    "expired": (400, "ExpiredToken", {}),
    "skewed": (403, "RequestTimeTooSkewed", {}),
    "error in 200": (200, "InternalError", {}),
}
ONCE = {"moved", "redirect", "expired", "skewed"}
UPLOADS = {"cut upload", "turned bit", "bad digest"}
CUTS = {"reset before", "reset after", "cut answer"}
FAULTS = [*REFUSALS, *sorted(UPLOADS - {"bad digest"}), *sorted(CUTS), "stall"]
IN_ROW_MAX = 4
STALL_S = 0.2
HOP = {"connection", "transfer-encoding", "keep-alive"}


class BadProxy:
    def __init__(self, server_port, rate, seed):
        self.rate = rate
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.in_row = collections.Counter()  # target -> faults since it was let through
        self.sent_away = set()  # targets
        self.server_port = server_port

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            proxy = self

            def handle_one(self):
                self.proxy.handle(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # hung up on: it was planted
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def choose(self, request, body):
        """The fault of a request, "" for none."""
        target = (request.command, request.path)
        fit = [
            fault for fault in FAULTS
            if (fault not in ONCE or target not in self.sent_away)
            and (fault not in UPLOADS or body)
            and (fault != "error in 200" or self.completes(request))
            and (fault != "skewed" or request.command != "HEAD")
            and (fault not in ("moved", "redirect") or not self.is_signed_there(request))
        ]
        with self.lock:
            self.counts["requests"] += 1
            if self.in_row[target] >= IN_ROW_MAX or self.random.random() >= self.rate:
                self.in_row.pop(target, None)
                return ""
            fault = self.random.choice(fit)
            self.counts[fault] += 1
            self.in_row[target] += 1
            if fault in ONCE:
                self.sent_away.add(target)
            return fault

    def is_signed_there(self, request):
        return f"/{REGION}/" in request.headers.get("Authorization", "")

    def completes(self, request):
        return request.command == "POST" and "uploadId=" in request.path

    def handle(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = self.choose(request, body)
        if fault in REFUSALS:
            status, code, headers = REFUSALS[fault]
            headers = {**headers, "Date": request.date_time_string()}
            self.answer(request, status, headers, ERROR.format(code).encode())
            return
        if fault == "stall":
            time.sleep(STALL_S)
        if fault == "turned bit":
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault == "cut upload":
            self.ask(request, body, cut=True)
        if fault in ("reset before", "cut upload"):
            request.close_connection = True
            return
        status, headers, answer = self.ask(request, body)
        if fault == "reset after":
            request.close_connection = True
            return
        self.answer(request, status, headers, answer, cut=fault == "cut answer")

    def ask(self, request, body, cut=False):
        server = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=60)
        try:
            server.putrequest(request.command, request.path, skip_host=True,
                              skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in HOP and name.lower() != "expect":
                    server.putheader(name, value)
            server.endheaders((body[: len(body) // 2] if cut else body) or None)
            if cut:
                return None
            response = server.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            server.close()

    def answer(self, request, status, headers, body, cut=False):
        request.send_response_only(status)
        length = headers.get("Content-Length") if request.command == "HEAD" else None
        for name, value in headers.items():
            if name.lower() not in HOP and name.lower() != "content-length":
                request.send_header(name, value)
        if status != 204:
            request.send_header("Content-Length", length or str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            request.close_connection = True
