# SPDX-License-Identifier: Apache-2.0
"""lossy_wire.py - a wire between two network namespaces that loses what it carries

The caller's namespace, which must be its own (`unshare --net`), is the near end, at
NEAR; a namespace that this makes is the far end, at FAR, and `far_command` is what to
put before a command to run it there. Both ends are TUN devices, and this process carries
the packets: it needs root and /dev/net/tun, and no module of the kernel that few have.

All packets of a direction ("up": from far to near, "down") are lost while `cut` names
it. Of others `loss` is the part that is lost, `twice` the part that comes twice; each is
`delay_s` under way, and up to `jitter_s` longer, so that later ones overtake it. Both
addresses are of the loopback network, since a master without keys listens on no other.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

NEAR, FAR = "127.1.0.1", "127.2.0.1"
TUN = "/dev/net/tun"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET_MAX = 65536
# The loopback network is split: each address is at the end of the wire that it names.
END_SCRIPT = """set -e
ip link set lo up
for each in all {device}; do
    echo 1 >/proc/sys/net/ipv4/conf/$each/route_localnet
    echo 0 >/proc/sys/net/ipv4/conf/$each/rp_filter
done
ip route del local 127.0.0.0/8 dev lo table local
ip addr add {here}/32 dev {device}
ip link set {device} up
ip route add {there}/32 dev {device} src {here}
"""


def why_not():
    """Why there can be no wire here, as a sentence; "" if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if os.access(TUN, os.R_OK | os.W_OK) else f"there is no {TUN} here"


class LossyWire:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.heal()
        self.counts = {"carried": 0, "lost": 0, "twice": 0}
        self.far = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.far_command = ["nsenter", f"--net=/proc/{self.far.pid}/ns/net", "--"]
        self.wait_namespace()
        self.near_fd, self.far_fd = self.open_end("wire0"), self.open_end("wire1")
        self.run("ip", "link", "set", "wire1", "netns", str(self.far.pid))
        near = END_SCRIPT.format(device="wire0", here=NEAR, there=FAR)
        far = END_SCRIPT.format(device="wire1", here=FAR, there=NEAR)
        self.run("sh", "-c", near)
        self.run(*self.far_command, "sh", "-c", far)
        self.stopped = False
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def run(self, *command):
        subprocess.run(command, check=True)

    def wait_namespace(self):
        """Until the child has left ours."""
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{self.far.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            if time.monotonic() > deadline:
                raise TimeoutError("unshare made no namespace within 10 s")
            time.sleep(0.01)

    def open_end(self, name):
        fd = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        return fd

    def heal(self):
        self.cut = set()
        self.loss = self.twice = self.delay_s = self.jitter_s = 0.0

    def carry(self):
        ways = {self.far_fd: ("up", self.near_fd), self.near_fd: ("down", self.far_fd)}
        waiting, number = [], 0  # (when, number, end, packet)
        while not self.stopped:
            patience = min(0.05, max(0, waiting[0][0] - time.monotonic())) if waiting else 0.05
            for fd in select.select(list(ways), [], [], patience)[0]:
                way, end = ways[fd]
                packet = os.read(fd, PACKET_MAX)
                for when in self.arrivals(way):
                    number += 1
                    heapq.heappush(waiting, (when, number, end, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                os.write(end, packet)

    def arrivals(self, way):
        """When a packet that goes in now comes out: once, twice, or never."""
        if way in self.cut or self.random.random() < self.loss:
            self.counts["lost"] += 1
            return []
        copies = 2 if self.random.random() < self.twice else 1
        self.counts["carried"] += 1
        self.counts["twice"] += copies - 1
        now = time.monotonic() + self.delay_s
        return [now + self.random.random() * self.jitter_s for _ in range(copies)]

    def stop(self):
        self.stopped = True
        self.thread.join()
        os.close(self.near_fd)
        os.close(self.far_fd)
        self.far.kill()
        self.far.wait()
