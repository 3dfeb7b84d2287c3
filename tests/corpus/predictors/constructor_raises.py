# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0 0
# log: ValueError: no model
class PythonPredictor:
    def __init__(self, config): raise ValueError('no model')
    def predict(self): pass
