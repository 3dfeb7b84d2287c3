# SPDX-License-Identifier: Apache-2.0
"""systemd_machine.py - a machine of its own with systemd, on this one's files

systemd as the first process of its own namespaces (mounts, processes, network, host
name, cgroups), whose file system is this machine's with all that is written kept beside
it, in memory. Needs root and overlayfs. Nothing of it is left after stop().
"""

import os
import signal
import subprocess
import tempfile
import time

# pivot_root, since nobody may make user namespaces inside a chroot.
BOOT = r"""
set -e
mount --make-rprivate /
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for each in run tmp dev; do mount -t tmpfs tmpfs $each; done
chmod 1777 tmp
for each in null zero full random urandom tty; do
    touch dev/$each
    mount --bind /dev/$each dev/$each
done
mkdir dev/shm dev/pts
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
: >etc/fstab
for each in sysctl modules-load; do # would change the kernel, which is everybody's
    ln -s /dev/null etc/systemd/system/systemd-$each.service
done
cat >etc/systemd/system/machine.target <<X
[Unit]
Requires=basic.target
After=basic.target
AllowIsolate=yes
X
mkdir .outside
pivot_root . .outside
umount -l /.outside
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no
"""


class Machine:
    def __init__(self):
        self.pid = None  # of its first process, as seen from here
        self.folder = tempfile.mkdtemp(prefix="cortex-machine-")
        self.outside = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork",
             "--kill-child", "sh", "-c", BOOT, "boot", self.folder],
            stdin=subprocess.DEVNULL,
        )
        self.wait_until_up()

    def wait_until_up(self, patience_s=60):
        """Until all that starts has started."""
        deadline = time.monotonic() + patience_s
        path = f"/proc/{self.outside.pid}/task/{self.outside.pid}/children"
        while time.monotonic() < deadline and self.outside.poll() is None:
            with open(path, encoding="ascii") as file:
                self.pid = (file.read().split() or [None])[0]
            if self.pid and self.run("systemctl is-system-running", check=False) in (
                "running\n", "degraded\n"
            ):
                return
            time.sleep(0.1)
        self.stop()
        raise AssertionError("systemd does not come up")

    def run(self, script, check=True, patience_s=120):
        """What a script, run by root's bash in the machine, writes to its output."""
        done = subprocess.run(
            ["nsenter", "--target", self.pid, "--all", "--root", "--wd", "env", "-i",
             "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             "bash", "-euo", "pipefail", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE if not check else subprocess.STDOUT,
            text=True, timeout=patience_s,
        )
        if check and done.returncode:
            raise AssertionError(f"{script}\nexit status {done.returncode}\n{done.stdout}")
        return done.stdout

    def bring(self, source, target):
        """Copies a folder of this machine into it."""
        archive = subprocess.run(["tar", "-C", source, "-c", "."], check=True,
                                 stdout=subprocess.PIPE).stdout
        subprocess.run(
            ["nsenter", "--target", self.pid, "--all", "--root", "--wd",
             "sh", "-c", 'mkdir -p "$1" && tar -C "$1" -x --no-same-owner', "bring", target],
            input=archive, check=True,
        )

    def stop(self):
        """Its processes and mounts end with its first one."""
        if self.pid and self.outside.poll() is None:
            os.kill(int(self.pid), signal.SIGKILL)
        self.outside.kill()
        self.outside.wait()
        os.rmdir(self.folder)
