# SPDX-License-Identifier: Apache-2.0
"""sqs.py - queues on loopback that speak SQS's JSON protocol, for a test

Debian has no SQS. What is checked of a request is what SQS checks: the signature,
worked out again by botocore's own signer, the headers of the protocol, the URL of the
queue, and for a FIFO queue that there is a group; a FIFO queue drops a message whose
deduplication id it has seen. It can be told to fail, and to be gone from its port.
"""

import contextlib
import hashlib
import http.server
import json
import socket
import threading
import uuid

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCOUNT = "123456789012"
KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class Refusal(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status = status
        self.code = code


def check_signature(url, headers, body):
    """Returns the region that the request is signed for."""
    scheme, rest = headers.get("Authorization", " ").split(" ", 1)
    parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    if scheme != "AWS4-HMAC-SHA256" or not parts:
        raise Refusal(403, "MissingAuthenticationToken", "no signature")
    key, _, region, service, _ = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    must = {"content-type", "host", "x-amz-date", "x-amz-target"}
    request = AWSRequest("POST", url, {name: headers[name] for name in names}, body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(KEY, SECRET), service, region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    if (key, service) != (KEY, "sqs") or not must <= set(names):
        raise Refusal(403, "InvalidSignatureException", f"signed {names} of {service}")
    if parts["Signature"] != signer.signature(text, request):
        raise Refusal(403, "InvalidSignatureException", "the signature does not match")
    return region


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments):
        self.connections = []
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)

    def stop(self):
        self.shutdown()
        self.server_close()
        for connection in self.connections:  # those that are kept alive
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Queues:
    """start() to stop(). `messages` holds what each queue took, in order."""

    def __init__(self, *names):
        self.lock = threading.Lock()
        self.messages = {name: [] for name in names}
        self.seen = set()  # deduplication ids
        self.failures = 0  # so many requests are answered with 500
        self.requests = 0
        self.refusals = []
        self.port = 0
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self):
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_SQS": self.url,
        }

    def start(self):
        queues = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = queues.answer(self.path, self.headers, body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        """Nobody listens any more; start() takes the same port."""
        if self.server:
            self.server.stop()
            self.server = None

    def answer(self, path, headers, body):
        with self.lock:
            self.requests += 1
            if self.failures > 0:
                self.failures -= 1
                return 500, {"__type": "InternalFailure", "message": "not now"}
            try:
                return 200, self.take(path, headers, body)
            except Refusal as refusal:
                self.refusals.append(f"{refusal.code}: {refusal}")
                name = f"com.amazonaws.sqs#{refusal.code}"
                return refusal.status, {"__type": name, "message": str(refusal)}

    def take(self, path, headers, body):
        region = check_signature(f"{self.url}{path}", headers, body)
        protocol = (path, headers["Content-Type"], headers["X-Amz-Target"])
        if protocol != ("/", "application/x-amz-json-1.0", "AmazonSQS.SendMessage"):
            raise Refusal(400, "UnsupportedOperation", str(protocol))
        said = json.loads(body)
        base, name = said["QueueUrl"].rsplit("/", 1)
        if base != f"{self.url}/{ACCOUNT}" or name not in self.messages:
            raise Refusal(
                400, "QueueDoesNotExist", "The specified queue does not exist."
            )
        repeat = said.get("MessageDeduplicationId")
        if name.endswith(".fifo") != bool(repeat and said.get("MessageGroupId")):
            raise Refusal(400, "InvalidParameterValue", "MessageGroupId")
        if repeat is None or repeat not in self.seen:
            self.messages[name].append({"region": region, **said})
            self.seen.add(repeat)
        digest = hashlib.md5(said["MessageBody"].encode()).hexdigest()
        return {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}

    def arn(self, name, region="eu-west-3"):
        return f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"
