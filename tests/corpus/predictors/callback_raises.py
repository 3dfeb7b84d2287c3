# SPDX-License-Identifier: Apache-2.0
# worker: callback
# outcomes: 1 1
# log: failed to handle on_job_complete
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self): pass
    def on_job_complete(self): raise OSError('disk')
