# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
# log: was killed by signal 9
import os
class PythonPredictor:
    def __init__(self, config): os.kill(os.getpid(), 9)
    def predict(self): pass
