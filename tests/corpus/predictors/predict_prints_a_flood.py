# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
# most log: 160000000
import sys
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            for i in range(1 << 20): print('a line of some length that is repeated', i)
