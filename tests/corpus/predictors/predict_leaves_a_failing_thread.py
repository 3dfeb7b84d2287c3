# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
# log: ZeroDivisionError
import threading
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()
