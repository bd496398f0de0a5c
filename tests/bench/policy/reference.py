#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Decisions per second beside the reference engine, the Rust crate cedar-policy, in the same shapes and the same run.

The crate is built with cargo where that is at hand (CEDAR_REFERENCE_BENCH names a program that is built already);
elsewhere the figures stand without their peer, and the reason is said on stderr.
"""

import json
import os
import shutil
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3))
BUILD = os.environ.get("AEGIS_BUILD", f"{TOP}/build/release")
PEER = "cedar-policy 4.13.0 (Rust)"


def reference():
    """The program, or why there is none."""
    built = os.environ.get("CEDAR_REFERENCE_BENCH")
    if built:
        return built, None
    if "AEGIS_BENCH_SMOKE" in os.environ:  # tests/bench/smoke.h
        return None, "a test builds no crate"
    if not shutil.which("cargo"):
        return None, "no cargo on this machine"
    source = f"{BUILD}/cedar-reference/source"  # cargo writes its lock file beside the manifest
    shutil.copytree(f"{TOP}/tests/bench/policy/reference", source, dirs_exist_ok=True)
    done = subprocess.run(["cargo", "build", "--quiet", "--release", "--manifest-path", source + "/Cargo.toml",
                           "--target-dir", f"{BUILD}/cedar-reference"], capture_output=True, text=True, check=False)
    if done.returncode:
        return None, "the crate cedar-policy cannot be built: " + done.stderr.strip()[:300]
    return f"{BUILD}/cedar-reference/release/cedar-reference-bench", None


def figures(program):
    output = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {f["name"]: f for f in map(json.loads, output.splitlines())}


def main():
    program, why = reference()
    ours = figures(f"{BUILD}/tests/bench/policy/bench_cedar")
    theirs = figures(program) if program else {}
    if why:
        print(f"reference: {why}", file=sys.stderr)
    for name, f in ours.items():
        if not name.startswith("authorize"):
            continue
        figure = {"area": "policy", "name": name + ", beside the reference", "value": f["value"], "unit": f["unit"],
                  "peer": PEER if name in theirs else None}
        if name in theirs:
            figure["peer_value"] = theirs[name]["value"]
        print(json.dumps(figure), flush=True)


main()
