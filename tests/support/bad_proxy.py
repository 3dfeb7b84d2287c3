# SPDX-License-Identifier: Apache-2.0
"""bad_proxy.py - an S3 server that misbehaves, by a seed

Stands before a real one and passes requests on as they come, Host and all, since that
is signed. Some it answers itself (503 SlowDown, 429, 500), some it cuts: before the
server saw them, after it carried them out, or in the middle of the answer; some it
holds up. `counts` says what was done how often.
"""

import collections
import http.client
import http.server
import random
import threading
import time

ERROR = '<?xml version="1.0"?><Error><Code>{0}</Code><Message>planted</Message></Error>'
FAULTS = {
    "slow down": (503, "SlowDown"),
    "too many": (429, "TooManyRequests"),
    "internal": (500, "InternalError"),
    "reset before": None,
    "reset after": None,
    "cut answer": None,
    "stall": None,
}
STALL_S = 0.5
HOP = {"connection", "transfer-encoding", "keep-alive"}


class BadProxy:
    def __init__(self, server_port, rate, seed):
        self.rate = rate
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.counts = collections.Counter()
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

    def choose(self):
        with self.lock:
            self.counts["requests"] += 1
            fault = None
            if self.random.random() < self.rate:
                fault = self.random.choice(list(FAULTS))
                self.counts[fault] += 1
            return fault

    def handle(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = self.choose()
        if fault == "reset before":
            request.close_connection = True
            return
        if fault and FAULTS[fault]:
            status, code = FAULTS[fault]
            self.answer(request, status, {}, ERROR.format(code).encode())
            return
        if fault == "stall":
            time.sleep(STALL_S)
        status, headers, answer = self.ask(request, body)
        if fault == "reset after":
            request.close_connection = True
            return
        self.answer(request, status, headers, answer, cut=fault == "cut answer")

    def ask(self, request, body):
        server = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=60)
        try:
            server.putrequest(request.command, request.path, skip_host=True,
                              skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in HOP and name.lower() != "expect":
                    server.putheader(name, value)
            server.endheaders(body or None)
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
