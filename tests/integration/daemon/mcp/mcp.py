#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""AEGIS as an MCP server on a whole node: Streamable HTTP as the specification has it, the tools of a
security context and no others, each call on record. (The official conformance suite: tests/peer/daemon/mcp.)
"""

import json
import os
import sqlite3
import sys

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests" + path
                for path in ("", "/integration/spine", "/integration/daemon/api")]
import doors
import model
import node as nodes
import tap

CONTEXTS = """  security_contexts:
    - name: tester
      capabilities:
        - {tool_pattern: "aegis.*", rate_limit: {calls: 5, per_seconds: 3600}}
        - {tool_pattern: "fs.read", path_allowlist: [/workspace]}
        - {tool_pattern: "fs.write", path_allowlist: [/workspace]}
      deny_list: [fs.delete]
  llm_providers:"""
VERSION = "2025-06-18"

nodes.as_root_or_skip()
node = doors.Node(model.serve(lambda messages: "done"))
node.configure("  llm_providers:", CONTEXTS)


class Client:
    def __init__(self, context="tester", headers=None):
        self.path = "/mcp" + (f"?security_context={context}" if context else "")
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                        "Authorization": f"Bearer {node.key()}", **(headers or {})}
        self.count = 0

    def post(self, body, **headers):
        return node.ask("POST", self.path, body, {**self.headers, **headers}, tcp=True)

    def request(self, method, params=None, **headers):
        self.count += 1
        body = {"jsonrpc": "2.0", "id": self.count, "method": method}
        return self.post(body | ({"params": params} if params is not None else {}), **headers)

    def call(self, tool, arguments=None):
        return self.request("tools/call", {"name": tool, "arguments": arguments or {}}).json["result"]

    def initialize(self, version=VERSION):
        a = self.request("initialize", {"protocolVersion": version, "capabilities": {},
                                        "clientInfo": {"name": "test", "version": "7"}})
        if a.status == 200:
            self.headers["Mcp-Session-Id"] = a.headers["Mcp-Session-Id"]
            self.headers["MCP-Protocol-Version"] = a.json["result"]["protocolVersion"]
        return a


def refused(name, a, status, code):
    tap.ok(name, a.status == status and a.json["error"]["code"] == code, f"{a.status} {a.body[:400]}")


def events(type):
    with sqlite3.connect(f"file:{node.data}/aegis.db?mode=ro", uri=True) as db:
        return [json.loads(row[0]) for row in
                db.execute("SELECT event_data FROM domain_events WHERE event_type = ? ORDER BY number", (type,))]


def lifecycle():
    c = Client()
    refused("before initialize", c.request("tools/list"), 400, -32600)
    a = c.initialize()
    result = a.json["result"]
    tap.equal("version, server, capabilities", (result["protocolVersion"], result["serverInfo"]["name"],
              list(result["capabilities"])), (VERSION, "aegis", ["tools"]))
    tap.equal("SMCP is advertised", result["extensions"]["smcp"]["attestation_endpoint"], "/v1/smcp/attest")
    tap.equal("initialized", (lambda a: (a.status, a.body))(c.post({"jsonrpc": "2.0", "method": "notifications/initialized"})),
              (202, b""))
    tap.equal("a response is taken", c.post({"jsonrpc": "2.0", "id": 9, "result": {}}).status, 202)
    tap.equal("ping", c.request("ping").json["result"], {})
    refused("a method that is not offered", c.request("resources/list"), 200, -32601)
    tap.equal("an unknown version gets the newest", Client().initialize("1999-01-01").json["result"]["protocolVersion"],
              "2025-11-25")
    refused("a header of an unknown version", c.request("ping", **{"MCP-Protocol-Version": "1999-01-01"}), 400, -32600)
    refused("an unknown session", c.request("ping", **{"Mcp-Session-Id": "x"}), 404, -32600)
    tap.equal("no stream from the server", node.ask("GET", "/mcp", headers=c.headers, tcp=True).status, 405)
    tap.equal("DELETE ends it", node.ask("DELETE", "/mcp", headers=c.headers, tcp=True).status, 204)
    refused("then it is gone", c.request("ping"), 404, -32600)
    tap.equal("and again", node.ask("DELETE", "/mcp", headers=c.headers, tcp=True).status, 404)


def messages():
    c = Client()
    c.initialize()
    for name, body, code in (("no JSON", b"{", -32700), ("a batch", b"[]", -32600), ("a text", b'"x"', -32600),
                             ("a key twice", b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700),
                             ("another JSON-RPC", b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
                             ("a null id", b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
                             ("nothing", b'{"jsonrpc":"2.0","id":1}', -32600)):
        refused(name, c.post(body), 400, code)
    tap.equal("ids come back as they were written", json.loads(c.post(
        b'{"jsonrpc":"2.0","id":"a\\u00e9","method":"ping"}').body)["id"], "a\u00e9")


def doors_are_guarded():
    tap.equal("without the key", Client(headers={"Authorization": ""}).initialize().status, 401)
    tap.equal("from another site", Client(headers={"Origin": "http://evil.example"}).initialize().status, 403)
    refused("without a context", Client(None).initialize(), 403, -32600)
    refused("with one that is not there", Client("nobody").initialize(), 403, -32600)
    tap.equal("a context by header", Client(None, {"X-Aegis-Security-Context": "tester"}).initialize().status, 200)


def tools():
    c = Client()
    c.initialize()
    listed = c.request("tools/list").json["result"]["tools"]
    tap.equal("the context's tools", {t["name"] for t in listed}, {"aegis.system.info", "fs.read", "fs.write"})
    tap.ok("each with its schema", all(t["inputSchema"]["type"] == "object" and t["description"] for t in listed), listed)
    got = c.call("aegis.system.info")
    tap.ok("called", not got["isError"] and '"aegis"' in got["content"][0]["text"], got)
    got = c.call("fs.delete", {"path": "/workspace/x"})
    tap.equal("denied, as a result that the model reads", (got["isError"], got["_meta"]["aegis/code"]), (True, 2001))
    got = c.call("fs.read", {"path": "/etc/passwd"})
    tap.equal("a path", (got["isError"], got["_meta"]["aegis/code"]), (True, 2002))
    got = c.call("fs.read", {})
    tap.ok("bad arguments too", got["isError"] and "required field 'path'" in got["content"][0]["text"], got)
    got = c.call("fs.write", {"path": "/workspace/a", "content": "x"})
    tap.ok("there is no workspace outside of executions", got["isError"] and "no workspace" in got["content"][0]["text"], got)
    refused("an unknown tool", c.request("tools/call", {"name": "no.tool"}), 200, -32602)
    refused("no tool", c.request("tools/call", {}), 200, -32602)
    for _ in range(4):
        c.call("aegis.system.info")
    got = c.call("aegis.system.info")
    tap.equal("beyond the rate", (got["isError"], got["_meta"]["aegis/code"]), (True, 2005))
    done = [e for e in events("InvocationCompleted") if e["session_id"] == c.headers["Mcp-Session-Id"]]
    tap.equal("calls are on record", [(e["tool_name"], e["decision"]["signer"]) for e in done],
              [("aegis.system.info", "daemon")] * 5)
    tap.ok("signed by the daemon", all(e["signature"] and e["public_key"] for e in done))
    denied = [e["violation_type"] for e in events("ToolPolicyViolation")]
    tap.equal("denials too", denied, ["TOOL_DENIED", "PATH_NOT_ALLOWED", "RATE_LIMIT_EXCEEDED"])
    tap.equal("what has an effect is on record before it", [e["tool_name"] for e in events("InvocationStarted")],
              ["fs.write"])


def restart():
    c = Client()
    c.initialize()
    node.kill("aegisd")
    node.start_aegisd()
    refused("after a restart a session is gone", c.request("ping"), 404, -32600)
    tap.equal("and initialized again", Client().initialize().status, 200)


try:
    node.start()
    lifecycle()
    messages()
    doors_are_guarded()
    tools()
    restart()
finally:
    node.stop()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs().splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
