# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
# log: unknown argument "payloads"
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payloads): pass
