# SPDX-License-Identifier: Apache-2.0
"""worker.py - what a runner does with the frames it gets, from START to LEAVE

The frames' bodies are told in agent/runner.h. User code may raise anything, sys.exit
included: an attempt fails then, and the worker goes on.
"""
import atexit
import json
import os
import struct
import sys
import time

from . import channel as wire
from . import journal as journals
from . import predictor as predictors
from .predictor import Refused

ERROR_SIZE = 1000  # characters of the one line that goes into a batch's row
RESULT_SIZE_MAX = 256 << 20  # bytes of JSON that one predict may return

START_TEXTS = 6
BATCH_ID_SIZE = 36

NOTHING, VALUE, FAILED = 0, 1, 2  # status in a RESULT frame
LEAVE_QUIETLY, LEAVE_EMPTY, LEAVE_CLOSING = 0, 1, 2  # reason in a LEAVE frame
CLOSING_LINES = {
    LEAVE_EMPTY: "no batches left in queue, exiting...",
    LEAVE_CLOSING: "no batches left in queue, job has been completed",
}

_RESULT = struct.Struct("<BqQ")
_SIZE = struct.Struct("<I")


def main(channel_fd, page_fd):
    channel = wire.Channel(channel_fd, page_fd)
    journal = journals.Journal()
    journals.prepare_output()
    status = 1
    try:
        status = Worker(channel, journal).run()
    except (EOFError, ConnectionError):
        pass  # the agent is gone: nobody is left to report to
    except OSError as e:
        journal.error("the worker has lost its agent: " + journals.one_line(e))
    finally:
        journals.flush_output()
        # Threads that a predictor left behind must not keep the process.
        os._exit(status)


def unpack_texts(body):
    """The texts of a START frame, each with its size in front."""
    texts = []
    at = 0
    try:
        while at < len(body):
            size = _SIZE.unpack_from(body, at)[0]
            at += 4 + size
            texts.append(body[at - size : at].decode("utf-8"))
    except (struct.error, UnicodeDecodeError):
        texts = []
    if at != len(body) or len(texts) != START_TEXTS:
        raise wire.ProtocolError("a START frame does not hold %d texts" % START_TEXTS)
    return texts


class Worker:
    def __init__(self, channel, journal):
        self._channel = channel
        self._journal = journal
        self._predictor = None
        self._stores = False
        self._said_dropped = False

    def run(self):
        kind, body = self._channel.receive()
        if kind != wire.START:
            raise wire.ProtocolError("a frame of type %d came before START" % kind)
        if not self._start(*unpack_texts(body)):
            return 1
        return self._serve()

    def _start(self, path, python_path, log_level, api_config, job_config, job_spec):
        """Constructs the predictor and says READY, or SETUP_FAILED."""
        self._journal.set_level(log_level)
        self._journal.info("loading the predictor from " + path)
        doing = "import"
        try:
            config = predictors.merged_config(api_config, job_config)
            cls = predictors.load_class(path, python_path)
            names = predictors.check_class(path, cls)
            doing = "__init__"
            # Before the predictor gets hold of config and can change it.
            dest = config.get("dest_s3_dir")
            spec = json.loads(job_spec) if job_spec else {}
            self._predictor = predictors.construct(cls, names["__init__"], config, spec)
        except BaseException as e:
            self._refuse(path, doing, e)
            return False
        if self._channel.forked:
            os._exit(0)
        self._stores = isinstance(dest, str) and dest != ""
        self._takes = predictors.predict_arguments(names["predict"])
        has_callback = "on_job_complete" in names
        journals.flush_output()
        self._channel.send(
            wire.READY, bytes([has_callback]) + (dest if self._stores else "").encode()
        )
        return True

    def _refuse(self, path, doing, exception):
        if self._channel.forked:
            os._exit(1)
        if isinstance(exception, Refused):
            text = str(exception)
            self._journal.error(text)
        else:
            text = "%s: %s: %s" % (path, doing, journals.one_line(exception))
            self._journal.error(text, exception, skip=2)
        memory = isinstance(exception, MemoryError)
        self._channel.send(wire.SETUP_FAILED, bytes([memory]) + _short(text))

    def _serve(self):
        receive = self._channel.receive
        while True:
            kind, body = receive()
            if kind == wire.BATCH:
                if self._channel.begin_batch():
                    self._batch(body)
            elif kind == wire.COMPLETE:
                if not self._complete():
                    return 1
            elif kind == wire.LEAVE:
                if not body:
                    raise wire.ProtocolError("a LEAVE frame without a reason came")
                return self._leave(body[0])
            else:
                raise wire.ProtocolError("a frame of the unknown type %d came" % kind)

    def _batch(self, body):
        channel = self._channel
        if len(body) < BATCH_ID_SIZE or not body[:BATCH_ID_SIZE].isascii():
            raise wire.ProtocolError("a BATCH frame without a batch id came")
        batch_id = body[:BATCH_ID_SIZE].decode("ascii")
        self._journal.info("processing batch " + batch_id)
        start_us = time.time_ns() // 1000
        begun = time.monotonic_ns()
        try:
            value = self._predict(body, batch_id)
            duration_us = (time.monotonic_ns() - begun) // 1000
            status, rest = self._encode(value)
        except BaseException as e:
            duration_us = (time.monotonic_ns() - begun) // 1000
            status, rest = FAILED, self._failed(batch_id, e)
        if channel.forked:
            os._exit(0)  # a child of the predictor that ran into our code
        journals.flush_output()
        channel.send(wire.RESULT, _RESULT.pack(status, start_us, duration_us), rest)

    def _predict(self, body, batch_id):
        takes_payload, takes_id, rest = self._takes
        given = dict(rest)
        if takes_payload:
            given["payload"] = json.loads(str(memoryview(body)[BATCH_ID_SIZE:], "utf-8"))
        if takes_id:
            given["batch_id"] = batch_id
        return self._predictor.predict(**given)

    def _encode(self, value):
        """The status and body of a result that was returned."""
        if value is None:
            return NOTHING, b""
        if not self._stores:
            if not self._said_dropped:
                self._said_dropped = True
                self._journal.warning(
                    "what predict returns is not stored: config has no dest_s3_dir"
                )
            return NOTHING, b""
        try:
            text = predictors.to_json(value)
        except Exception as e:
            raise Refused(
                "what predict returned cannot be stored as JSON: "
                + journals.one_line(e)
            ) from None
        if len(text) > RESULT_SIZE_MAX:
            raise Refused(
                "what predict returned is %d bytes of JSON, expected at most %d"
                % (len(text), RESULT_SIZE_MAX)
            )
        return VALUE, text.encode("ascii")

    def _failed(self, batch_id, exception):
        """Logs a failed attempt; returns its one line."""
        if self._channel.forked:
            os._exit(1)
        line = "failed processing batch " + batch_id
        if isinstance(exception, Refused):
            self._journal.error(line + ": " + str(exception))
            return _short(str(exception))
        self._journal.error(line, exception, skip=2)
        return _short(journals.one_line(exception))

    def _complete(self):
        """Runs on_job_complete; false if it failed and the worker is to end."""
        callback = getattr(self._predictor, "on_job_complete", None)
        try:
            if callback is not None:
                self._journal.info("executing on_job_complete")
                callback()
        except BaseException as e:
            if self._channel.forked:
                os._exit(1)
            self._journal.error("failed to handle on_job_complete", e, skip=1)
            text = "on_job_complete: " + journals.one_line(e)
            self._channel.send(wire.COMPLETE_FAILED, _short(text))
            return False
        if self._channel.forked:
            os._exit(0)
        journals.flush_output()
        self._channel.send(wire.COMPLETED)
        return True

    def _leave(self, reason):
        """What the predictor registered to run at exit runs first, so that the closing
        line is the last one."""
        atexit._run_exitfuncs()
        journals.flush_output()
        if reason in CLOSING_LINES:
            self._journal.info(CLOSING_LINES[reason])
        self._channel.send(wire.LEFT)
        return 0


def _short(text):
    return text[:ERROR_SIZE].encode("utf-8", "backslashreplace")[:ERROR_SIZE]
