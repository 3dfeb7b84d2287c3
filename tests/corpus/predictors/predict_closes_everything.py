# SPDX-License-Identifier: Apache-2.0
# worker: died
# outcomes: 1 0 0
# suspect: 1
# log: the worker 
# log: while processing batch
import os
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            os.closerange(0, 1 << 20)
