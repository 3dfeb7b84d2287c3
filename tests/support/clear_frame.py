# SPDX-License-Identifier: Apache-2.0
"""clear_frame.py - a call as bytes: fields of protobuf, and the clear frame around them

As proto/rpc.proto has it, for tests that speak to a master, or listen, without its
client.
"""

import os
import struct

RELEASE = b"0.1.0"


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """Of a message: bytes, or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def frame(method, message=b"", attachment=b"", counter=1, timeout_ms=20000, request_id=None):
    """A request of a method such as b"cortex.v1.Client/Info"."""
    envelope = (
        field(1, request_id or os.urandom(16)) + field(2, method)
        + field(3, timeout_ms) + field(4, RELEASE)
    )
    head = struct.pack("<2sBB12xQII", b"CX", 1, 6, counter, len(envelope), len(message))
    return head + envelope + message + attachment
