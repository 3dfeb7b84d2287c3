# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 0 0
# stop: waiting for ever
import signal
class PythonPredictor:
    def __init__(self, config):
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(s, signal.SIG_IGN)
        print('waiting for ever')
        while True: signal.pause()
    def predict(self): pass
