# SPDX-License-Identifier: Apache-2.0
"""herd.py - many agents that say Sync to a master, and nothing else

Each has a connection of its own over which it tells that it has no worker, as an agent
that has just started does, and repeats it until it was answered by the master's present
start. One thread carries them all. The frames are those of proto/rpc.proto; nng puts
them on a stream behind a greeting, each behind its length and an id.
"""

import asyncio
import random
import struct
import time

from clear_frame import RELEASE, field, fixed64, frame

GREETING = b"\0SP\0\0\x30\0\0"  # of a REQ socket
PAUSE_S = (0.02, 0.5)  # before a connection is tried again, as agents do


def fields(message):
    """Field -> its last number, of a message's numbers (others are passed over)."""
    found, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = take()
        if key & 7 == 0:
            found[key >> 3] = take()
        else:
            size = 8 if key & 7 == 1 else take() if key & 7 == 2 else 4
            at += size
    return found


class Agent:
    def __init__(self, index):
        self.id = random.Random(index).randbytes(16)
        self.incarnation = index + 1
        self.name = f"herd-{index}".encode()

    def request(self, count, boot):
        message = (field(1, self.id) + fixed64(2, self.incarnation) + field(3, self.name)
                   + field(4, RELEASE) + field(5, 1000) + field(6, 1 << 30) + field(14, boot))
        body = struct.pack(">I", 0x80000000 | count) + frame(
            b"cortex.v1.AgentService/Sync", message, counter=count, timeout_ms=5000)
        return struct.pack(">Q", len(body)) + body

    async def call(self, reader, writer, count, boot):
        """The fields of the answer."""
        writer.write(self.request(count, boot))
        (size,) = struct.unpack(">Q", await reader.readexactly(8))
        body = await reader.readexactly(size)
        envelope_size, message_size = struct.unpack_from("<II", body, 4 + 24)
        envelope = body[36:][:envelope_size]
        code = fields(envelope).get(2, 0)
        if code:
            raise ConnectionError(f"the master answered code {code}: {envelope}")
        return fields(body[36 + envelope_size:][:message_size])

    async def join(self, port):
        """Until it is registered with the start of the master that answers."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(GREETING)
                await reader.readexactly(len(GREETING))
                boot = (await self.call(reader, writer, 1, 0))[5]
                while (await self.call(reader, writer, 2, boot)).get(5) != boot:
                    raise ConnectionError("the master was started anew meanwhile")
                return writer
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(random.uniform(*PAUSE_S))


class Herd:
    def __init__(self, count, port):
        self.agents = [Agent(index) for index in range(count)]
        self.port = port
        self.loop = asyncio.new_event_loop()
        self.writers = []

    def join(self, patience_s):
        """All of them at once; how long it took until the last was answered."""
        for writer in self.writers:  # of a master that is gone
            writer.close()
        since = time.monotonic()
        self.writers = self.loop.run_until_complete(asyncio.wait_for(self.join_all(), patience_s))
        return time.monotonic() - since

    async def join_all(self):
        return await asyncio.gather(*[agent.join(self.port) for agent in self.agents])

    def leave(self):
        for writer in self.writers:
            writer.close()
        self.writers = []
        if not self.loop.is_closed():
            self.loop.run_until_complete(asyncio.sleep(0.1))
            self.loop.close()
