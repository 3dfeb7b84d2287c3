# SPDX-License-Identifier: Apache-2.0
# worker: exited
# outcomes: 1 2 1
# log: failed processing batch
# log: Unshowable: <exception str() failed>
class Unshowable(Exception):
    def __str__(self): raise ValueError
    __repr__ = __str__
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self, payload):
        if payload[0] == 1:
            raise Unshowable()
