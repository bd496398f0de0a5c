# SPDX-License-Identifier: AGPL-3.0-only
"""What two.py has each of two agents do while the other does it, too. One JSON object a line; what was sent is
looked for outside.

usage: two_inside.py NAME ADDRESS PORT..."""

import json
import os
import socket
import subprocess
import sys
import time

name, address, ports = sys.argv[1], sys.argv[2], [int(p) for p in sys.argv[3:]]


def runs(path):
    try:
        return subprocess.run([path, "/dev/null"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def sends(port):
    try:
        with socket.create_connection((address, port), timeout=5) as s:
            s.sendall(f"{name} at {port};".encode())
    except OSError:
        pass


with open("/workspace/ready", "w", encoding="ascii") as f:
    f.write(name)
while not os.path.exists("/workspace/go"):
    time.sleep(0.05)
seen = {path: set() for path in ("/usr/bin/wc", "/usr/bin/nl")}
for _ in range(5):
    for path, results in seen.items():
        results.add(runs(path))
    for port in ports:
        sends(port)
print(json.dumps({path: sorted(results) for path, results in seen.items()}), flush=True)
with open("/workspace/done", "w", encoding="ascii") as f:
    f.write(name)
while not os.path.exists("/workspace/end"):
    time.sleep(0.05)
