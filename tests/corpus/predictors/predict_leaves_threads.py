# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
import threading, time
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            for i in range(20):
                threading.Thread(target=time.sleep, args=(1000,)).start()
