# SPDX-License-Identifier: Apache-2.0
# worker: setup
# outcomes: 0 0
# log: No module named 'no_such_module'
import no_such_module
