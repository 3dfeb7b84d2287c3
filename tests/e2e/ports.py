# SPDX-License-Identifier: Apache-2.0
"""ports.py - which loopback ports are free for a server that wants to be told one

The kernel hands out ports from ip_local_port_range for outgoing connections, so one
from there may be taken between asking and using it: these come from below that range,
and a lock file keeps them from the tests running beside us.
"""

import fcntl
import os
import random
import socket
import tempfile

FIRST, LAST = 12000, 32000
held = []  # lock files, for as long as this process lives


def take(port):
    path = os.path.join(tempfile.gettempdir(), f"cortex-test-port-{port}.lock")
    file = open(path, "w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        file.close()
        return False
    held.append(file)
    return True


def free_ports(count):
    found = []
    for _ in range(10000):
        port = random.randrange(FIRST, LAST)
        if port not in found and take(port):
            found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError("no free port")


def free_port():
    return free_ports(1)[0]
