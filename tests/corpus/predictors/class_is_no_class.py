# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0
# log: class PythonPredictor is not defined
PythonPredictor = 7
