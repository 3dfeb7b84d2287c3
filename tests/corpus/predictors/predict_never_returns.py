# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 0 0
# stop: never returns
import signal
class PythonPredictor:
    def __init__(self, config):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def predict(self, payload):
        if payload[0] == 1:
            print('never returns', flush=True)
            while True: pass
