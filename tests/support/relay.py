# SPDX-License-Identifier: Apache-2.0
"""relay.py - a link between two processes that can be cut, held up and partitioned

A TCP relay on loopback. While `held` names a direction ("up", towards the server, or
"down"), its bytes wait and are delivered later, as TCP does over a partition that
heals. cut() resets all connections; while `refusing`, new ones are closed at once.
`tap`, if set, is called with (way, the client's socket, bytes) of all that passes.
"""

import socket
import struct
import threading
import time


class Relay:
    def __init__(self, server_port):
        self.server_port = server_port
        self.held = set()
        self.refusing = False
        self.delay_s = 0
        self.tap = None
        self.sockets = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refusing:
                    raise OSError
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                client.close()
                continue
            with self.lock:
                self.sockets += [client, server]
            for source, target, way in ((client, server, "up"), (server, client, "down")):
                threading.Thread(
                    target=self.pump, args=(source, target, way), daemon=True
                ).start()

    def pump(self, source, target, way):
        try:
            while data := source.recv(65536):
                if self.tap:
                    self.tap(way, source if way == "up" else target, data)
                time.sleep(self.delay_s)
                while way in self.held:
                    time.sleep(0.01)
                target.sendall(data)
        except OSError:
            pass
        self.leave(source, target)

    def leave(self, source, target):
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()

    def cut(self):
        with self.lock:
            cut, self.sockets = self.sockets, []
        for one in cut:
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def heal(self):
        self.held = set()
        self.refusing = False
        self.delay_s = 0

    def stop(self):
        self.heal()
        self.listener.close()
        self.cut()
