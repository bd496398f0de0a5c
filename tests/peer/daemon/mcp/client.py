#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""What the conformance suite starts when it tests a client: a node whose tool server is the address that
the suite gives as last argument. Calls the tool that is named before it, if any."""

import json
import os
import sys

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests" + path for path in (
    "", "/integration/spine", "/integration/daemon/api", "/integration/daemon/toolserver")]
import doors
import mcpclient
import model

url, calls = sys.argv[-1], sys.argv[1:-1]
node = doors.Node(model.serve(lambda messages: "done"))
node.configure("  llm_providers:", f"  mcp_servers: {json.dumps([{'name': 'suite', 'url': url}])}\n"
               '  security_contexts: [{name: all, capabilities: [{tool_pattern: "suite.*"}]}]\n  llm_providers:')
try:
    node.start()
    node.wait_for("the suite's server", lambda: node.call("GET", "/health")[1]["tool_servers"]["suite"] == "ready",
                  node.aegisd)
    for tool, arguments in (call.split("=", 1) for call in calls):
        failed, text = mcpclient.Client(node, "all").call("suite." + tool, json.loads(arguments))
        print(tool, failed, text)
        if failed:
            sys.exit(1)
finally:
    node.stop()
    node.remove()
    node.remove_cgroups()
