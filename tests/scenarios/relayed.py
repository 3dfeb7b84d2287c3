# SPDX-License-Identifier: Apache-2.0
"""relayed.py - a Ledgered scenario whose agents reach the master through a relay"""

from ledger import Ledgered
from relay import Relay


class Relayed(Ledgered):
    relay_class = Relay
    bridge_is_relayed = False

    @classmethod
    def make_cluster(cls):
        cls.relay = cls.relay_class(0)
        cls.addClassCleanup(cls.relay.stop)
        cls.agent_options = ("--master", f"tcp://127.0.0.1:{cls.relay.port}")
        if cls.bridge_is_relayed:
            cls.bridge_options = cls.agent_options
        cluster = super().make_cluster()
        url = cluster.up_options[cluster.up_options.index("--master-listen") + 1]
        cls.relay.server_port = int(url.rsplit(":", 1)[1])
        return cluster
