# SPDX-License-Identifier: Apache-2.0
# worker: died
# outcomes: 1
# log: on_job_complete was interrupted
import os
class PythonPredictor:
    def __init__(self, config): pass
    def predict(self): pass
    def on_job_complete(self): os._exit(0)
