# SPDX-License-Identifier: Apache-2.0
"""run.py - does a fuzz target withstand its seeds, and what can be made of them?

usage: run.py FUZZER [LIBFUZZER OPTION...]

Runs FUZZER (fuzz_<what>) over its seeds (seeds.py) and what it finds from there, for two
seconds; for CORTEX_FUZZ_S seconds if that is set; for an hour with CORTEX_FULL=1. Then
the inputs that reached something new are kept beside the fuzzer and are seeds of the
next run. An input that breaks a target is printed with the command that repeats it.
"""
import math
import os
import subprocess
import sys
import tempfile
import time

import seeds

SECONDS, SECONDS_FULL = 2, 3600
INPUT_SIZE_MAX = 64 << 10


def seconds():
    full = os.environ.get("CORTEX_FULL", "0") not in ("", "0")
    return int(os.environ.get("CORTEX_FUZZ_S", SECONDS_FULL if full else SECONDS))


def main(fuzzer, options):
    fuzzer = os.path.abspath(fuzzer)
    broken = fuzzer + "-broken-"
    with tempfile.TemporaryDirectory(prefix="cortex-seeds-") as folder:
        given = os.path.join(folder, "seeds")
        found = os.path.join(folder, "found")
        if seconds() > SECONDS:
            found = fuzzer + "-found"
        os.makedirs(found, exist_ok=True)
        os.makedirs(given)
        for number, seed in enumerate(seeds.of(os.path.basename(fuzzer))):
            with open(os.path.join(given, "%05d" % number), "wb") as file:
                file.write(seed[:INPUT_SIZE_MAX])
        command = [
            fuzzer,
            "-max_len=%d" % INPUT_SIZE_MAX,
            "-timeout=5",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            "-verbosity=0" if seconds() == SECONDS else "-verbosity=1",
            "-artifact_prefix=" + broken,
        ]
        end = time.monotonic() + seconds()
        status = 0
        while status == 0 and (left := end - time.monotonic()) > 0:
            time_limit = "-max_total_time=%d" % math.ceil(left)
            status = subprocess.run(command + [time_limit] + options + [found, given]).returncode
        return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
