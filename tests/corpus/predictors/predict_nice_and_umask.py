# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
import os
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            os.nice(19); os.umask(0o777)
