# SPDX-License-Identifier: Apache-2.0
"""journal.py - how the runner's own lines get into the job's log

They go down the same pipe as the predictor's standard output and error, so that the
order is the true one, but through a descriptor of their own, which a predictor that
closes or redirects 1 and 2 does not touch. Each begins with the byte 0x1e, which the
agent removes: there it ends a line that the predictor left open.
"""
import faulthandler
import os
import signal
import sys
import time
import traceback

from . import channel

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
_LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}
_NAMES = {DEBUG: "DEBUG", INFO: "INFO", WARNING: "WARNING", ERROR: "ERROR"}


class Journal:
    def __init__(self):
        self._fd = channel.hide(2)
        self._level = INFO
        self._second = -1
        self._date = ""
        self._pid = os.getpid()
        # A crash leaves the Python stack in the log; so does SIGQUIT, which the agent
        # sends before it kills a worker that does not end.
        faulthandler.enable(file=self._fd)
        faulthandler.register(signal.SIGQUIT, file=self._fd, all_threads=True)

    def set_level(self, name):
        self._level = _LEVELS.get(name, INFO)

    def stamp(self, level):
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
        return "\x1e%s.%06d:cortex:pid-%d:%s:" % (
            self._date,
            int((now - second) * 1000000),
            self._pid,
            _NAMES[level],
        )

    def info(self, message):
        if self._level <= INFO:
            self._write(self.stamp(INFO) + message + "\n")

    def warning(self, message):
        if self._level <= WARNING:
            self._write(self.stamp(WARNING) + message + "\n")

    def error(self, message, exception=None, skip=0):
        """Always written. With an exception its traceback follows, without the first
        `skip` frames, which are the runner's."""
        flush_output()
        text = self.stamp(ERROR) + message + "\n"
        if exception is not None:
            text += format_exception(exception, skip)
        self._write(text)

    def _write(self, text):
        data = text.encode("utf-8", "backslashreplace")
        sent = os.write(self._fd, data)
        while sent < len(data):
            sent += os.write(self._fd, data[sent:])


def format_exception(exception, skip):
    trace = exception.__traceback__
    while skip > 0 and trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
        skip -= 1
    try:
        return "".join(traceback.format_exception(type(exception), exception, trace))
    except BaseException:  # a class made to fail when it is shown
        return "%s (its text cannot be shown)\n" % type(exception).__name__


def one_line(exception):
    """The exception as one short line."""
    try:
        text = str(exception)
    except BaseException:
        text = "(its text cannot be shown)"
    name = type(exception).__name__
    return " ".join((name + ": " + text if text else name).split())[:1000]


def prepare_output():
    """Lines leave when they are complete, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(
            encoding="utf-8", errors="backslashreplace", line_buffering=True
        )


def flush_output():
    """Sends on what the predictor printed. Its streams may be closed or replaced."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
