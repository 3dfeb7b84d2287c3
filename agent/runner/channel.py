# SPDX-License-Identifier: Apache-2.0
"""channel.py - how a runner talks with its agent

Frames on a stream socket, little-endian: uint32 size of what follows, uint8 type,
body. agent/runner.h says what each holds. Beside it a shared page of uint64 numbers:

    [0]  written by the agent: not 0 means "begin no further batch"
    [1]  written by the runner: how many batches it has begun

so that an order to leave overtakes the batches already sent, and the agent knows which
of them go back, and of a dead runner whether it died in predict. The runner counts a
batch as begun before it looks at [0]: either it sees the order or the agent, a moment
after it was given, sees that the batch was begun. Predictors close, fork and redirect
descriptors: ours are moved above the process's descriptor limit, where a loop over
all of them does not reach, and are closed in forked children.
"""
import fcntl
import mmap
import os
import resource
import struct

START = 1
BATCH = 2
COMPLETE = 3
LEAVE = 4

READY = 16
SETUP_FAILED = 17
RESULT = 18
COMPLETED = 19
COMPLETE_FAILED = 20
LEFT = 21

READ_SIZE = 1 << 18  # many small batches in one system call
PAGE_SIZE = 4096
FRAME_SIZE_MAX = 64 << 20  # more than the agent can have got in one piece
HIDDEN_FDS = 8  # how far above the limit ours may go

_HEAD = struct.Struct("<IB")


class ProtocolError(OSError):
    """What came is not what an agent of ours sends."""


def hide(fd):
    """Moves a descriptor above the soft limit if the hard one has room, and marks it
    close-on-exec. Returns the new number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        roomy = soft + HIDDEN_FDS
        if hard != resource.RLIM_INFINITY:
            roomy = min(roomy, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (roomy, hard))
        try:
            least = soft if roomy > soft else max(soft - HIDDEN_FDS, 3)
            new = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError):
        new = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    return new


class Channel:
    """One per process, used by its main thread only."""

    def __init__(self, fd, page_fd):
        self._fd = hide(fd)
        os.close(fd)
        self._page = memoryview(mmap.mmap(page_fd, PAGE_SIZE)).cast("Q")
        os.close(page_fd)
        self._data = b""
        self._at = 0
        self._begun = 0
        self.forked = False
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self):
        self.forked = True
        try:
            os.close(self._fd)
        except OSError:
            pass

    def begin_batch(self):
        """Whether the batch is to be run."""
        self._page[1] = self._begun + 1
        if self._page[0] != 0:
            self._page[1] = self._begun
            return False
        self._begun += 1
        return True

    def receive(self):
        """The next frame's type and body; waits for it. EOFError if the agent is gone,
        ProtocolError if what comes is no frame."""
        while True:
            at = self._at
            left = len(self._data) - at
            need = 5
            if left >= 5:
                size, kind = _HEAD.unpack_from(self._data, at)
                if not 1 <= size <= FRAME_SIZE_MAX:
                    raise ProtocolError("a frame of %d bytes came" % size)
                need = size + 4
                if left >= need:
                    self._at = at + need
                    return kind, self._data[at + 5 : at + need]
            self._fill(need)

    def _fill(self, need):
        """Reads until at least `need` bytes are there from the current place on."""
        pieces = [self._data[self._at :]]
        have = len(pieces[0])
        while have < need:
            piece = os.read(self._fd, max(READ_SIZE, need - have))
            if not piece:
                raise EOFError
            pieces.append(piece)
            have += len(piece)
        self._data = b"".join(pieces)
        self._at = 0

    def send(self, kind, body=b"", more=b""):
        """Sends one frame. It is with the kernel when this returns, so it reaches the
        agent even if the process dies at once; a large one when the agent has taken
        nearly all of it."""
        head = _HEAD.pack(len(body) + len(more) + 1, kind) + body
        if len(more) <= READ_SIZE:
            self._write(head + more)
        else:
            self._write(head)
            self._write(more)  # not copied

    def _write(self, data):
        sent = os.write(self._fd, data)
        while sent < len(data):
            sent += os.write(self._fd, memoryview(data)[sent:])
