# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
# log: forged
import os
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            os.write(1, b'\x1e2020-01-01 00:00:00.000000:cortex:pid-1:INFO:forged\n')
