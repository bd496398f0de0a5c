#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""tools/bypass as a test: nothing that a sandbox tries may leak."""

import json
import os
import subprocess
import sys

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests"]
import tap

if os.geteuid() != 0:
    tap.skip_all("needs root")
source = os.environ.get("AEGIS_SOURCE", ".")
done = subprocess.run([source + "/tools/bypass", "--json", "--build", os.environ.get("AEGIS_BUILD", "build/debug")],
                      capture_output=True, text=True)
lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
for line in lines[:-1]:
    if line["verdict"] == "not covered":
        tap.skip(line["attempt"], line["lacking"])
    else:
        tap.ok(line["attempt"], line["verdict"] == "prevented", line)
tap.ok("all of it was tried", lines and lines[-1]["attempts"] >= 60, done.stdout[-2000:] + done.stderr[-2000:])
tap.ok("what the kernel denied is on record", lines and lines[-1]["denials on record"] > 0, lines[-1:])
tap.ok("a flood of denials is counted, not told one by one", lines and lines[-1]["denials only counted"] > 10000,
       lines[-1:])
tap.equal("nothing leaked", done.returncode, 0)
tap.done()
