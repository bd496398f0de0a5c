#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Start, use, restart and stop the real daemon and its helper through the command line."""

import os
import shutil
import subprocess
import tempfile

import tap

BIN = os.path.join(os.environ["AEGIS_BUILD"], "bin")
AEGIS = os.path.join(BIN, "aegis")
if not os.path.exists(os.path.join(BIN, "aegisd")):
    tap.skip_all("aegisd is not built here")

FOLDER = tempfile.mkdtemp(prefix="aegis-daemon-")
os.chmod(FOLDER, 0o755)
ENV = {"PATH": os.environ["PATH"], "HOME": FOLDER}
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        ENV[name] = os.environ[name]
FOLDERS = ["--run-dir", os.path.join(FOLDER, "run"), "--state-dir", os.path.join(FOLDER, "state")]
CONFIG = os.path.join(FOLDER, "c.yaml")
MANIFEST = os.path.join(FOLDER, "a.yaml")
with open(CONFIG, "w", encoding="utf-8") as f:
    f.write("apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\nspec:\n"
            f"  node: {{id: x, type: edge}}\n  daemon: {{data_directory: {FOLDER}/data, tcp: false}}\n")
with open(MANIFEST, "w", encoding="utf-8") as f:
    f.write("apiVersion: 100monkeys.ai/v1\nkind: Agent\nmetadata: {name: tester, version: 1.0.0}\nspec:\n"
            "  runtime: {language: python, version: \"3.11\"}\n")


def expect(name, args, code, out=None, err=None):
    result = subprocess.run([AEGIS, *args, "-c", CONFIG], capture_output=True, text=True, env=ENV, cwd="/",
                            timeout=300, check=False)
    ok = (result.returncode == code and (out is None or out in result.stdout)
          and (err is None or err in result.stderr))
    log = os.path.join(FOLDER, "state", "aegisd.log")
    tail = open(log, encoding="utf-8").read()[-2000:] if not ok and os.path.exists(log) else ""
    tap.ok(name, ok, f"exit {result.returncode}, wanted {code}\nstdout: {result.stdout}\nstderr: {result.stderr}\n{tail}")
    return result.stdout


try:
    expect("start", ["daemon", "start", *FOLDERS], 0, out="aegisd is up")
    expect("start again", ["daemon", "start", *FOLDERS], 0, out="aegisd runs already")
    expect("status", ["daemon", "status", *FOLDERS], 0, out="status: ok")
    expect("deploy", ["agent", "deploy", MANIFEST], 0, out="created tester 1.0.0")
    expect("list", ["agent", "list"], 0, out="tester")
    expect("pause", ["agent", "pause", "tester"], 0)
    expect("a paused agent does not run", ["agent", "run", "tester"], 4)
    expect("resume", ["agent", "resume", "tester"], 0)
    expect("events of an agent", ["agent", "logs", "tester"], 0, out="Agent tester 1.0.0 deployed")
    expect("no executions", ["task", "list"], 0)
    doctor = expect("doctor", ["doctor", "--daemon"], 0, out="kernel.io_uring")
    tap.ok("the daemon's doctor saw the data directory", "no data directory" not in doctor, doctor)
    expect("stop", ["daemon", "stop", *FOLDERS], 0, out="aegisd stopped")
    expect("status of a stopped one", ["daemon", "status", *FOLDERS], 5, out="not running")
    expect("start after a stop", ["daemon", "start", *FOLDERS], 0, out="aegisd is up")
    expect("what was deployed is still there", ["agent", "show", "tester"], 0, out="kind: Agent")
    expect("remove", ["agent", "remove", "tester"], 0)
    expect("stop before a start that is refused", ["daemon", "stop", *FOLDERS], 0)
    expect("a range that is none", ["daemon", "start", "--network-range", "10.0.0.0/8", *FOLDERS], 2, err="/19")
    with open(CONFIG, "a", encoding="utf-8") as f:
        f.write("  require: {probes: {no.such.probe: prevent}}\n")
    expect("a start that the doctor refuses", ["daemon", "start", *FOLDERS], 10, err="no.such.probe")
    left = subprocess.run(["pgrep", "-f", FOLDER], capture_output=True, text=True, check=False).stdout
    tap.equal("leaves no helper behind", left, "")
    shown = expect("units of a node with network", ["daemon", "install", "--print", "--network-range",
                                                    "10.231.0.0/19", *FOLDERS], 0)
    tap.ok("start the helper with it", "10.231.0.0/19" in shown, shown)
finally:
    # Whatever a failed case above has left.
    subprocess.run([AEGIS, "daemon", "stop", *FOLDERS, "-c", CONFIG], capture_output=True, env=ENV, cwd="/", check=False)
    shutil.rmtree(FOLDER)
tap.done()
