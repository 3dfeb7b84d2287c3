# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
import os
os.closerange(0, 1 << 20)
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self): pass
