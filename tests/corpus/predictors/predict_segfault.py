# SPDX-License-Identifier: Apache-2.0
# worker: died
# outcomes: 1 0 0
# suspect: 1
# log: Fatal Python error: Segmentation fault
# log: while processing batch
import ctypes
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            ctypes.string_at(0)
