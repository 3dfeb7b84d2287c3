# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 2 1
# log: failed processing batch
# log: cannot be stored as JSON
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            return {(1, 2): 3}
