#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""tools/gdb/fibers.py on a program whose fibers are parked in known places."""

import os
import re
import shutil
import subprocess

import tap

SOURCE = os.environ["AEGIS_SOURCE"]
PROGRAM = os.environ["AEGIS_BUILD"] + "/tests/unit/gdb_parked"

if not shutil.which("gdb"):
    tap.skip_all("gdb is not installed")

commands = ["set confirm off", "set pagination off", "set debuginfod enabled off", "set print address on",
            "break everything_is_parked", "run", f"source {SOURCE}/tools/gdb/fibers.py",
            "fibers", "echo ---\\n", "fibers bt", "echo ---\\n", "fiber 1", "fiber 99", "kill"]
command = ["gdb", "-nx", "-batch"] + [word for c in commands for word in ("-ex", c)] + [PROGRAM]
result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                        timeout=100, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
output = result.stdout
if "Couldn't get registers" in output or "ptrace: Operation not permitted" in output or "Cannot PTRACE" in output:
    tap.skip_all("this machine does not let gdb trace: " + output.splitlines()[-1])
parts = output.split("---\n")
tap.equal("three answers", len(parts), 3)
listing, traces, one = (parts + ["", "", ""])[:3]

tap.ok("the running fiber", re.search(r"worker 0 +running +main$", listing, re.M), listing)
tap.ok("a reading fiber", re.search(r"worker 0 +parked +reader, waits for read$", listing, re.M), listing)
tap.ok("a shielded fiber", re.search(r"worker 0 +parked +sleeper, waits for sleep, shielded$", listing, re.M), listing)
tap.ok("a fiber of another worker", re.search(r"worker 1 +parked +there, waits for read$", listing, re.M), listing)
tap.ok("how many", re.search(r"^4 fibers$", listing, re.M), listing)

# The frames of the test's own functions, innermost first, and the entry at the end.
expected = r"reader, waits.*?fiber_park at.*?rt_read at.*?wait_for_byte at .*?parked\.c:\d+.*?read_pipe at .*?fiber_entry"
tap.ok("a back trace from the wait to the entry", re.search(expected, traces, re.S), traces)
tap.ok("each parked fiber has a trace", len(re.findall(r"fiber_entry", traces)) == 3, traces)
tap.ok("the sleeper's trace", re.search(r"sleeper.*?rt_sleep_until at.*?sleep_long at", traces, re.S), traces)
tap.ok("one fiber by its number", re.search(r"reader.*?wait_for_byte at.*?fiber_entry", one, re.S), one)
tap.ok("a number that is not there", "there is no fiber 99" in one, one)
tap.done()
