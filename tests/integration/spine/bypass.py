#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""tools/bypass as a test: nothing that a sandbox tries may leak where the doctor says that it is prevented, and what
the doctor says is not prevented is exactly what comes through."""

import json
import os
import re
import subprocess
import sys

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests"]
import tap

if os.geteuid() != 0:
    tap.skip_all("needs root")
source = os.environ.get("AEGIS_SOURCE", ".")
SLOW = {"address-whose-time-is-over", "while-both-daemons-are-dead"}
short = os.environ.get("AEGIS_TEST_LEVEL", "short") == "short"
names = re.findall(r'^@attempt\(\d+, "([^"]+)"', open(source + "/tests/bypass/attempts.py").read(), re.M)
done = subprocess.run([source + "/tools/bypass", "--json", "--build", os.environ.get("AEGIS_BUILD", "build/debug"),
                       *([n for n in names if n not in SLOW] + ["behind-a-tap"] if short else [])], capture_output=True, text=True)
lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
by_effect = False
for line in lines[:-1]:
    if line["verdict"] == "not covered":
        tap.skip(line["attempt"], line["lacking"])
    else:
        prevented = line["claim"].endswith(": prevented")
        tap.equal(f'{line["attempt"]} ({line["claim"]})', line["verdict"], "prevented" if prevented else "known")
        by_effect = by_effect or prevented and line["attempt"] == "memory-of-a-neighbour"
behind = [line for line in lines[:-1] if line["attempt"].startswith(("tap: ", "behind-a-tap"))]
tap.equal("all of it was tried", lines and lines[-1]["attempts"],
          len(names) - (len(SLOW) if short else 0) + len(behind))
tap.ok("and all that a guest behind a TAP can send", len(behind) > 20 or behind and "lacking" in behind[0], behind)
tap.ok("what the kernel denied is on record", lines and lines[-1]["denials on record"] > 0, lines[-1:])
if by_effect:
    tap.ok("so is what the LSM programs denied", lines[-1]["of them by effect"] > 0, lines[-1])
tap.ok("a flood of denials is counted, not told one by one", lines and lines[-1]["denials only counted"] > 10000,
       lines[-1:])
if not tap.equal("nothing leaked that should not", done.returncode, 0):
    print("# " + (done.stdout[-2000:] + done.stderr[-2000:]).replace("\n", "\n# "))
tap.done()
