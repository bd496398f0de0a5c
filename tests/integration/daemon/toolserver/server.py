# SPDX-License-Identifier: AGPL-3.0-only
"""A small MCP server of the standard library alone, over standard input and output, or over Streamable HTTP
where its environment names a port; what it is told in its environment makes it misbehave."""

import http.server
import json
import os
import sys
import time

COUNTER = "/workspace/lives"
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}
NONE = {"type": "object", "properties": {}}


def tool(name, schema, words):
    return {"name": name, "description": words, "inputSchema": schema}


TOOLS = [
    tool("echo", TEXT, "Says the same."),
    tool("environ", NONE, "Its environment."),
    tool("look", NONE, "What it can see."),
    tool("large", NONE, "A long answer."),
    tool("fail", NONE, "Fails."),
    tool("die", NONE, "Ends the server."),
    tool("hang", NONE, "Never answers, and no health check after it."),
    tool("touch", {"type": "object", "properties": {"path": {}, "paths": {}, "text": {}}}, "Says its arguments."),
    tool("fetch", {"type": "object", "properties": {"url": {"type": "string"}}}, "Says its argument."),
    tool("grow", NONE, "One more tool."),
    tool("no such name!", NONE, "Its name is not acceptable."),
    {"name": "no_schema", "description": "It has none."},
]


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def look():
    facts = {"uid": os.getuid(), "root": sorted(os.listdir("/")), "lives": lives, "interfaces": sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else []}
    for path in ("/etc/shadow", "/root", "/var/lib"):
        facts[path] = os.access(path, os.R_OK)
    return json.dumps(facts)


def call(name, arguments):
    if name == "echo":
        return arguments["text"]
    if name in ("touch", "fetch"):
        return "called with " + json.dumps(arguments, sort_keys=True)
    if name == "environ":
        return json.dumps(dict(os.environ))
    if name == "look":
        return look()
    if name == "large":
        return "x" * 5000
    if name == "die":
        print("my last words", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "hang":
        time.sleep(3600)
    if name == "grow":
        TOOLS.append(tool("grown", NONE, "It was not there before."))
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return "grown"
    return "one more"


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "small", "version": "1"}}
    if method == "tools/list":
        at = int(params.get("cursor", "0"))
        more = {"nextCursor": str(at + 3)} if at + 3 < len(TOOLS) else {}
        return {"tools": TOOLS[at:at + 3], **more}
    if method == "tools/call":
        if params["name"] == "fail":
            return {"content": [{"type": "text", "text": "it is broken"}], "isError": True}
        return {"content": [{"type": "text", "text": call(params["name"], params["arguments"])}]}
    return {}


lives = 1
try:
    with open(COUNTER) as f:
        lives = int(f.read()) + 1
except OSError:
    pass
with open(COUNTER, "w") as f:
    f.write(str(lives))


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        q = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if q["method"] != "initialize" and self.headers["Mcp-Session-Id"] != "one":
            return self.send_error(400)
        if "id" not in q:
            return self.reply(202, b"")
        self.reply(200, json.dumps({"jsonrpc": "2.0", "id": q["id"], "result": answer(q["method"], q.get("params", {}))}).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Mcp-Session-Id", "one")
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self):
        self.reply(200, b"")


if "HTTP_PORT" in os.environ:
    print("a line that is no message", flush=True)
    time.sleep(0.3)  # programs take their time until they listen
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["HTTP_PORT"])), Http).serve_forever()
for line in sys.stdin:
    q = json.loads(line)
    if "id" in q:
        say({"jsonrpc": "2.0", "id": q["id"], "result": answer(q["method"], q.get("params", {}))})
