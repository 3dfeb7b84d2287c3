# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 2 1
# log: failed processing batch
# log: Too many open files
import os
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            kept = globals().setdefault('kept', [])
            while True: kept.append(os.dup(0))
