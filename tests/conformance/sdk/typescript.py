#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Upstream's SEAL client for TypeScript, unmodified, against a whole node. It sends no Authorization
header, so the door is opened with --no-auth. It is in no public registry, so it is built by hand:
AEGIS_SDK_TYPESCRIPT names a checkout of aegis-sdk-typescript after npm install and npx tsc."""

import json
import os
import shutil
import subprocess
import sys

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine", SOURCE + "/tests/integration/daemon/api"]
import tap

CHECKOUT = os.path.abspath(os.environ.get("AEGIS_SDK_TYPESCRIPT", ""))
if "AEGIS_SDK_TYPESCRIPT" not in os.environ or not os.path.isfile(CHECKOUT + "/dist/seal/index.js"):
    tap.skip_all("AEGIS_SDK_TYPESCRIPT names no built checkout of the TypeScript SDK")
if not shutil.which("node"):
    tap.skip_all("node is not installed")

import doors
import model
import node as nodes

CONTEXT = """  security_contexts:
    - name: read-only-research
      capabilities:
        - {tool_pattern: "aegis.*"}
        - {tool_pattern: "fs.read", path_allowlist: [/workspace]}
      deny_list: [fs.delete]
  llm_providers:"""


def drive():
    driver = os.path.join(os.path.dirname(os.path.abspath(__file__)), "typescript.cjs")
    run = subprocess.run(["node", driver, CHECKOUT, f"http://127.0.0.1:{node.port}"], capture_output=True, text=True,
                         timeout=120, check=False)
    said = {line["name"]: line["value"] for line in map(json.loads, run.stdout.splitlines())}
    tap.ok("the driver ran to its end", (run.returncode, len(said)) == (0, 6), run.stderr)
    tap.equal("attest returns what the client keeps", said.get("attest"), ["expires_at", "security_token", "session_id"])
    tap.ok("a call returns the MCP result", '"aegis"' in json.dumps(said.get("call")).replace("\\", ""), said.get("call"))
    for name, words in (("odd", ("unknown field",)), ("denied", ("Rejected", "TOOL_DENIED")),
                        ("path", ("Rejected", "PATH_NOT_ALLOWED")), ("unknown", ("SEALError", "Attestation failed"))):
        message = said.get(name, "")
        tap.ok(f"{name}: read as the gateway's refusal", all(word in message for word in words), message)


nodes.as_root_or_skip()
node = doors.Node(model.serve(lambda messages: "done"))
node.configure("  llm_providers:", CONTEXT)
node.options = ["--no-auth"]
try:
    node.start()
    drive()
finally:
    node.stop()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs().splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
