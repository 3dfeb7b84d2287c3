# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
# log: __init__: SystemExit: 0
import sys
class PythonPredictor:
    def __init__(self, config): sys.exit(0)
    def predict(self): pass
