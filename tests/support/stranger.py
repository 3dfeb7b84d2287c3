# SPDX-License-Identifier: Apache-2.0
"""stranger.py - a connection to the master's RPC port by somebody who keeps no rules

Speaks what nng speaks (SP over TCP: a greeting of 8 bytes, then messages with their
size in front, each request behind an id of nng's own); clear_frame.py makes the frames.
"""

import socket
import struct

GREETING = struct.pack(">BBBBHH", 0, 0x53, 0x50, 0, 48, 0)  # "I am a REQ"
NNG_ID = struct.pack(">I", 0x80000001)


def packet(body):
    """What goes over TCP for a request of nng's with this body."""
    return struct.pack(">Q", len(NNG_ID) + len(body)) + NNG_ID + body


class Stranger:
    def __init__(self, url, greet=True, timeout_s=60):
        host, port = url.rpartition("/")[2].rsplit(":", 1)
        # Not from where the others of a test come: an address has its share.
        self.socket = socket.create_connection(
            (host, int(port)), timeout=timeout_s, source_address=("127.0.0.2", 0)
        )
        if greet:
            self.send(GREETING)
            self.receive(8)

    def send(self, data):
        """False if the master has hung up."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, size):
        """So many bytes; fewer if the master hangs up."""
        data = b""
        try:
            while len(data) < size and (more := self.socket.recv(size - len(data))):
                data += more
        except ConnectionResetError:
            pass
        return data

    def answer(self):
        """The body of the next answer; None after the hang-up."""
        size = self.receive(8)
        body = self.receive(struct.unpack(">Q", size)[0]) if len(size) == 8 else b""
        return body[4:] or None

    def ask(self, body):
        return self.answer() if self.send(packet(body)) else None

    def is_hung_up(self):
        """Waits for the master to hang up."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True

    def hang_up(self):
        """At once, with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()
