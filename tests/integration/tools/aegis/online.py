#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The verbs that talk to the daemon, against a server of a few lines on its Unix socket: what they
ask for, what they print, and the exit code of every answer."""

import http.server
import json
import os
import shutil
import socketserver
import subprocess
import tempfile
import threading

import tap

AEGIS = os.path.join(os.environ["AEGIS_BUILD"], "bin", "aegis")
FOLDER = tempfile.mkdtemp(prefix="aegis-online-")
ENV = {"PATH": os.environ["PATH"], "HOME": FOLDER}
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        ENV[name] = os.environ[name]

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: tester, version: 1.0.0}
spec:
  runtime: {language: python, version: "3.11"}
"""
EXECUTION = "0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from `routes`: (method, path) -> (status, body) or a function of the handler."""
    protocol_version = "HTTP/1.1"
    routes = {}
    seen = []

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        Handler.seen.append((self.command, self.path, body, dict(self.headers)))
        route = Handler.routes.get((self.command, self.path), (404, {"error": "no such route", "code": "x"}))
        if callable(route):
            route(self)
            return
        status, value = route
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def stream(self, events, cut=False):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if not cut:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", "100000")
        self.end_headers()
        for number, event in events:
            self.wfile.write(f"id: {number}\ndata: {json.dumps(event)}\n\n".encode())
        self.close_connection = True


def event(kind, message, **more):
    return {"event_type": kind, "timestamp": "2026-01-02T03:04:05.000000Z", "message": message,
            "iteration": 1, **more}


def run(*args, stdin=None):
    Handler.seen.clear()
    result = subprocess.run([AEGIS, "-c", "c.yaml", *args], input=stdin, capture_output=True, text=True,
                            cwd=FOLDER, env=ENV, timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def write(name, text):
    with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as f:
        f.write(text)


def expect(name, args, code, out=None, err=None, asks=None, **more):
    got = run(*args, **more)
    asked = [(method, path) for method, path, _, _ in Handler.seen]
    ok = (got[0] == code and (out is None or out in got[1]) and (err is None or err in got[2])
          and (asks is None or asked == asks))
    tap.ok(name, ok, f"exit {got[0]}, wanted {code}\nasked: {asked}\nstdout: {got[1]}\nstderr: {got[2]}")
    return got


def check_agents():
    write("a.yaml", MANIFEST)
    write("bad.yaml", MANIFEST + "  x: 1\n")
    reply = {"id": "u1", "name": "tester", "version": "1.0.0", "status": "created",
             "without_effect": [{"path": "spec.x", "line": 3, "reason": "later"}],
             "refused_at_run": [{"path": "spec.y", "line": 4, "reason": "un\u001b[31msafe"}]}
    Handler.routes[("POST", "/v1/agents?force=false")] = (201, reply)
    Handler.routes[("POST", "/v1/agents?force=true&scope=global")] = (200, {**reply, "status": "updated"})
    Handler.routes[("PATCH", "/v1/agents/tester")] = (200, {**reply, "status": "updated"})
    expect("deploy", ["agent", "deploy", "a.yaml"], 0, asks=[("POST", "/v1/agents?force=false")],
           out="a.yaml:3: no effect yet: spec.x: later\n"
               "a.yaml:4: a run would be refused: spec.y: un [31msafe\ncreated tester 1.0.0 (u1)\n")
    expect("deploy by force", ["agent", "deploy", "a.yaml", "--force", "--scope", "global"], 0,
           out="updated tester")
    expect("deploy of a bad manifest asks nobody", ["agent", "deploy", "bad.yaml"], 2, asks=[],
           err="bad.yaml:6:3: spec.x: unknown field")
    expect("validate only", ["agent", "deploy", "a.yaml", "--validate-only"], 0, asks=[], out="valid")
    expect("update", ["agent", "update", "tester", "a.yaml"], 0, out="updated tester 1.0.0")
    tap.equal("the manifest is the body", Handler.seen[0][2], MANIFEST)
    Handler.routes[("POST", "/v1/agents?force=false")] = (409, {"error": "1.0.0 exists", "code": "conflict"})
    expect("a conflict", ["agent", "deploy", "a.yaml"], 4, err="aegis: 1.0.0 exists")

    agents = {"items": [{"name": "a\u001bb", "version": "1", "status": "active", "id": "u1"}], "count": 1}
    Handler.routes[("GET", "/v1/agents?limit=100")] = (200, agents)
    Handler.routes[("GET", "/v1/agents?limit=5&status=paused")] = (200, {"items": [], "count": 0})
    expect("list", ["agent", "list"], 0, out="NAME  VERSION  STATUS  ID  UPDATED\na b   1        active  u1  \n")
    expect("list with a filter", ["agent", "list", "--status", "paused", "--limit", "5"], 0)
    _, out, _ = expect("list as JSON", ["agent", "list", "--output", "json"], 0)
    tap.equal("JSON is the list", json.loads(out), agents["items"])
    Handler.routes[("GET", "/v1/agents/a%2Fb")] = (200, {"name": "a/b", "manifest_yaml": MANIFEST})
    expect("show", ["agent", "show", "a/b"], 0, out=MANIFEST)
    expect("show of nothing", ["agent", "show", "gone"], 1, err="no such route")
    for word, method, path, done in (("pause", "POST", "/pause", "paused"), ("resume", "POST", "/resume", "resumed"),
                                     ("remove", "DELETE", "", "removed")):
        Handler.routes[(method, "/v1/agents/tester" + path)] = (200, {"success": True})
        expect(word, ["agent", word, "tester"], 0, out=f"{done} tester\n",
               asks=[(method, "/v1/agents/tester" + path)])


EVENTS = [(1, event("execution_started", "started")),
          (2, event("tool_policy_violation", "Tool x denied\u001b[0m", details={"tool_name": "x"})),
          (3, event("execution_completed", "done"))]


def check_executions():
    stream = f"/v1/executions/{EXECUTION}/stream"
    Handler.routes[("POST", "/v1/agents/tester/execute")] = (202, {"execution_id": EXECUTION})
    Handler.routes[("GET", stream)] = lambda h: h.stream(EVENTS)
    Handler.routes[("GET", f"/v1/executions/{EXECUTION}")] = (
        200, {"id": EXECUTION, "status": "completed", "output": "two\nlines\u001b[2J", "iterations": [
            {"number": 1, "status": "failed", "error": {"why": "x"}}]})
    expect("execute", ["task", "execute", "tester", "--input", '{"n": 7}'], 0, out=EXECUTION + "\n")
    tap.equal("input is JSON", json.loads(Handler.seen[0][2]), {"input": {"n": 7}})
    expect("a text as input", ["task", "execute", "tester", "-i", "say hi"], 0)
    tap.equal("input is a text", json.loads(Handler.seen[0][2]), {"input": "say hi"})
    write("in.json", "[1]")
    expect("a file as input", ["task", "execute", "tester", "--input", "@in.json"], 0)
    tap.equal("input is the file", json.loads(Handler.seen[0][2]), {"input": [1]})
    expect("bad JSON as input", ["task", "execute", "tester", "--input", "{n"], 2,
           err="--input: this is not JSON", asks=[])
    expect("an absent file as input", ["task", "execute", "tester", "--input", "@gone"], 1)
    _, out, err = expect("run", ["agent", "run", "tester"], 0, out="two\nlines [2J\n")
    tap.ok("run prints the result alone", out == "two\nlines [2J\n" and EXECUTION in err, out + err)
    _, out, _ = expect("run and follow", ["agent", "run", "tester", "--follow", "--output", "json"], 0)
    tap.ok("a line of JSON each", len([json.loads(line) for line in out.splitlines()]) > 1, out)
    _, out, _ = expect("run and follow", ["agent", "run", "tester", "--follow"], 0)
    tap.ok("events are lines", "03:04:05  1  Tool x denied [0m\n03:04:05  1  done\n" in out, out)
    Handler.routes[("POST", "/v1/agents")] = (200, {"id": "u1"})
    Handler.routes[("POST", "/v1/agents/u1/execute")] = (202, {"execution_id": EXECUTION})
    expect("run a file", ["agent", "run", "./a.yaml"], 0, out="two")
    tap.equal("the file is deployed first", [p for _, p, _, _ in Handler.seen][:2],
              ["/v1/agents", "/v1/agents/u1/execute"])
    Handler.routes[("GET", f"/v1/executions/{EXECUTION}")] = (
        200, {"id": EXECUTION, "status": "failed", "error": "no model"})
    expect("a failed run", ["agent", "run", "tester"], 10, err=f"execution {EXECUTION}: failed: no model")
    Handler.routes[("POST", "/v1/agents/tester/execute")] = (409, {"error": "refused: x", "code": "refused"})
    expect("a refused run", ["agent", "run", "tester"], 4, err="refused: x")
    expect("status", ["task", "status", EXECUTION], 0, out="status         failed\n")
    Handler.routes[("GET", "/v1/executions?limit=20&agent_id=tester")] = (200, {"items": [], "count": 0})
    expect("list", ["task", "list", "--agent", "tester"], 0,
           asks=[("GET", "/v1/executions?limit=20&agent_id=tester")])
    Handler.routes[("POST", f"/v1/executions/{EXECUTION}/cancel?force=true")] = (200, {"success": True})
    Handler.routes[("DELETE", f"/v1/executions/{EXECUTION}")] = (409, {"error": "running", "code": "running"})
    expect("cancel", ["task", "cancel", EXECUTION, "--force"], 0, out=f"cancelled {EXECUTION}\n")
    expect("remove of one that runs", ["task", "remove", EXECUTION], 4, err="aegis: running")


def check_logs():
    Handler.routes[("GET", f"/v1/executions/{EXECUTION}/events?follow=false")] = lambda h: h.stream(EVENTS)
    _, out, _ = expect("logs", ["task", "logs", EXECUTION], 0)
    tap.equal("every event is a line", len(out.splitlines()), 3)
    _, out, _ = expect("only errors", ["task", "logs", EXECUTION, "--errors-only"], 0)
    tap.equal("denials are errors", out, "03:04:05  1  Tool x denied [0m\n")
    expect("verbose", ["task", "logs", EXECUTION, "--verbose"], 0, out="          tool_name: x\n")
    _, out, _ = expect("as JSON", ["task", "logs", EXECUTION, "--output", "json"], 0)
    tap.equal("one object a line", [json.loads(line)["event_type"] for line in out.splitlines()],
              [e["event_type"] for _, e in EVENTS])

    calls = []

    def broken(handler):
        calls.append(handler.headers.get("Last-Event-ID"))
        if len(calls) == 1:
            handler.stream(EVENTS[:1], cut=True)
        else:
            handler.stream(EVENTS[1:])
    Handler.routes[("GET", f"/v1/executions/{EXECUTION}/events?follow=true")] = broken
    _, out, err = expect("a broken stream is taken up", ["task", "logs", EXECUTION, "-f"], 0)
    tap.equal("where it broke", calls, [None, "1"])
    tap.ok("no event is lost or doubled, and nothing is said", len(out.splitlines()) == 3 and not err, out + err)
    Handler.routes[("GET", "/v1/agents/tester/events?follow=false")] = lambda h: h.stream(EVENTS)
    expect("logs of an agent", ["agent", "logs", "tester"], 0, out="started")


def check_doctor():
    report = {"kernel": "6.1", "privileged": True, "findings": [
        {"id": "sandbox.x", "level": "prevented", "protects": "p", "why": "w", "how": ""}]}
    Handler.routes[("GET", "/v1/doctor")] = (200, report)
    servers = [{"name": "web", "state": "ready", "up": True, "confined": True, "confined_by": "a sandbox of its own"}]
    Handler.routes[("GET", "/v1/tool-servers")] = (200, {"items": servers})
    expect("doctor of the daemon", ["doctor", "--daemon"], 0, out="prevented    sandbox.x",
           asks=[("GET", "/v1/doctor"), ("GET", "/v1/tool-servers")])
    _, out, _ = expect("doctor here", ["doctor", "--output", "json"], 0, asks=[("GET", "/v1/tool-servers")])
    tap.ok("has findings", len(json.loads(out)["findings"]) > 3, out)
    tap.equal("and how the daemon's tool servers fare", json.loads(out)["tool_servers"], servers)
    write("strict.yaml", CONFIG + "  require: {probes: {no.such.probe: prevent}}\n")
    result = subprocess.run([AEGIS, "doctor", "-c", "strict.yaml"], capture_output=True, text=True, cwd=FOLDER,
                            env=ENV, timeout=60, check=False)
    tap.ok("what is required and absent", result.returncode == 2 and "no.such.probe" in result.stderr, result.stderr)


CONFIG = f"""apiVersion: 100monkeys.ai/v1
kind: NodeConfig
metadata: {{name: n}}
spec:
  node: {{id: x, type: edge}}
  daemon: {{data_directory: {FOLDER}}}
"""

try:
    write("c.yaml", CONFIG)
    server = Server(os.path.join(FOLDER, "aegisd.sock"), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    check_agents()
    check_executions()
    check_logs()
    check_doctor()
    server.shutdown()
    server.server_close()
    os.unlink(os.path.join(FOLDER, "aegisd.sock"))
    expect("nobody there", ["agent", "list"], 5, err="is it running? (aegis daemon start)")
finally:
    shutil.rmtree(FOLDER)
tap.done()
