# SPDX-License-Identifier: AGPL-3.0-only
"""A node of a test's own: a network namespace in which this process is from then on, and one that is
the world outside, at 93.184.216.2 behind 93.184.216.1: addresses that a public name may have, and
that lead nowhere else from here."""

import ctypes
import os
import subprocess
import tempfile

import tap

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
libc = ctypes.CDLL(None, use_errno=True)
OUTSIDE = f"aegis-out-{os.getpid()}"


def sh(command):
    subprocess.run(command, shell=True, check=True)


def enter(path_or_fd):
    fd = path_or_fd if isinstance(path_or_fd, int) else os.open(path_or_fd, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


def make_node():
    """This process is the node from now on; returns the descriptor of the outside."""
    if libc.unshare(CLONE_NEWNET) < 0:
        tap.skip_all("this machine makes no network namespace")
    sh(f"ip link set lo up && ip netns add {OUTSIDE} && ip link add up0 type veth peer name out0 netns {OUTSIDE} && "
       f"ip addr add 93.184.216.1/24 dev up0 && ip link set up0 up && "
       f"ip -n {OUTSIDE} addr add 93.184.216.2/24 dev out0 && ip -n {OUTSIDE} link set out0 up")
    outside = os.open(f"/run/netns/{OUTSIDE}", os.O_RDONLY)
    sh(f"ip netns del {OUTSIDE}")
    return outside


def in_outside(fd, fn):
    """Runs fn in the outside, where sockets that it makes stay, and returns its result."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    enter(fd)
    try:
        return fn()
    finally:
        enter(own)
        os.close(own)


def own_resolv_conf(resolver):
    """The daemon's resolver is the one outside; nobody else on the machine sees this file."""
    f = tempfile.NamedTemporaryFile("w", delete=False)
    f.write(f"nameserver {resolver}\n")
    f.close()
    os.chmod(f.name, 0o644)
    if libc.unshare(CLONE_NEWNS) < 0:
        tap.skip_all("this machine makes no mount namespace")
    sh(f"mount --make-rprivate / && mount --bind {f.name} /etc/resolv.conf")
    os.unlink(f.name)
