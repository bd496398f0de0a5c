#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Upstream's SMCP and SEAL clients for Python, unmodified, against a whole node: they attest, call
tools, and read denials as they expect them. They send no Authorization header, so the door is opened
with --no-auth.

AEGIS_SMCP_SDK  a checkout of secure-model-context-protocol before its rename (sdk/python/smcp)
AEGIS_SEAL_SDK  one after it (sdk/python/seal)
"""

import importlib
import os
import sys

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine", SOURCE + "/tests/integration/daemon/api"]
import tap

CHECKOUTS = {name: os.path.join(os.environ.get(f"AEGIS_{name.upper()}_SDK", ""), "sdk", "python")
             for name in ("smcp", "seal")}
HERE = {name: path for name, path in CHECKOUTS.items() if os.path.isfile(os.path.join(path, name, "client.py"))}
if not HERE:
    tap.skip_all("neither AEGIS_SMCP_SDK nor AEGIS_SEAL_SDK names a checkout of upstream's SDK")
try:
    import cryptography, requests  # noqa: F401
except ImportError as e:
    tap.skip_all(f"what the SDK needs is not there: {e}")

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


def drive(name):
    sys.path.insert(0, HERE[name])
    client_module = importlib.import_module(f"{name}.client")
    client_class = getattr(client_module, f"{name.upper()}Client")
    failure = getattr(client_module, f"{name.upper()}Error")
    url = f"http://127.0.0.1:{node.port}"
    client = client_class(url, "ci-worker", "read-only-research")
    tap.ok(f"{name}: attest", client.attest())
    got = client.call_tool("aegis.system.info", {})
    tap.ok(f"{name}: a call returns the MCP result", '"aegis"' in got["content"][0]["text"], got)
    # Values that implementations write differently: Python's floats, what is beyond the BMP, big integers.
    odd = {"path": "/workspace/\u00e9\U0001f600\n", "ratio": 1.0, "e": 1e21, "small": 1e-7, "big": 2**53 + 1,
           "\ue000k": 1, "\U0001f600k": [None, True, -0.0]}
    try:
        client.call_tool("fs.read", odd)
        message = ""
    except failure as e:
        message = str(e)
    tap.ok(f"{name}: odd numbers and keys verify; the tool refuses them by name", "unknown field" in message, message)
    for what, tool, arguments, word in (("a denied tool", "fs.delete", {"path": "/workspace/x"}, "TOOL_DENIED"),
                                        ("a path", "fs.read", {"path": "/etc/passwd"}, "PATH_NOT_ALLOWED"),
                                        ("bad arguments", "fs.read", {}, "required field 'path'")):
        try:
            client.call_tool(tool, arguments)
            message = "no error"
        except failure as e:
            message = str(e)
        tap.ok(f"{name}: {what} is read as the gateway's refusal", "Rejected" in message and word in message, message)
    try:
        client_class(url, "ci-worker", "no-such-context").attest()
        status = 200
    except requests.HTTPError as e:
        status = e.response.status_code
    tap.equal(f"{name}: an unknown context raises", status, 401)


nodes.as_root_or_skip()
node = doors.Node(model.serve(lambda messages: "done"))
node.configure("  llm_providers:", CONTEXT)
node.options = ["--no-auth"]
try:
    node.start()
    for name in ("smcp", "seal"):
        if name in HERE:
            drive(name)
        else:
            tap.skip(f"{name}'s client", f"AEGIS_{name.upper()}_SDK names no checkout")
finally:
    node.stop()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs().splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
