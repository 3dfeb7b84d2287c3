# SPDX-License-Identifier: Apache-2.0
# worker: memory
# outcomes: 0
# log: MemoryError
class PythonPredictor:
    def __init__(self, config): bytearray(1 << 60)
    def predict(self): pass
