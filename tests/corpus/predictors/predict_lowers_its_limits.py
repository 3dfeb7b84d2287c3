# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
import resource
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
