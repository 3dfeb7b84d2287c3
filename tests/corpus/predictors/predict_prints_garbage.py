# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
# most log: 2000000
import os
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            os.write(1, bytes(range(256)) * 1000)
