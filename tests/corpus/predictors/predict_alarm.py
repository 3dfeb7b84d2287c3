# SPDX-License-Identifier: Apache-2.0
# worker: died
# outcomes: 1 0 0
# suspect: 1
# log: was killed by signal 14
# log: while processing batch
import signal, time
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(1000)
