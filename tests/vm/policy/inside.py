# SPDX-License-Identifier: AGPL-3.0-only
"""What programs.py has done in a sandbox. Says of each thing whether it came about, one JSON object a line."""

import ctypes
import json
import os
import stat
import subprocess
import sys
import time

LOADER = next(p for p in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-x86-64.so.2") if os.path.exists(p))
COPY = "/workspace/copy"


def say(name, came_about):
    print(json.dumps({name: bool(came_about)}), flush=True)


def runs(*command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=60).returncode in (0, 1)
    except (OSError, subprocess.TimeoutExpired):
        return False


def reads(path, flags=os.O_RDONLY):
    try:
        fd = os.open(path, flags)
        os.read(fd, 1)
        os.close(fd)
        return True
    except OSError:
        return False


def copies(source, target=COPY):
    try:
        with open(source, "rb") as f, open(target, "wb") as t:
            t.write(f.read())
        os.chmod(target, 0o755)
        return True
    except OSError:
        return False


def runs_from_memory(source):
    try:
        fd = os.memfd_create("program")
        with open(source, "rb") as f:
            os.write(fd, f.read())
        return runs(f"/proc/self/fd/{fd}") or runs(f"/proc/{os.getpid()}/fd/{fd}")
    except OSError:
        return False


def runs_by_descriptor(path):
    try:
        fd = os.open(path, os.O_PATH)
    except OSError:
        return False
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for n in range(3):
            os.dup2(null, n)
        libc = ctypes.CDLL(None, use_errno=True)
        arguments = (ctypes.c_char_p * 2)(b"x", None)
        libc.syscall(322, fd, b"", arguments, (ctypes.c_char_p * 1)(None), 0x1000)  # execveat, AT_EMPTY_PATH
        os._exit(99)
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (0, 1)


def named():
    """/usr/bin/wc and all that /bin/tac leads to are forbidden, and a file that is no program."""
    say("another program runs", runs("/usr/bin/head"))
    say("a forbidden program runs", runs("/usr/bin/wc"))
    say("by a link of its folder", runs("/bin/wc"))
    say("one that the policy names by a link", runs("/usr/bin/tac"))
    say("by descriptor", runs_by_descriptor("/usr/bin/wc"))
    say("by the loader", runs(LOADER, "/usr/bin/wc"))
    say("by a copy", copies("/usr/bin/wc") and runs(COPY))
    say("from memory", runs_from_memory("/usr/bin/wc"))
    os.symlink("/usr/bin/wc", "/workspace/link")
    say("by a link of its own", runs("/workspace/link"))
    say("by a shell", runs("/bin/sh", "-c", "exec /usr/bin/wc"))
    say("a copy of another program runs", copies("/usr/bin/head") and runs(COPY))
    say("a forbidden file is read", reads("/usr/lib/os-release"))
    say("by /proc", reads("/proc/self/root/usr/lib/os-release"))
    say("for writing, too", reads("/usr/lib/os-release", os.O_RDWR))
    say("another file is read", reads("/usr/lib/python3/dist-packages/../../os-release/..") or
        reads("/usr/bin/head"))


def listed():
    """All but python3 and head is forbidden."""
    say("what is on the list runs", runs("/usr/bin/head"))
    say("the agent's interpreter runs", runs(sys.executable, "-c", "0"))
    say("what is not on the list runs", runs("/usr/bin/wc"))
    say("a copy of what is on the list runs", copies("/usr/bin/head") and runs(COPY))
    say("by the loader", runs(LOADER, COPY))
    say("from memory", runs_from_memory("/usr/bin/head"))
    with open("/workspace/script", "w", encoding="ascii") as f:
        f.write("#!/usr/bin/python3\n")
    os.chmod("/workspace/script", stat.S_IRWXU)
    say("a script of its own runs", runs("/workspace/script"))


def tightened():
    """/usr/bin/nl is permitted until it is not, and so is the reading of a file; /usr/bin/wc never is."""
    say("it runs before", runs("/usr/bin/nl") and reads("/usr/share/debconf/confmodule"))
    with open("/workspace/ready", "w", encoding="ascii") as f:
        f.write("ready")
    denied, leaked = 0, False
    while denied < 20:  # from the first denial on it must not run again
        leaked = leaked or runs("/usr/bin/wc")
        if not runs("/usr/bin/nl"):
            denied += 1
        elif denied:
            say("it runs again", True)
            return
        else:
            time.sleep(0.05)
    say("it runs again", False)
    say("what was forbidden before runs meanwhile", leaked)
    say("the file is read after", reads("/usr/share/debconf/confmodule"))


{"named": named, "listed": listed, "tightened": tightened}[sys.argv[1]]()
