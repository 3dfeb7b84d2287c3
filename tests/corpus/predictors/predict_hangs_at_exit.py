# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
# log: did not end by itself in time
import atexit, time
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            atexit.register(time.sleep, 1000)
