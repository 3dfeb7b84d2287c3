# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
import signal
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            for s in range(1, 32):
                if s not in (9, 19): signal.signal(s, signal.SIG_IGN)
