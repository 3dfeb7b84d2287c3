# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
import os, time
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            if os.fork() == 0:
                time.sleep(1000)
