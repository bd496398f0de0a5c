#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Every benchmark of tests/bench runs to its end and prints figures that tools/bench takes. Never how large they are."""

import importlib.util
import os
import shutil
import subprocess
import sys

import tap

SOURCE = os.environ["AEGIS_SOURCE"]
NEEDS = {"sandbox/sandbox_start": "bwrap", "net/http": "wrk"}

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("bench", SOURCE + "/tools/bench.py")
bench = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench)
bench.BUILD = os.environ["AEGIS_BUILD"]

os.environ["AEGIS_BENCH_SMOKE"] = "1"
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # they end without tidying up

built = subprocess.run(["cmake", "--build", bench.BUILD, "--target", "programs", "bench_targets"], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False)
tap.ok("they are built", built.returncode == 0, built.stdout[-3000:])
for area, name, program in bench.benches():
    needed = NEEDS.get(f"{area}/{name}")
    if needed and not shutil.which(needed):
        tap.skip(f"{area}/{name}", f"{needed} is not installed")
        continue
    figures, wrong = bench.run(area, name, program)
    tap.ok(f"{area}/{name}", not wrong and all(f["area"] == area for f in figures), f"{wrong}\n{figures}")
tap.done()
