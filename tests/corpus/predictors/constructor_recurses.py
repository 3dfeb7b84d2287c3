# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
# log: RecursionError
class PythonPredictor:
    def __init__(self, config): self.__init__(config)
    def predict(self): pass
