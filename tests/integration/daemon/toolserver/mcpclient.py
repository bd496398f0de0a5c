# SPDX-License-Identifier: AGPL-3.0-only
"""A client of a node's own MCP server."""


class Client:
    def __init__(self, node, context):
        self.node = node
        self.path = f"/mcp?security_context={context}"
        self.count = 0
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                        "Authorization": f"Bearer {node.key()}"}
        a = self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                                        "clientInfo": {"name": "test", "version": "7"}})
        self.headers["Mcp-Session-Id"] = a.headers["Mcp-Session-Id"]
        self.headers["MCP-Protocol-Version"] = a.json["result"]["protocolVersion"]

    def request(self, method, params=None):
        self.count += 1
        body = {"jsonrpc": "2.0", "id": self.count, "method": method, "params": params or {}}
        return self.node.ask("POST", self.path, body, self.headers, tcp=True, timeout=120)

    def tools(self):
        return {t["name"]: t for t in self.request("tools/list").json["result"]["tools"]}

    def call(self, tool, arguments=None):
        """Whether it failed, and its text."""
        a = self.request("tools/call", {"name": tool, "arguments": arguments or {}}).json
        if "error" in a:
            return True, a["error"]["message"]
        return a["result"]["isError"], "".join(c.get("text", "") for c in a["result"]["content"])
