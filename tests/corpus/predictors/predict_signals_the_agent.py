# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 2 1
# log: PermissionError
# root
import os
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1: os.kill(os.getppid(), 9)
