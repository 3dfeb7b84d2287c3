# SPDX-License-Identifier: Apache-2.0
# worker: memory
# outcomes: 1 0 0
# suspect: 1
# memory: 134217728
# log: was killed for its memory
import time
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            kept = bytearray(400 << 20)
            time.sleep(1000)
