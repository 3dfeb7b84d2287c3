# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 1 1
import signal, threading
class PythonPredictor:
    def __init__(self, config): signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def predict(self, payload):
        if payload[0] == 1:
            threading.Thread(target=threading.Event().wait).start()
