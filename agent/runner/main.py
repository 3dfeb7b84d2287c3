# SPDX-License-Identifier: Apache-2.0
"""main.py - how a runner process begins

    python3 .../cortex_runner/main.py CHANNEL_FD PAGE_FD

This file is the only one Python does not keep compiled, so it only starts the rest.
The search path is left as a program in the project's folder would find it.
"""
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
_parent = os.path.dirname(_here)
if sys.path and sys.path[0] == _here:
    del sys.path[0]
sys.path.insert(0, _parent)
from cortex_runner import worker  # noqa: E402

sys.path.remove(_parent)
channel_fd, page_fd = int(sys.argv[1]), int(sys.argv[2])
sys.argv = [""]
worker.main(channel_fd, page_fd)
