# SPDX-License-Identifier: Apache-2.0
"""runner_frames.py - does a runner end in good order when its agent talks nonsense?

usage: runner_frames.py FOLDER

FOLDER holds the package cortex_runner. Each case is a runner of its own, which gets the
bytes and then either waits for more or sees the end.
"""
import os
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

FOLDER = sys.argv.pop(1)
sys.path.insert(0, FOLDER)
from cortex_runner import channel, worker  # noqa: E402

PREDICTOR = """
class PythonPredictor:
    def __init__(self, config):
        pass
    def predict(self, payload):
        return payload
"""
ID = b"c9136381-6dcc-45bd-bd97-cc9c66ccc6d6"


def frame(kind, body=b""):
    return struct.pack("<IB", len(body) + 1, kind) + body


def texts(*parts):
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


START = frame(1, texts(b"predictor.py", b"", b"info", b'{"dest_s3_dir": "x"}', b"{}", b"{}"))
LEAVE = frame(4, b"\0")


class Frames(unittest.TestCase):
    def run_runner(self, sent):
        """The runner's status, what it logged, and what it sent back."""
        with tempfile.TemporaryDirectory() as project:
            with open(os.path.join(project, "predictor.py"), "w") as file:
                file.write(PREDICTOR)
            ours, its = socket.socketpair()
            page = os.memfd_create("page")
            os.truncate(page, 4096)
            main = os.path.join(FOLDER, "cortex_runner", "main.py")
            command = [sys.executable, "-B", main, str(its.fileno()), str(page)]
            runner = subprocess.Popen(
                command, cwd=project, pass_fds=(its.fileno(), page), stderr=subprocess.PIPE
            )
            its.close()
            os.close(page)
            ours.settimeout(60)
            ours.sendall(sent)
            log = runner.stderr.read().decode()  # until it has ended
            runner.stderr.close()
            status = runner.wait()
            answer = b""
            while piece := ours.recv(65536):
                answer += piece
            ours.close()
            return status, log, answer

    def refuse(self, sent, says):
        status, log, _ = self.run_runner(sent)
        self.assertEqual(status, 1)
        self.assertIn(says, log)
        self.assertNotIn("Traceback", log)

    def test_a_frame_without_room_for_its_type_is_refused(self):
        self.refuse(struct.pack("<IB", 0, 1), "a frame of 0 bytes came")

    def test_a_frame_of_4_gib_is_refused_before_it_comes(self):
        self.refuse(b"\xff\xff\xff\xff\1", "a frame of 4294967295 bytes came")

    def test_what_is_no_start_is_refused_as_the_first_frame(self):
        self.refuse(frame(2, ID + b"[1]"), "type 2 came before START")

    def test_a_start_that_is_not_six_texts_is_refused(self):
        for body in (
            b"",
            texts(b"a", b"b"),
            texts(*[b"x"] * 7),
            texts(*[b"x"] * 5) + b"\xff\xff\xff\x7fx",
            texts(*[b"x"] * 5) + b"\1\0",
            texts(*[b"x"] * 5, b"\xff"),
        ):
            with self.assertRaises(channel.ProtocolError):
                worker.unpack_texts(body)
        self.refuse(frame(1, b"x"), "does not hold 6 texts")

    def test_an_unknown_frame_ends_the_runner(self):
        self.refuse(START + frame(99, b"x"), "the unknown type 99 came")

    def test_a_leave_without_a_reason_ends_the_runner(self):
        self.refuse(START + frame(4), "without a reason")

    def test_a_batch_without_an_id_ends_the_runner(self):
        self.refuse(START + frame(2, b"\xff" * 40), "without a batch id")

    def test_a_payload_that_is_no_json_fails_the_batch_alone(self):
        sent = START
        payloads = [b"", b"[1", b"\xff\xfe", b"[" * 100000, b"[2]"]
        for payload in payloads:
            sent += frame(2, ID + payload)
        status, _, answer = self.run_runner(sent + LEAVE)
        self.assertEqual(status, 0)
        results = []
        while answer:
            size, kind = struct.unpack_from("<IB", answer)
            if kind == 18:
                results.append((answer[5], answer[22 : size + 4]))
            answer = answer[size + 4 :]
        self.assertEqual([status for status, _ in results], [2, 2, 2, 2, 1])
        self.assertEqual(results[4][1], b"[2]")


if __name__ == "__main__":
    unittest.main()
