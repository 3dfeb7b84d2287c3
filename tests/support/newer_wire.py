# SPDX-License-Identifier: Apache-2.0
"""newer_wire.py - a relay behind which each side seems to be of a later release

To every clear frame's envelope and message, both ways, it adds fields that nobody knows
yet, as a later release would; a Sync tells another release. See proto/rpc.proto for the
frames; nng puts them on a stream behind 8 bytes of greeting, each behind its length and
4 bytes of its own.
"""

import struct

from clear_frame import field
from relay import Relay

GREETING = 8
NNG_ID = 4
HEADER = struct.Struct("<2sBBI16xII")  # of a frame, with the sizes
CLEAR = 6
RELEASE = b"9.9.9"
UNKNOWN = field(900, 1 << 40) + field(901, b"later")
NEW_RELEASE = field(4, RELEASE)  # the last one counts


def newer(body, way):
    """A message of nng's with more in it; `way` as in Relay."""
    frame = body[NNG_ID:]
    magic, version, kind, _, envelope_size, message_size = HEADER.unpack_from(frame)
    if (magic, version, kind) != (b"CX", 1, CLEAR):
        return body
    envelope = frame[HEADER.size:][:envelope_size]
    message = frame[HEADER.size + envelope_size:][:message_size]
    attachment = frame[HEADER.size + envelope_size + message_size:]
    if way == "up" and envelope.find(b"AgentService/Sync") >= 0:
        message += NEW_RELEASE
    envelope, message = envelope + UNKNOWN, message + UNKNOWN
    sizes = struct.pack("<II", len(envelope), len(message))
    head = frame[:HEADER.size - len(sizes)] + sizes
    return body[:NNG_ID] + head + envelope + message + attachment


class NewerWire(Relay):
    def __init__(self, server_port):
        self.changed = {"up": 0, "down": 0}
        super().__init__(server_port)

    def pump(self, source, target, way):
        try:
            target.sendall(self.read(source, GREETING))
            while True:
                (size,) = struct.unpack(">Q", self.read(source, 8))
                body = newer(self.read(source, size), way)
                target.sendall(struct.pack(">Q", len(body)) + body)
                self.changed[way] += len(body) > size
        except OSError:
            self.leave(source, target)

    def read(self, source, size):
        data = b""
        while len(data) < size:
            piece = source.recv(size - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data
