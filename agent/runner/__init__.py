# SPDX-License-Identifier: Apache-2.0
"""__init__.py - the Python side of a worker, standard library only

The agent writes this package into its state folder as `cortex_runner` and starts
main.py. Nothing in it is meant for predictors to import.
"""
