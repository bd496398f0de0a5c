#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The official conformance suite of the Model Context Protocol (npm) against a node's MCP server, and against
the node as a client of tool servers. Every scenario of the suite stands below: it runs, or it is about
something that is not offered. What runs must pass.

The suite asks for tools by names of its own. Ours are called SERVER.TOOL, so a relay on the way takes the
server's name off and puts it on again, and does nothing else; what is not about tools goes without it.
"""

import json
import os
import shlex
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SOURCE = os.path.abspath(os.environ.get("AEGIS_SOURCE", "."))
sys.path[:0] = [SOURCE + "/tests" + path for path in ("", "/integration/spine", "/integration/daemon/api", "/peer")]
import doors
import model
import node as nodes
import npm
import tap

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = "@modelcontextprotocol/conformance@0.1.16"

TEXT_ONLY = "answers of tools are text here"
NO_SAMPLING = "the server asks its clients for nothing"
NO_RESOURCES = "no resources are offered"
NO_PROMPTS = "no prompts are offered"
NO_STREAM = "the server sends nothing unasked: there is no stream to come back to"
NO_OAUTH = "tool servers are reached with headers of the configuration, not with OAuth"
SERVER = {  # scenario: "" for one that runs, "relay" with the names taken off, or why it does not apply
    "server-initialize": "",
    "logging-set-level": "no logging is offered",
    "ping": "",
    "completion-complete": "no completions are offered",
    "tools-list": "",
    "tools-call-simple-text": "relay",
    "tools-call-image": TEXT_ONLY,
    "tools-call-audio": TEXT_ONLY,
    "tools-call-embedded-resource": TEXT_ONLY,
    "tools-call-mixed-content": TEXT_ONLY,
    "tools-call-with-logging": "no logging is offered",
    "tools-call-error": "relay",
    "tools-call-with-progress": "no progress is reported",
    "tools-call-sampling": NO_SAMPLING,
    "tools-call-elicitation": NO_SAMPLING,
    "json-schema-2020-12": "relay",
    "elicitation-sep1034-defaults": NO_SAMPLING,
    "server-sse-polling": NO_STREAM,
    "server-sse-multiple-streams": "",
    "elicitation-sep1330-enums": NO_SAMPLING,
    "resources-list": NO_RESOURCES,
    "resources-read-text": NO_RESOURCES,
    "resources-read-binary": NO_RESOURCES,
    "resources-templates-read": NO_RESOURCES,
    "resources-subscribe": NO_RESOURCES,
    "resources-unsubscribe": NO_RESOURCES,
    "prompts-list": NO_PROMPTS,
    "prompts-get-simple": NO_PROMPTS,
    "prompts-get-with-args": NO_PROMPTS,
    "prompts-get-embedded-resource": NO_PROMPTS,
    "prompts-get-with-image": NO_PROMPTS,
    "dns-rebinding-protection": "",
}
CLIENT = {  # scenario: the calls that the client makes, or why it does not apply
    "initialize": [],
    "tools_call": ['add_numbers={"a":5,"b":3}'],
    "elicitation-sep1034-client-defaults": "the client declares no elicitation",
    "sse-retry": "an answer whose stream breaks off is a failed call; it is not fetched again",
}

nodes.as_root_or_skip()
os.environ.update(AEGIS_SOURCE=SOURCE, AEGIS_BUILD=nodes.BUILD)  # the suite's clients run in another folder
PLACE = npm.install("mcp-conformance", "node@22", SUITE)
PROGRAM = [npm.node(PLACE), os.path.join(PLACE, "node_modules/@modelcontextprotocol/conformance/dist/index.js")]
SERVERS = [{"name": "sample", "executable": "python", "args": ["-c", nodes.read(HERE + "/sample.py")]}]

node = doors.Node(model.serve(lambda messages: "done"))
node.options = ["--no-auth"]  # the suite sends no headers of ours
node.configure("  llm_providers:", f"  mcp_servers: {json.dumps(SERVERS)}\n"
               '  security_contexts: [{name: suite, capabilities: [{tool_pattern: "aegis.*"}, {tool_pattern: "sample.*"}]}]\n'
               "  llm_providers:")
URL = f"http://127.0.0.1:{node.port}/mcp?security_context=suite"


def rename(message, old, new):
    def name(text):
        return new + text[len(old):] if text.startswith(old) else text
    for tool in (message.get("result") or {}).get("tools", []):
        tool["name"] = name(tool["name"])
    if message.get("method") == "tools/call":
        message["params"]["name"] = name(message["params"]["name"])
    return message


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if body:
            body = json.dumps(rename(json.loads(body), "", "sample.")).encode()
        headers = {k: v for k, v in self.headers.items()
                   if k.lower() in ("accept", "content-type", "mcp-session-id", "mcp-protocol-version")}
        try:
            answer = urllib.request.urlopen(urllib.request.Request(URL, body or None, headers, method=self.command), timeout=60)
        except urllib.error.HTTPError as e:
            answer = e
        data = answer.read()
        if (answer.headers.get("Content-Type") or "").startswith("application/json") and data:
            data = json.dumps(rename(json.loads(data), "sample.", "")).encode()
        self.send_response(answer.status)
        for name in ("Content-Type", "Mcp-Session-Id"):
            if answer.headers.get(name):
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET = do_DELETE = relay


class Server(ThreadingHTTPServer):
    daemon_threads = True


def listed():
    done = subprocess.run(PROGRAM + ["list"], capture_output=True, text=True, timeout=60)
    lines = [line.strip() for line in done.stdout.splitlines()]
    return {line[2:].split(" ")[0] for line in lines if line.startswith("- ")}


def run(name, arguments):
    # Alone in its folder: it leaves its findings there.
    done = subprocess.run(PROGRAM + arguments, capture_output=True, text=True, timeout=240, cwd=node.dir)
    tap.ok(name, done.returncode == 0, (done.stdout + done.stderr)[-4000:])


def servers(relay_url):
    for scenario, how in SERVER.items():
        if how not in ("", "relay"):
            print(f"# server {scenario}: does not apply: {how}")
            continue
        run(f"server {scenario}", ["server", "--scenario", scenario, "--url", relay_url if how else URL])


def clients():
    for scenario, calls in CLIENT.items():
        if isinstance(calls, str):
            print(f"# client {scenario}: does not apply: {calls}")
            continue
        command = shlex.join([sys.executable, HERE + "/client.py", *calls])
        run(f"client {scenario}", ["client", "--scenario", scenario, "--command", command, "--timeout", "120000"])
    print(f"# client auth/*: does not apply: {NO_OAUTH}")


relay = Server(("127.0.0.1", 0), Relay)
threading.Thread(target=relay.serve_forever, daemon=True).start()
try:
    judged = set(SERVER) | set(CLIENT)
    names = {name for name in listed() if not name.startswith("auth/")}
    tap.equal("every scenario of the suite is judged here", names, judged)
    node.start()
    node.wait_for("the sample server", lambda: node.call("GET", "/health")[1]["tool_servers"]["sample"] == "ready", node.aegisd)
    servers(f"http://127.0.0.1:{relay.server_address[1]}/mcp")
    clients()
finally:
    node.stop()
    relay.shutdown()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs().splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
