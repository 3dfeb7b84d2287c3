# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
# log: is none of ours
import os, time
for name in os.listdir('/proc/self/fd'):
    try:
        if os.readlink('/proc/self/fd/' + name).startswith('socket:'):
            os.write(int(name), b'0123456789' * 100)
    except OSError:
        pass
time.sleep(1000)
