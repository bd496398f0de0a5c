#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""tests/vm/suite.py with a stand-in for tools/vm: a guest whose kernel locks up is run once more, and only that one."""

import os
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("AEGIS_SOURCE", os.getcwd())
sys.path.insert(0, os.path.join(SOURCE, "tests"))
import tap

LOCKED = 'echo "[ 9.1] Kernel panic - not syncing: softlockup: hung tasks" >&2; exit 125'
OTHER = 'echo "[ 9.1] Kernel panic - not syncing: Attempted to kill init!" >&2; exit 125'
WELL = 'echo "@@ begin 0"; echo "1..1"; echo "ok 1 - a case"; echo "@@ end 0"'
FAILS = 'echo "@@ begin 0"; echo "1..1"; echo "not ok 1 - a case"; echo "# got 1"; echo "@@ end 1"'


def run(*guests):
    """What comes of these guests, one behind the other: (exit status, output, how many were run)."""
    with tempfile.TemporaryDirectory(prefix="aegis-guest-") as place:
        os.symlink(os.path.join(SOURCE, "tests"), f"{place}/tests")
        os.mkdir(f"{place}/tools")
        cases = "".join(f"{i}) {guest} ;;\n" for i, guest in enumerate(guests))
        with open(f"{place}/tools/vm", "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\n[ "$1" != prepare ] || exit 0\nn=$(cat {place}/count 2>/dev/null || echo 0)\n'
                    f'echo $((n + 1)) >{place}/count\ncase $n in\n{cases}esac\n')
        os.chmod(f"{place}/tools/vm", 0o755)
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "tests/vm/suite.py"), "true"], text=True,
                              capture_output=True, check=False,
                              env={**os.environ, "AEGIS_SOURCE": place, "AEGIS_BUILD": place})
        with open(f"{place}/count", encoding="utf-8") as f:
            return done.returncode, done.stdout, int(f.read())


status, output, count = run(LOCKED, WELL)
tap.equal("a guest that locks up is run once more", (status, count), (0, 2))
tap.ok("which is said, with the kernel's words", "# [ 9.1] Kernel panic" in output and "locked up: once more" in output,
       output)
tap.equal("a second one that does fails", run(LOCKED, LOCKED, WELL)[::2], (1, 2))
tap.equal("so does one that dies of something else, at once", run(OTHER, WELL)[::2], (1, 1))
status, output, count = run(FAILS, WELL)
tap.equal("and one whose program fails", (status, count), (1, 1))
tap.ok("with what that case said", "not ok 3 - true: a case\n# got 1\n" in output, output)
tap.done()
