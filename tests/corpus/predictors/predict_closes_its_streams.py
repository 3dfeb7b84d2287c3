# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
import os, sys
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            sys.stdout.close(); os.close(1); os.close(2); os.close(0)
