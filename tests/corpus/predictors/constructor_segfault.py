# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
# log: Fatal Python error: Segmentation fault
# log: was killed by signal 11
import ctypes
class PythonPredictor:
    def __init__(self, config): ctypes.string_at(0)
    def predict(self): pass
