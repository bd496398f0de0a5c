# SPDX-License-Identifier: AGPL-3.0-only
"""The tools that the conformance suite asks a server for, as far as they answer with text: a tool server
over standard input and output."""

import json
import sys

NONE = {"type": "object", "properties": {}}
TOOLS = [
    {"name": "test_simple_text", "description": "Text.", "inputSchema": NONE},
    {"name": "test_error_handling", "description": "Fails.", "inputSchema": NONE},
    {"name": "json_schema_2020_12_tool", "description": "Takes an address.", "inputSchema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
        "additionalProperties": False}},
]


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "sample", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": "This is a simple text response for testing."}],
                "isError": params["name"] == "test_error_handling"}
    return {}


for line in sys.stdin:
    q = json.loads(line)
    if "id" in q:
        print(json.dumps({"jsonrpc": "2.0", "id": q["id"], "result": answer(q["method"], q.get("params", {}))}), flush=True)
