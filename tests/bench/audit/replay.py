#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Recorded decisions that `aegis-audit what-if` makes again per CPU-second, beside what reading the journal and
proving its chain alone takes (`verify`): no replay of a journal that is checked can be faster.

The recording asks 1,000 different questions; both programs read it in turn, and the best round of each counts.
"""

import json
import os
import resource
import shutil
import subprocess
import tempfile

DECISIONS = 200000
ROUNDS = 3
TARGET = 2e6
BUILD = os.environ["AEGIS_BUILD"]


def cpu_seconds(*args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([f"{BUILD}/bin/aegis-audit", "--journal", f"{top}/audit", *args], check=True,
                         capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


top = tempfile.mkdtemp(prefix="aegis-bench-")
try:
    subprocess.run([f"{BUILD}/tests/integration/make_recording", f"{top}/audit", str(DECISIONS)], check=True,
                   capture_output=True)
    os.mkdir(f"{top}/policy.d")
    replay, verify = [], []
    for _ in range(ROUNDS):
        seconds, out = cpu_seconds("what-if", "--policy", f"{top}/policy.d")
        assert out.startswith(f"{DECISIONS} decisions: {DECISIONS} stay"), out
        replay.append(seconds)
        verify.append(cpu_seconds("verify")[0])
    ours, limit = DECISIONS / min(replay), DECISIONS / min(verify)
    print(json.dumps({"area": "audit", "name": "replay", "value": round(ours), "unit": "decisions/CPU-s",
                      "peer": "reading and proving the chain alone", "peer_value": round(limit),
                      "ratio": round(ours / limit, 3), "target": ">= 2000000/s", "met": ours >= TARGET}))
finally:
    shutil.rmtree(top)
